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

"""A tiny network of fixed shapes and backends that misbehave on request, for tests of engines."""

from dataclasses import dataclass
import os
from pathlib import Path
import time
from typing import Optional

from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.export import Signature
from hoi_perception.runtime.graphs import Graph
import torch
from torch import nn


class TinyDetector(nn.Module):
    """Boxes on a grid; labels and scores from the image. Takes every dtype that graphs take."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 4, 4)
        self.classify = nn.Linear(8, 5)
        self.extent = nn.Linear(8, 2)
        self.count = 12

    def forward(self, pixels, order, valid):
        image = pixels.permute(0, 3, 1, 2).float() / 255
        features = self.convolution(image).flatten(2).transpose(1, 2)
        features = features.gather(1, order[..., None].expand(-1, -1, 8))
        scores, labels = self.classify(features).sigmoid().max(-1)
        scores, rows = scores.masked_fill(~valid, 0).topk(self.count)
        corner = torch.stack([rows % 8, rows // 8], -1) / 8
        extent = self.extent(features).gather(1, rows[..., None].expand(-1, -1, 2))
        queries = features.gather(1, rows[..., None].expand(-1, -1, 8))
        boxes = torch.cat([corner, corner + 0.05 + extent.sigmoid()], -1)
        return boxes, scores, labels.gather(1, rows), queries


def tiny_graph(seed: int = 0) -> Graph:
    """Return the same graph for the same seed, in any process."""
    generator = torch.Generator().manual_seed(seed)
    module = TinyDetector().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return Graph('detector', 'batch1', module.requires_grad_(False), {
        'pixels': torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8, generator=generator),
        'order': torch.randperm(64, generator=generator)[None],
        'valid': torch.rand(1, 64, generator=generator) > 0.2},
        ('boxes', 'scores', 'labels', 'queries'))


def frames(count: int = 3) -> list:
    """Return other inputs of the graph."""
    return [tuple(tiny_graph(seed).inputs.values()) for seed in range(1, count + 1)]


class _Written:
    """An engine that is the module itself, read back from a file."""

    def __init__(self, path: Path, shift: float) -> None:
        self._module = tiny_graph().module
        self._module.load_state_dict(torch.load(path, weights_only=True))
        self._shift = shift

    def __call__(self, *tensors):
        boxes, scores, labels, queries = self._module(*tensors)
        return boxes, (scores + self._shift).clamp(max=1), labels, queries


@dataclass(frozen=True)
class Fake:
    """
    A backend that is quick to build and can be told to fail.

    shift: added to every score. error: raised while building. pause: seconds to build. missing:
    why it cannot run here. Every build adds its process id to the file `builds` of the store.
    """

    name: str = 'aoti'
    shift: float = 0.0
    error: Optional[Exception] = None
    pause: float = 0.0
    missing: str = ''
    precisions: tuple = ('fp32',)

    def unavailable(self, device) -> Optional[str]:
        return self.missing or None

    def version(self) -> str:
        return '1'

    def build(self, graph, precision, directory) -> None:
        Signature.of(graph).write(directory)
        torch.save(graph.module.state_dict(), directory / 'model.weights')
        with (directory.parent / 'builds').open('a') as log:
            log.write(f'{os.getpid()}\n')
        time.sleep(self.pause)
        if self.error is not None:
            raise self.error

    def load(self, directory, device):
        if not (directory / 'model.weights').is_file():
            raise EngineError('there are no weights.')
        return Signature.read(directory).bind(_Written(directory / 'model.weights', self.shift),
                                              device)
