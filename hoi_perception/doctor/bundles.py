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

"""The bundles and engines on this machine."""

from pathlib import Path
from typing import Iterator, List

from hoi_perception.doctor.finding import Finding, one_line, PROBLEM, WARNING


def bundles() -> Iterator[Finding]:
    """Yield the default bundle, every file of it checked, then the others and the engines."""
    from hoi_perception.core.errors import BundleError
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path, MANIFEST, resource_path
    from hoi_perception.runtime.bundle_list import bundles_directory
    default = None
    try:
        default = Bundle.open(default_bundle_path())
        yield Finding('default bundle', f'{default.path}, {default.model_id}, files as recorded')
    except BundleError as error:
        yield Finding('default bundle', one_line(error), PROBLEM,
                      'Install the project again, or start the node with `-p '
                      'bundle:=DIRECTORY` of a whole one (`hoi bundle pull` lists them).')
    places = [path for path in (resource_path('models'), bundles_directory()) if path is not None]
    others = [found.parent for place in places for found in sorted(place.glob(f'*/{MANIFEST}'))
              if default is None or found.parent != default.path]
    for path in others:
        try:
            yield Finding('bundle', f'{path}, {Bundle.open(path, verify=False).model_id}')
        except BundleError as error:
            yield Finding('bundle', one_line(error), WARNING,
                          f'It cannot be used: `rm -r {path}` and pull or build it again.')
    if default is not None:
        yield _engines(default)


def _engines(bundle) -> Finding:
    from hoi_perception.runtime.engines.places import engine_directories
    from hoi_perception.runtime.engines.store import RECORD
    built: List[Path] = [found.parent for directory in engine_directories(bundle)
                         for found in sorted(directory.glob(f'[!.]*/{RECORD}'))]
    if not built:
        return Finding('engines', 'none built for the default bundle', cure='Networks run with '
                       'PyTorch itself; `hoi engine build` makes them faster.')
    return Finding('engines', f'{len(built)} in {built[0].parent}')
