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

"""What an error of the device means: out of memory passes, a broken context stays."""

from contextlib import suppress

import torch

_MARKS = ('cuda error', 'cuda runtime', 'cudnn', 'cublas', 'device-side assert')
_KINDS = tuple(getattr(torch, name) for name in ('AcceleratorError',) if hasattr(torch, name))
_FULL = (torch.cuda.OutOfMemoryError, MemoryError)


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory was not enough, on the device or on the host."""
    return isinstance(error, _FULL) or (
        isinstance(error, RuntimeError) and 'out of memory' in str(error).lower())


def device_failed(error: BaseException) -> bool:
    """
    Return whether the device itself failed, not the program.

    After most such errors (illegal address, assertion in a kernel) every later call of the process
    fails: CUDA Runtime API, `cudaErrorIllegalAddress`, "the process must be terminated and
    relaunched".
    """
    text = str(error).lower()
    return not out_of_memory(error) and (isinstance(error, _KINDS) or (
        isinstance(error, RuntimeError) and any(mark in text for mark in _MARKS)))


def free_cache() -> None:
    """Give memory that PyTorch keeps for later back to the device, if it still listens."""
    with suppress(RuntimeError):
        torch.cuda.empty_cache()
