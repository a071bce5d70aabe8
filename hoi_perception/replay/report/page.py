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
Pages from templates: one file each, nothing loaded from anywhere, every name escaped.

The page itself forbids the browser to load or run anything that is not in it.
"""

import base64
from dataclasses import asdict, is_dataclass
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any, Mapping, Optional

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
import numpy as np


def render(template: str, **content: Any) -> str:
    """Return the page of a template of this package."""
    script = _file('sort.js')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=FunctionLoader(_file), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(fixed=fixed, short=lambda value: f'{round(value, 1):g}',
                               signed=lambda value, digits: f'{value:+.{digits}f}')
    return environment.get_template(template).render(
        style=Markup(_file('style.css')), script=Markup(script),
        script_hash=Markup(f'sha256-{digest}'), **content)


def _file(name: str) -> str:
    # Through importlib, because the package may lie in an archive.
    return (resources.files(__package__) / 'templates' / name).read_text(encoding='utf-8')


def fixed(value: Optional[float], digits: int = 3) -> str:
    """Return a number with that many digits after the point, a long dash where there is none."""
    return '\u2013' if value is None else f'{value:.{digits}f}'


def plain(value: Any) -> Any:
    """Return dataclasses, arrays and tuples as what JSON has; a number that is none is None."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
