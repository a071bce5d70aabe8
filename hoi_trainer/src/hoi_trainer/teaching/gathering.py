# Copyright 2026 The hoi_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""One batch of all processes, so that contrast does not depend on how images were dealt out."""

from typing import Tuple

from hoi_trainer.teaching.losses import Batch
import torch
from torch import distributed, Tensor


class _Gather(torch.autograd.Function):
    """
    Concatenate the tensors of all processes; every process then computes the same loss.

    Gradients of data-parallel training are averaged over processes, of which each sees its own
    part only, so that the part counts as often as there are processes.
    """

    @staticmethod
    def forward(context, tensor: Tensor) -> Tensor:
        context.place = distributed.get_rank() * len(tensor), len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tuple[Tensor]:
        first, count = context.place
        return (gradient[first:first + count] * distributed.get_world_size(),)


def gathered(batch: Batch) -> Batch:
    """Return the images of all processes; a process alone gets its own back."""
    if not (distributed.is_available() and distributed.is_initialized()
            and distributed.get_world_size() > 1):
        return batch
    return Batch(*(_Gather.apply(part.byte()).bool() if part.dtype == torch.bool
                   else _Gather.apply(part) for part in batch))
