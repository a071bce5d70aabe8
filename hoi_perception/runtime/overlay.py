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

"""
Draw a scene on the frame it was computed from: masks, boxes, links, ids and `verb score` labels.

Pillow only, so that node, demo and command line draw the same picture everywhere. Labels never
hide each other while there is room: all are laid out first, then drawn, and one that had to move
away from what it names is tied to it by a thin line.
"""

import colorsys
from functools import lru_cache
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

from hoi_perception.core.scene import Mask, MaskKind, NONE, Scene
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = Tuple[int, int, int]
Box = Tuple[float, float, float, float]
Lines = Dict[Tuple[int, int], List[str]]
Font = Union[ImageFont.FreeTypeFont, ImageFont.ImageFont]

HUMAN_COLOUR: Colour = (255, 176, 32)
PAIR_COLOUR: Colour = (255, 255, 255)
MASK_OPACITY = 0.38
CHIP_OPACITY = 205
VERBS_PER_PAIR = 3


@lru_cache(maxsize=512)
def colour_of(key: int) -> Colour:
    """Return a bright colour, the same for the same key; neighbours differ by the golden angle."""
    # Hues from 0.17 round to 1.02 stay clear of the orange that means a person.
    hue = (0.17 + 0.85 * ((0.42 + 0.618034 * key) % 1.0)) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.72, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


@lru_cache(maxsize=8)
def _font(size: int) -> Font:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has only its small bitmap font
        return ImageFont.load_default()


def draw_overlay(rgb: np.ndarray, scene: Scene, scale: float = 1.0,
                 max_pairs: int = 12, status: str = '') -> np.ndarray:
    """
    Return a copy of the frame with the scene drawn on it, (H, W, 3) uint8 RGB.

    rgb: the frame, of the scene's width and height. scale: multiplies text and line size (1 suits
    viewing at full size). max_pairs: only the best pairs get a link and a label; at most
    `VERBS_PER_PAIR` verbs are written for each. status: a line for the top left corner, such as
    that of `status_line`.
    """
    image = Image.fromarray(np.ascontiguousarray(rgb, np.uint8)).copy()
    colours, pairs = instance_colours(scene), pair_lines(scene, max_pairs)
    _draw_pair_masks(image, scene, pairs)
    for mask in scene.masks:
        if (mask.kind == MaskKind.INSTANCE and 0 <= mask.owner < len(colours)
                and mask.bitmap.size):
            _tint(image, mask, colours[mask.owner])
    side = min(image.size)
    brush = _Brush(ImageDraw.Draw(image, 'RGBA'), image.size,
                   width=max(1, round(scale * max(2, side / 240))),
                   font=_font(max(8, round(scale * max(13, side / 30)))))
    if status:
        brush.chip(0, 0, [status], HUMAN_COLOUR)
    _draw_boxes(brush, scene, colours, pairs)
    _draw_pairs(brush, scene, colours, pairs)
    _draw_names(brush, scene, colours, pairs)
    brush.finish()
    return np.array(image)


def status_line(stages: Mapping[str, float], total: float, prompt_version: int) -> str:
    """Return how long a frame took, in milliseconds; of the stages only those of a fifth up."""
    slow = ', '.join(f'{name} {ms:.0f}' for name, ms in stages.items() if ms >= total / 5)
    return f'{total:.0f} ms{f" ({slow})" if slow else ""}, prompts v{prompt_version}'


def instance_colours(scene: Scene) -> List[Colour]:
    """People share one colour unless tracked; objects have one per track, else per class."""
    colours = []
    for label, track in zip(scene.instances.labels.tolist(), scene.instances.track_ids.tolist()):
        if track:
            colours.append(colour_of(track + 7))
        else:
            colours.append(HUMAN_COLOUR if label == scene.vocabulary.human else colour_of(label))
    return colours


def _draw_pair_masks(image: Image.Image, scene: Scene,
                     pairs: Mapping[Tuple[int, int], List[str]]) -> None:
    """Outline the union of every pair that is shown and tint where its two parts meet."""
    drawn = set()
    for mask in scene.masks:
        if (mask.kind == MaskKind.INSTANCE or not mask.bitmap.size
                or not 0 <= mask.owner < len(scene.triplets)):
            continue
        key = (int(scene.triplets.human[mask.owner]), int(scene.triplets.object[mask.owner]))
        if key in pairs and (key, mask.kind) not in drawn:
            drawn.add((key, mask.kind))
            _tint(image, mask, PAIR_COLOUR, MASK_OPACITY * (mask.kind != MaskKind.UNION))


def _tint(image: Image.Image, mask: Mask, colour: Colour, opacity: float = MASK_OPACITY) -> None:
    """Blend a colour into the frame where the mask is set, fully along its edge."""
    bitmap = mask.bitmap
    alpha = bitmap * np.uint8(255 * opacity)
    inner = (bitmap[:-2, 1:-1] & bitmap[2:, 1:-1] & bitmap[1:-1, :-2] & bitmap[1:-1, 2:])
    alpha[1:-1, 1:-1][bitmap[1:-1, 1:-1] & ~inner] = 255
    image.paste(colour, (mask.x, mask.y), Image.fromarray(alpha))


def pair_lines(scene: Scene, limit: int) -> Lines:
    """Return the text lines of the best (human, object) pairs, in order of score."""
    pairs: Lines = {}
    triplets = scene.triplets
    for row in np.argsort(-triplets.scores, kind='stable').tolist():
        key = int(triplets.human[row]), int(triplets.object[row])
        if key not in pairs and len(pairs) == limit:
            continue
        lines = pairs.setdefault(key, [])
        if len(lines) < VERBS_PER_PAIR:
            name = scene.vocabulary.verbs[triplets.verb[row]].name.replace('_', ' ')
            lines.append(f'{name} {triplets.scores[row]:.2f}')
    return pairs


def instance_name(scene: Scene, index: int) -> str:
    """Return the class of an instance in words, with its track id if it has one."""
    label, track = int(scene.instances.labels[index]), int(scene.instances.track_ids[index])
    name = scene.vocabulary.objects[label].replace('_', ' ') if label != NONE else 'unknown'
    return f'{name} #{track}' if track else name


class _Chip(NamedTuple):
    """A plate of text, its place, and the point it belongs to."""

    place: Box
    anchor: Tuple[float, float]
    lines: Sequence[str]
    colour: Colour


class _Brush:
    """Draws lines and boxes at once, and chips of text at the end, none covering another."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: Tuple[int, int], width: int,
                 font: Font) -> None:
        self.draw, self.size, self.width, self.font = draw, size, width, font
        left, top, right, bottom = font.getbbox('Ag0')
        self.line_height, self.pad = bottom + 2, max(2, (bottom - top) // 4)
        self._chips: List[_Chip] = []

    def box(self, box: Box, colour: Colour, width: int) -> None:
        last_x, last_y = self.size[0] - 1, self.size[1] - 1
        x1, x2 = sorted(min(max(x, 0), last_x) for x in (box[0], box[2]))
        y1, y2 = sorted(min(max(y, 0), last_y) for y in (box[1], box[3]))
        self.draw.rectangle((x1, y1, x2, y2), outline=colour, width=width)

    def link(self, start: Tuple[float, float], end: Tuple[float, float], colour: Colour) -> None:
        # The dark line below keeps the link visible on a background of its own colour.
        self.draw.line((*start, *end), fill=(0, 0, 0, 150), width=self.width + 2)
        self.draw.line((*start, *end), fill=colour, width=self.width)
        for (x, y), fill in ((start, HUMAN_COLOUR), (end, colour)):
            r = 1.5 * self.width + 1
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=(0, 0, 0))

    def chip(self, x: float, y: float, lines: Sequence[str], colour: Colour) -> None:
        """Find a place near (x, y), inside the image, for lines on a dark plate."""
        width = max(self.font.getlength(line) for line in lines) + 3 * self.pad + self.width
        height = self.line_height * len(lines) + self.pad
        place = self._free_place(x, y, width, height)
        self._chips.append(_Chip(place, (x, y), lines, colour))

    def finish(self) -> None:
        """Draw the chips; their lines first, so that none crosses a text."""
        for chip in self._chips:
            x, y = chip.anchor
            near_x = min(max(x, chip.place[0]), chip.place[2])
            near_y = min(max(y, chip.place[1]), chip.place[3])
            if abs(near_x - x) + abs(near_y - y) > self.line_height:
                self.draw.line((x, y, near_x, near_y), fill=chip.colour, width=1)
        for chip in self._chips:
            self._plate(chip)

    def _plate(self, chip: _Chip) -> None:
        x1, y1, x2, y2 = chip.place
        self.draw.rectangle(chip.place, fill=(16, 18, 24, CHIP_OPACITY))
        self.draw.rectangle((x1, y1, x1 + self.width, y2), fill=chip.colour)
        for row, line in enumerate(chip.lines):
            self.draw.text((x1 + self.width + self.pad, y1 + self.pad // 2 +
                            row * self.line_height), line, font=self.font,
                           fill=(255, 255, 255) if row == 0 else (205, 208, 214))

    def _free_place(self, x: float, y: float, width: float, height: float) -> Box:
        """Return the nearest place that covers no earlier chip, else the least covering one."""
        across, down = _STEPS[:, 0] * width / 2, _STEPS[:, 1] * (self.line_height + 2)
        left = np.clip(x + across, 0, max(self.size[0] - 1 - width, 0))
        top = np.clip(y + down, 0, max(self.size[1] - 1 - height, 0))
        # Clipped places are far from where they were meant to be: sort by what came of them.
        order = np.argsort(np.abs(left - x) + 2 * np.abs(top - y), kind='stable')
        left, top = left[order], top[order]
        taken = np.array([chip.place for chip in self._chips]).reshape(-1, 4)
        covered = (_shared(left, width, taken[:, 0], taken[:, 2])
                   * _shared(top, height, taken[:, 1], taken[:, 3])).sum(axis=1)
        best = int(covered.argmin())
        return (float(left[best]), float(top[best]), float(left[best] + width),
                float(top[best] + height))


_STEPS = np.array([(across, down) for down in range(-12, 13) for across in range(-4, 5)])
"""Where a chip is tried, in half widths and in lines from the place it should have."""


def _shared(start: np.ndarray, length: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the overlap (n, m) of n intervals of one length with m others; a gap counts, too."""
    first = np.maximum(start[:, None], low - 1)
    overlap: np.ndarray = np.maximum(np.minimum(start[:, None] + length, high + 1) - first, 0)
    return overlap


def _draw_boxes(brush: _Brush, scene: Scene, colours: Sequence[Colour],
                pairs: Lines) -> None:
    """Outline every instance; those in no interaction thinly."""
    taking_part = {index for pair in pairs for index in pair}
    for index, box in enumerate(scene.instances.boxes.tolist()):
        brush.box(box, colours[index], brush.width if index in taking_part else 1)


def _draw_pairs(brush: _Brush, scene: Scene, colours: Sequence[Colour],
                pairs: Lines) -> None:
    """Link people to objects and write the verbs on the links."""
    boxes = scene.instances.boxes
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
    for human, thing in pairs:
        if thing != NONE:
            brush.link(centres[human], centres[thing], colours[thing])
    for (human, thing), lines in pairs.items():
        if thing == NONE:
            x, y = boxes[human, :2].tolist()
        else:
            x = (centres[human][0] + centres[thing][0]) / 2 + 2 * brush.width
            y = (centres[human][1] + centres[thing][1]) / 2 - brush.line_height / 2
        brush.chip(x, y, lines, colours[human if thing == NONE else thing])


def _draw_names(brush: _Brush, scene: Scene, colours: Sequence[Colour],
                pairs: Lines) -> None:
    """Name what takes part: objects below their box, people (only if tracked) above it."""
    for index in sorted({index for pair in pairs for index in pair} - {NONE}):
        x1, y1, _, y2 = scene.instances.boxes[index].tolist()
        if scene.instances.labels[index] != scene.vocabulary.human:
            brush.chip(x1, y2 + 1, [instance_name(scene, index)], colours[index])
        elif scene.instances.track_ids[index]:
            brush.chip(x1, y1 - brush.line_height - brush.pad, [instance_name(scene, index)],
                       colours[index])
