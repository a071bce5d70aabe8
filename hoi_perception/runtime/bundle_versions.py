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
Versions of the bundle's schema, and how an older `bundle.yaml` becomes one of today.

A program reads every version from 1.0 to its own. docs/versions.md says when a version is made;
each one adds a step here and keeps those before it.
"""

from typing import Any, Callable, Dict, Literal, Mapping, NamedTuple

from hoi_perception.core.errors import BundleError

SCHEMA_VERSION: Literal['1.0'] = '1.0'


class Step(NamedTuple):
    """To which version a step leads, and what it does to the content of `bundle.yaml`."""

    to: str
    change: Callable[[Mapping[str, Any]], Dict[str, Any]]


STEPS: Dict[str, Step] = {'1': Step('1.0', dict)}
"""The step from each older version; '1' was written before the first release."""


def migrated(content: Mapping[str, Any], where: str) -> Dict[str, Any]:
    """
    Return the content of a `bundle.yaml` in today's schema.

    where: the file, for the sentence. Raises `BundleError` for a version that is not known.
    """
    asked = content.get('schema_version')
    version = str(asked)
    while version != SCHEMA_VERSION:
        if version not in STEPS:
            raise BundleError(
                f'{where} has schema_version {asked}, this program reads '
                f'{", ".join([*STEPS, SCHEMA_VERSION])}: update hoi_perception, or build the '
                'bundle again with this version of it.')
        content, version = STEPS[version].change(content), STEPS[version].to
    return {**content, 'schema_version': SCHEMA_VERSION}
