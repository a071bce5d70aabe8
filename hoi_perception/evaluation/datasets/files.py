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

"""Open JSON files of annotations."""

import json
from pathlib import Path
from typing import Any, Dict

from hoi_perception.core.errors import HoiError

Json = Dict[str, Any]
"""An object of a JSON file whose content nobody has looked at yet."""


def read_json(path: Path) -> Any:
    """Return a parsed JSON file; raises `HoiError` saying where it is broken."""
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise HoiError(f'{path} does not exist.') from None
    except (OSError, ValueError, RecursionError) as error:
        raise HoiError(f'{path} is not readable JSON ({error}): fetch or export it again.') \
            from error
