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
Charts as inline SVG: lines, bars and stacked bars, coloured by the style sheet of the page.

Built as an element tree, so that no name can break out of the markup. Text stays text, colours
are classes (`s0` to `s9`), and the whole report follows the reader's light or dark setting.
"""

import math
from typing import List, NamedTuple, Optional, Sequence, Tuple
from xml.etree import ElementTree

from markupsafe import Markup
import numpy as np

COLOURS = 10
"""Classes of colour the style sheet has; more series share them in turn."""
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 34, 40
PANEL = 640
"""Charts that are wider take the whole page."""
CHARACTER = 6.6
"""Width of an average character of the charts' font, in units of the drawing."""


class Series(NamedTuple):
    """A line: its name and its points (n, 2), x and y."""

    name: str
    points: np.ndarray
    dots: bool = False


class Axis(NamedTuple):
    """What an axis says and its range; None = from the data."""

    label: str
    low: Optional[float] = None
    high: Optional[float] = None


class Bar(NamedTuple):
    """A bar: where it stands (left and right edge), its parts from below, and its tooltip."""

    left: float
    right: float
    parts: Tuple[float, ...]
    title: str


def line_chart(title: str, series: Sequence[Series], x: Axis, y: Axis, width: int = 560,
               height: int = 320, diagonal: bool = False) -> Markup:
    """Return lines with a legend; diagonal: the line y = x is drawn, too."""
    points = np.concatenate([np.zeros((0, 2)), *(s.points for s in series)])
    plot = _Plot(title, x, y, points, width, height, [s.name for s in series])
    if diagonal:
        plot.path([(plot.x[0], plot.x[0]), (plot.x[1], plot.x[1])], 'diagonal')
    for row, (name, values, dots) in enumerate(series):
        colour = f's{row % COLOURS}'
        plot.path(values.tolist(), f'line {colour}', name)
        if dots:
            for point in values.tolist():
                plot.dot(point, colour, f'{name}: {point[0]:.3g}, {point[1]:.3g}')
    return plot.markup()


def bar_chart(title: str, bars: Sequence[Bar], names: Sequence[str], x: Axis, y: Axis,
              width: int = 560, height: int = 280, diagonal: bool = False) -> Markup:
    """Return bars, stacked where they have several parts; names: of the parts, () = no legend."""
    tops = [sum(bar.parts) for bar in bars]
    corners = [(bar.left, 0.0) for bar in bars] + [(b.right, t) for b, t in zip(bars, tops)]
    plot = _Plot(title, x, y, np.array(corners).reshape(-1, 2), width, height, names)
    for bar in bars:
        low = 0.0
        for row, part in enumerate(bar.parts):
            if part > 0:
                plot.bar(bar, low, low + part, f's{row % COLOURS}')
            low += part
    if diagonal:
        plot.path([(plot.x[0], plot.x[0]), (plot.x[1], plot.x[1])], 'diagonal')
    return plot.markup()


def ticks(low: float, high: float, count: int = 5) -> List[float]:
    """Return about `count` round numbers from low to high; source: Heckbert, nice numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (step * f) <= count)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


class _Plot:
    """A drawing with axes; adds shapes in units of the data."""

    def __init__(self, title: str, x: Axis, y: Axis, points: np.ndarray, width: int, height: int,
                 names: Sequence[str]) -> None:
        self.x, self.y = _range(x, points[:, 0]), _range(y, points[:, 1])
        rows = _legend_rows(names, width)
        self.width, self.height = width, height + 18 * len(rows)
        self.bottom = height - BOTTOM
        self.svg = ElementTree.Element('svg', {
            'viewBox': f'0 0 {width} {self.height}', 'role': 'img', 'aria-label': title,
            'class': 'chart' if width <= PANEL else 'chart wide'})
        self._text(0, 14, title, class_='heading')
        self._axes(x.label, y.label)
        for line, entries in enumerate(rows):
            for index, left, name in entries:
                top = height + 18 * line
                self._add('rect', x=left, y=top, width=10, height=10,
                          class_=f'bar s{index % COLOURS}')
                self._text(left + 15, top + 9, name)

    def _at(self, x: float, y: float) -> Tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (LEFT + across * (self.width - LEFT - RIGHT),
                self.bottom - up * (self.bottom - TOP))

    def _add(self, tag: str, title: str = '', **attributes) -> ElementTree.Element:
        values = {name.rstrip('_').replace('_', '-'): f'{value:.1f}' if isinstance(value, float)
                  else str(value) for name, value in attributes.items()}
        element = ElementTree.SubElement(self.svg, tag, values)
        if title:
            ElementTree.SubElement(element, 'title').text = title
        return element

    def _text(self, x: float, y: float, text: str, anchor: str = 'start', **more) -> None:
        self._add('text', x=float(x), y=float(y), text_anchor=anchor, **more).text = text

    def _axes(self, x_label: str, y_label: str) -> None:
        for value in ticks(*self.y):
            _, y = self._at(self.x[0], value)
            self._add('line', x1=LEFT, x2=self.width - RIGHT, y1=y, y2=y, class_='grid')
            self._text(LEFT - 6, y + 4, f'{value:g}', 'end')
        for value in ticks(*self.x, count=8):
            x, _ = self._at(value, self.y[0])
            self._text(x, self.bottom + 16, f'{value:g}', 'middle')
        self._add('line', x1=LEFT, x2=self.width - RIGHT, y1=self.bottom, y2=self.bottom,
                  class_='axis')
        self._text((LEFT + self.width - RIGHT) / 2, self.bottom + 33, x_label, 'middle',
                   class_='label')
        middle = (TOP + self.bottom) / 2
        self._text(13, middle, y_label, 'middle', class_='label',
                   transform=f'rotate(-90 13 {middle:.1f})')

    def path(self, points: Sequence[Sequence[float]], class_: str, title: str = '') -> None:
        """Draw a line through the points."""
        places = ' '.join(f'{x:.1f},{y:.1f}' for x, y in (self._at(*p) for p in points))
        self._add('polyline', title, points=places, class_=class_)

    def dot(self, point: Sequence[float], class_: str, title: str) -> None:
        """Draw a point."""
        x, y = self._at(*point)
        self._add('circle', title, cx=x, cy=y, r=3.0, class_=f'bar {class_}')

    def bar(self, bar: Bar, low: float, high: float, class_: str) -> None:
        """Draw a part of a bar from low to high."""
        left, top = self._at(bar.left, high)
        right, bottom = self._at(bar.right, low)
        gap = 1.0 if right - left > 4 else 0.0
        self._add('rect', bar.title, x=left, y=top, width=max(right - left - gap, 0.5),
                  height=max(bottom - top, 0.5), class_=f'bar {class_}')

    def markup(self) -> Markup:
        """Return the drawing; the tree has escaped every name in it."""
        return Markup(ElementTree.tostring(self.svg, encoding='unicode'))


def _range(axis: Axis, values: np.ndarray) -> Tuple[float, float]:
    low = axis.low if axis.low is not None else float(values.min(initial=0.0))
    high = axis.high if axis.high is not None else float(values.max(initial=low))
    return (low, high) if high > low else (low, low + 1.0)


def _legend_rows(names: Sequence[str], width: int) -> List[List[Tuple[int, float, str]]]:
    """Return rows of (index, left edge, name), as many names in each as fit."""
    rows: List[List[Tuple[int, float, str]]] = []
    left = float(width)
    for index, name in enumerate(names):
        space = 15 + CHARACTER * len(name) + 14
        if not rows or left + space > width:
            rows.append([])
            left = LEFT
        rows[-1].append((index, left, name))
        left += space
    return rows
