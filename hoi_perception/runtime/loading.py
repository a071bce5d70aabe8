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

"""Networks from a bundle: built, filled with the bundle's weights, in evaluation mode."""

from typing import Any, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_perception.runtime.bundle import Bundle, BundleSpec, MANIFEST
import torch
from torch import nn


def choose_device(device: str) -> torch.device:
    """Return the torch device; 'auto' takes CUDA where there is one. Raises `BundleError`."""
    if device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f'device {device!r} cannot be used: {reason} Try cpu.') from error
    return chosen


def build_detector(spec: BundleSpec) -> nn.Module:
    """Return the bundle's detector with random weights; raises `BundleError`."""
    detector = spec.detector
    try:
        if detector.kind == 'dense':
            return DenseDetector(DenseDetectorConfig.from_mapping(detector.config)).eval()
        from hoi_perception.networks.transformers_detectors import TransformersDetector
        return TransformersDetector.from_config(
            detector.architecture, detector.config, detector.top_k, detector.clip_boxes).eval()
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f'{spec.name}: the detector cannot be built from its configuration: '
                          f'{error}') from error


def class_map(spec: BundleSpec) -> Tuple[int, ...]:
    """Return the object index of each detector class, -1 for a class that means nothing."""
    objects = spec.vocabulary.objects
    names = spec.detector.classes or objects
    return tuple(objects.index(name) if name in objects else -1 for name in names)


def fill_weights(module: nn.Module, bundle: Bundle, name: str) -> None:
    """Load one of the bundle's files into the module, strictly; raises `BundleError`."""
    try:
        module.load_state_dict(bundle.tensors(name))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:2]]
        raise BundleError(f'{bundle.path / name} does not fit the configuration in {MANIFEST}: '
                          f'{" ".join(lines)[:200]}') from error


def load_detector(bundle: Bundle, device: torch.device) -> nn.Module:
    """Return the detector with its weights on the device."""
    module = build_detector(bundle.spec)
    fill_weights(module, bundle, 'detector.safetensors')
    if isinstance(module, DenseDetector):
        module.fold_normalisation()
    return module.requires_grad_(False).eval().to(device)


def load_clip(bundle: Bundle, device: torch.device) -> Tuple[Any, ClipTrunk]:
    """Return CLIP whole and its image trunk (shared modules); raises `BundleError`."""
    try:
        model: Any = build_clip(bundle.spec.clip.config)
        trunk = ClipTrunk(model.visual)
    except ValueError as error:
        raise BundleError(f'{bundle.path}: {error}') from error
    fill_weights(model, bundle, 'clip.safetensors')
    return model.to(device), trunk.to(device).eval()
