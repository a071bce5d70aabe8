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

"""Numbers that say what they are: value, interval, how many counted, by which rules."""

from dataclasses import dataclass
from typing import Optional

import numpy as np


@dataclass(frozen=True)
class Figure:
    """
    One number of a report.

    value: None where it was not measured, and then `why` says why; an int is a number of things.
    count, of: how many of what
    counted ('frames'). protocol: the rules; figures of different rules must not be compared. low,
    high: 95 % confidence interval, None where there is none. unit: '' for shares of 0..1.
    """

    value: Optional[float]
    count: int = 0
    of: str = ''
    protocol: str = ''
    low: Optional[float] = None
    high: Optional[float] = None
    unit: str = ''
    why: str = ''


def not_measured(why: str) -> Figure:
    """Return a figure without a value; why: a sentence part such as 'there is no truth'."""
    return Figure(None, why=why)


def figure(value: Optional[float], count: int, of: str, protocol: str,
           low: Optional[float] = None, high: Optional[float] = None, unit: str = '',
           why: str = '') -> Figure:
    """Return a figure; a value that is NaN counts as not measured."""
    def known(number: Optional[float]) -> Optional[float]:
        if number is None or not np.isfinite(number):
            return None
        return int(number) if isinstance(number, int) else float(number)
    if known(value) is None:
        return Figure(None, count, of, protocol, unit=unit, why=why or 'nothing to measure')
    return Figure(known(value), count, of, protocol, known(low), known(high), unit)


def said(shown: Figure, digits: int = 3) -> str:
    """Return the figure in words: value, unit and interval, or that it was not measured."""
    if shown.value is None:
        return 'not measured'
    unit = f' {shown.unit}' if shown.unit else ''
    text = f'{shown.value:.{digits}f}{unit}'
    if shown.low is not None and shown.high is not None:
        text += f' ({shown.low:.{digits}f} to {shown.high:.{digits}f})'
    return text
