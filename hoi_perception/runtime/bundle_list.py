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

"""The bundles and recipes that can be pulled by name: `config/bundles.yaml`."""

from pathlib import Path
from typing import Dict, Optional, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import resource_path
from hoi_perception.runtime.engines.places import cache_directory
from pydantic import BaseModel, ConfigDict, Field, model_validator, ValidationError
import yaml

FILE = 'config/bundles.yaml'
PERMISSIVE = frozenset({'Apache-2.0', 'MIT', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'CC0-1.0',
                        'Unlicense'})


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra='forbid')


class DetectorLine(_Line):
    """A transformers detector. hub: OWNER/REPOSITORY. human: name of the class that acts."""

    hub: str
    licence: str
    human: str = 'person'


class ClipLine(_Line):
    """A CLIP. model: name in open_clip or a JSON file. hub, file: where its weights are."""

    model: str
    hub: str
    licence: str
    file: str = 'open_clip_model.safetensors'


class BundleLine(_Line):
    """A whole bundle: `hub`, the repository that holds it, or `needs`, what to do instead."""

    hub: str = ''
    needs: str = ''

    @model_validator(mode='after')
    def _one_of_both(self) -> 'BundleLine':
        if bool(self.hub) == bool(self.needs):
            raise ValueError('give either hub or needs')
        return self


class BundleList(_Line):
    """`bundles.yaml` as it stands; recipes are DETECTOR+CLIP."""

    detectors: Dict[str, DetectorLine] = Field(default_factory=dict)
    clips: Dict[str, ClipLine] = Field(default_factory=dict)
    bundles: Dict[str, BundleLine] = Field(default_factory=dict)

    def recipe(self, name: str) -> Optional[Tuple[DetectorLine, ClipLine]]:
        """Return the lines of a recipe, or None where the name is none."""
        detector, _, clip = name.partition('+')
        if detector not in self.detectors or clip not in self.clips:
            return None
        return self.detectors[detector], self.clips[clip]

    def names(self) -> Dict[str, str]:
        """Return the licence, or what is needed instead of a download, by name."""
        found = {f'{detector}+{clip}': joined_licence(line.licence, other.licence)
                 for detector, line in self.detectors.items()
                 for clip, other in self.clips.items()}
        return {**found, **{name: line.needs or f'see {line.hub}'
                            for name, line in self.bundles.items()}}


def joined_licence(*licences: str) -> str:
    """Return the SPDX expression of several licences that all hold."""
    return ' AND '.join(dict.fromkeys(licences))


def is_permissive(licence: str) -> bool:
    """Return whether every part of an SPDX expression `A AND B` is a permissive licence."""
    return all(part.strip() in PERMISSIVE for part in licence.split(' AND '))


def bundles_directory() -> Path:
    """Return where pulled bundles go: `bundles/` of the user's cache."""
    return cache_directory() / 'bundles'


def read_bundle_list(path: Optional[Path] = None) -> BundleList:
    """Read the list; None = the one that ships. Raises `BundleError` with one sentence."""
    path = path or resource_path(FILE)
    if path is None:
        raise BundleError(f'{FILE} is not installed: reinstall hoi_perception.')
    try:
        return BundleList.model_validate(yaml.safe_load(path.read_text(encoding='utf-8')))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        reason = ' '.join(str(error).split())[:300]
        raise BundleError(f'{path} is not a list of bundles: {reason}') from error
