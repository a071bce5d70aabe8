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

"""Views of synthetic scenes with pairs and captions, cut out on the device."""

from pathlib import Path
from typing import NamedTuple, Optional, Sequence

from hoi_perception.networks.region_readout import box_regions
from hoi_trainer.clip.pairs import caption_set, CaptionSet, pair_table, PairTable
from hoi_trainer.detector.data import padded_labels
from hoi_trainer.synthetic import load
from hoi_trainer.synthetic.dataset import SceneRecord
from hoi_trainer.synthetic.people import FACE_LEFT, FACE_RIGHT, PARTS
from hoi_trainer.synthetic.vocabulary import OBJECTS
from hoi_trainer.training.images import (
    change_colours,
    cut,
    cut_map,
    ImageStore,
    random_windows,
    window_affine,
)
from lightning.pytorch import LightningDataModule
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, WeightedRandomSampler

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class ClipBatch(NamedTuple):
    """
    Views and what holds in them.

    images: (B, 3, S, S) normalised. regions: (B, R, N) bool patches that a read-out may see; the
    first read-out sees all. truth: (B, R, K) captions that hold. weight: (B, R), 0 = not used.
    content: (B, N, 1 + objects) share of each patch that shows nothing or an object class. parts:
    (B, N, PARTS) 1 where a patch holds that part of a body.
    """

    images: Tensor
    regions: Tensor
    truth: Tensor
    weight: Tensor
    content: Tensor
    parts: Tensor


class SceneStore(NamedTuple):
    """
    Images (N, H, W, 3), instance maps (N, H, W), labels (N, G), -1 where there is none.

    parts: (N, M, 3) body parts as x, y in 0..1 and index into `PARTS`, -1 where there is none.
    """

    images: ImageStore
    maps: ImageStore
    labels: Tensor
    parts: Tensor


def patch_content(maps: Tensor, labels: Tensor, patch: int) -> Tensor:
    """
    Return (B, N, 1 + objects), the share of each patch that shows nothing or an object class.

    maps: (B, S, S) uint8, i + 1 = instance i. labels: (B, G) int64.
    """
    lookup = torch.cat((torch.zeros_like(labels[:, :1]), labels.clamp(min=0) + 1), dim=1)
    classes = lookup.gather(1, maps.flatten(1).long().clamp(max=labels.shape[1])).view_as(maps)
    shares = functional.one_hot(classes, 1 + len(OBJECTS)).permute(0, 3, 1, 2).float()
    return functional.avg_pool2d(shares, patch).flatten(2).transpose(1, 2)


def padded_parts(scenes: Sequence[SceneRecord]) -> Tensor:
    """Return the body parts of the scenes as `SceneStore.parts`."""
    table = torch.full((len(scenes), max(len(scene.parts) for scene in scenes), 3), -1.0)
    for row, scene in zip(table, scenes):
        row[:len(scene.parts)] = torch.from_numpy(
            scene.parts / np.array([scene.width, scene.height, 1], np.float32))
    return table


def patch_parts(parts: Tensor, windows: Tensor, flip: Tensor, grid: int) -> Tensor:
    """Return (B, grid * grid, PARTS), 1 where a patch of a window holds that body part."""
    place = (parts[..., :2] - windows[:, None, :2]) / (windows[:, None, 2:] - windows[:, None, :2])
    x = torch.where(flip[:, None], 1 - place[..., 0], place[..., 0])
    kind = parts[..., 2].long()
    mirrored = torch.where(kind == FACE_LEFT, FACE_RIGHT,
                           torch.where(kind == FACE_RIGHT, FACE_LEFT, kind))
    kind = torch.where(flip[:, None], mirrored, kind)
    column, line = (x * grid).floor().long(), (place[..., 1] * grid).floor().long()
    seen = (kind >= 0) & (column.clamp(0, grid - 1) == column) & (line.clamp(0, grid - 1) == line)
    cell = ((line * grid + column) * len(PARTS) + kind).masked_fill(~seen, 0)
    found = parts.new_zeros(len(parts), grid * grid * len(PARTS))
    return found.scatter_reduce(1, cell, seen.float(), 'amax').view(len(parts), -1, len(PARTS))


def pair_windows(tight: Tensor, zoom: Tensor, margin: float = 0.08) -> Tensor:
    """
    Return (B, 4) windows between the hull of a pair and the whole image, in 0..1.

    tight: (B, 4) hull. zoom: (B, 1), 0 = hull with a margin, 1 = whole image.
    """
    size = tight[:, 2:] - tight[:, :2]
    grown = torch.cat((tight[:, :2] - margin * size, tight[:, 2:] + margin * size), dim=1)
    whole = tight.new_tensor([0.0, 0.0, 1.0, 1.0])
    return torch.lerp(grown, whole.expand_as(grown), zoom)


def hull(first: Tensor, second: Tensor) -> Tensor:
    """Return the smallest boxes (..., 4) around two boxes."""
    return torch.cat((torch.minimum(first[..., :2], second[..., :2]),
                      torch.maximum(first[..., 2:], second[..., 2:])), dim=-1)


def into_window(boxes: Tensor, windows: Tensor, flip: Tensor) -> Tensor:
    """Return boxes (B, R, 4) of the image in 0..1 of their windows (B, 4), mirrored by flip."""
    low, size = windows[:, None, :2], (windows[:, 2:] - windows[:, :2])[:, None]
    a, b = (boxes[..., :2] - low) / size, (boxes[..., 2:] - low) / size
    flip = flip[:, None]
    x1 = torch.where(flip, 1 - b[..., 0], a[..., 0])
    x2 = torch.where(flip, 1 - a[..., 0], b[..., 0])
    return torch.stack((x1, a[..., 1], x2, b[..., 1]), dim=-1)


def seen_share(boxes: Tensor) -> Tensor:
    """Return the share of each box (..., 4) inside 0..1."""
    inside = boxes.clamp(0, 1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1).clamp(min=1e-9)
    return (inside[..., 2:] - inside[..., :2]).prod(-1) / area


class ClipData(LightningDataModule):
    """
    Views for contrastive training: pair crops, whole images, and regions within both.

    train, val: directories written by `hoi-trainer synth`. crop_share: share of views that centre
    on a pair, at a zoom between its hull and the whole image. regions: read-outs per view that see
    only the patches of one pair, as the interaction head does later; 0 leaves them out. balance:
    exponent by which rare captions are drawn more often (0 = as they come).
    """

    def __init__(self, train: str, val: str, batch_size: int = 64, on_device: bool = False,
                 image_size: int = 256, patch_size: int = 16, crop_share: float = 0.7,
                 regions: int = 4, balance: float = 0.5, supersample: int = 1,
                 augment: bool = True, limit: Optional[int] = None) -> None:
        super().__init__()
        self.directories = {'train': Path(train), 'val': Path(val)}
        self.batch_size, self.on_device, self.augment = batch_size, on_device, augment
        self.size, self.patch = image_size, patch_size
        self.crop_share, self.region_count, self.balance = crop_share, regions, balance
        self.supersample, self.limit = supersample, limit
        self.captions: Optional[CaptionSet] = None
        self.stores = {}

    def setup(self, stage: str) -> None:
        """Open the splits and collect captions and pairs."""
        if self.captions is None:
            device = self.trainer.strategy.root_device
            data = {split: load(path) for split, path in self.directories.items()}
            self.captions = caption_set(data['train'].scenes[:self.limit])
            for split, part in data.items():
                images = part.images[:self.limit]
                table = pair_table(part.scenes[:self.limit], self.captions, images.shape[2],
                                   images.shape[1])
                pixels = SceneStore(
                    ImageStore(images, device, self.on_device),
                    ImageStore(part.instance_maps[:self.limit], device, self.on_device),
                    torch.from_numpy(padded_labels(part.scenes, self.limit)).to(device),
                    padded_parts(part.scenes[:self.limit]).to(device))
                self.add_split(split, pixels, table, device)

    def add_split(self, split: str, pixels: 'SceneStore', table: PairTable, device) -> None:
        """Keep the pixels and pairs of a split, pairs on the device."""
        arrays = (torch.from_numpy(array).to(device) for array in (
            table.humans, table.objects, table.caption, table.scene_truth))
        self.stores[split] = (pixels, PairTable(*arrays), torch.from_numpy(table.caption))
        self.truth = torch.from_numpy(self.captions.truth).to(device)

    def _loader(self, split: str) -> DataLoader:
        caption = self.stores[split][2].flatten()
        pairs = (caption >= 0).nonzero()[:, 0]
        drawn = caption[pairs]
        frequency = torch.bincount(drawn, minlength=len(self.truth)).float()
        sampler = WeightedRandomSampler(
            frequency[drawn] ** -self.balance, max(len(self.stores[split][0].images.array), 1))
        return DataLoader(pairs, sampler=sampler, batch_size=self.batch_size)

    def train_dataloader(self) -> DataLoader:
        """Return indices of pairs into the flattened table, rare captions more often."""
        return self._loader('train')

    def val_dataloader(self) -> DataLoader:
        """Return indices of pairs, drawn in the same way."""
        return self._loader('val')

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> ClipBatch:
        """Turn (B,) pair indices into views."""
        training = self.trainer.training
        pixels, table, _ = self.stores['train' if training else 'val']
        with torch.autocast(table.humans.device.type, enabled=False):
            return self.make(pixels, table, batch.to(table.humans.device),
                             training and self.augment)

    def make(self, pixels: 'SceneStore', table: PairTable, index: Tensor,
             augment: bool) -> ClipBatch:
        """Cut a view for each pair index (B,) and describe its read-outs."""
        count, device = len(index), index.device
        scene, pair = index // table.caption.shape[1], index % table.caption.shape[1]
        humans, objects = table.humans[scene], table.objects[scene]
        caption = table.caption[scene]
        row = torch.arange(count, device=device)
        zoom = torch.rand(count, 1, device=device) ** 2
        crops = pair_windows(hull(humans[row, pair], objects[row, pair]), zoom)
        is_crop = torch.rand(count, device=device) < self.crop_share
        windows = torch.where(is_crop[:, None], crops, random_windows(
            count, device, zoom=(0.8, 1.1), untouched=0.5))
        flip = (torch.rand(count, device=device) < 0.5) & augment
        theta = window_affine(windows, flip)
        views = cut(pixels.images[scene], theta, (self.size, self.size), self.supersample)
        content = patch_content(cut_map(pixels.maps[scene], theta, (self.size, self.size)),
                                pixels.labels[scene], self.patch)
        parts = patch_parts(pixels.parts[scene], windows, flip, self.size // self.patch)
        if augment:
            views = change_colours(views)
        views = (views - views.new_tensor(MEAN)[:, None, None]) / views.new_tensor(
            STD)[:, None, None]
        # Read-out 0 sees the whole view; a crop is described by its pair, an image by all.
        truth = torch.where(is_crop[:, None], self.truth[caption[row, pair]],
                            table.scene_truth[scene])
        regions = torch.ones(count, 1, (self.size // self.patch) ** 2, dtype=torch.bool,
                             device=device)
        # The further a crop zooms out, the less its one pair describes it.
        weight = torch.where(is_crop[:, None], 1 - 0.8 * zoom, torch.ones_like(zoom))
        if not self.region_count:
            return ClipBatch(views, regions, truth[:, None], weight, content, parts)
        chosen = self._other_pairs(caption, pair)
        picked = caption.gather(1, chosen)
        spread = chosen[..., None].expand(-1, -1, 4)
        boxes = [into_window(b.gather(1, spread), windows, flip) for b in (humans, objects)]
        seen = torch.minimum(seen_share(boxes[0]), seen_share(boxes[1])) > 0.6
        grid = (self.size // self.patch,) * 2
        touched = [box_regions(b * self.size, grid, (self.patch, self.patch)) for b in boxes]
        return ClipBatch(
            views, torch.cat((regions, touched[0] | touched[1]), dim=1),
            torch.cat((truth[:, None], self.truth[picked.clamp(min=0)]), dim=1),
            torch.cat((weight, (seen & (picked >= 0)).float()), dim=1), content, parts)

    def _other_pairs(self, caption: Tensor, pair: Tensor) -> Tensor:
        """Return (B, regions) pairs of each scene: the drawn one and different random ones."""
        order = torch.rand(caption.shape, device=caption.device) + (caption < 0) * 2.0
        order = order.scatter(1, pair[:, None], -1.0)
        return order.argsort(1)[:, :self.region_count]
