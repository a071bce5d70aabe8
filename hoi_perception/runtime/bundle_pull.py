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
Bundles by name: fetched whole from a hub, or assembled from a detector and a CLIP of a hub.

Every file of a whole bundle is compared with the SHA-256 in its `bundle.yaml`. What has come is
kept beside the target until all of it is there, so that the next pull goes on.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
import shutil
from typing import Callable, Optional

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import Bundle, MANIFEST, PICKLES, read_spec, sha256
from hoi_perception.runtime.bundle_list import (
    BundleList,
    bundles_directory,
    ClipLine,
    DetectorLine,
    is_permissive,
    joined_licence,
    PERMISSIVE,
)
from hoi_perception.runtime.hub import Hub, is_repository, NOTES

DETECTOR_FILES = ('config.json', 'preprocessor_config.json', 'model.safetensors')


@dataclass(frozen=True)
class PullRequest:
    """
    What to pull.

    name: of the list, or OWNER/REPOSITORY of a whole bundle. out: directory to write, None =
    `bundles_directory()`/name. mirror: see `Hub.at`. revision: of the bundle's repository; for a
    recipe, of the detector's. accept_licence: the user agrees to one that is not permissive.
    """

    name: str
    out: Optional[Path] = None
    mirror: str = ''
    revision: Optional[str] = None
    accept_licence: bool = False


def pull_bundle(request: PullRequest, listed: BundleList,
                report: Callable[[str], None] = print) -> Bundle:
    """Pull, check and return a bundle; raises `HoiError` with one sentence on bad input."""
    hub = Hub.at(request.mirror)
    out = request.out or bundles_directory() / request.name.replace('/', '--')
    if out.exists() and not (out.is_dir() and
                             ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise BundleError(f'{out} exists and is not a bundle: choose another directory (--out).')
    work = out.with_name(f'.{out.name}.partial')
    work.mkdir(parents=True, exist_ok=True)
    try:
        recipe = listed.recipe(request.name)
        if recipe:
            bundle = _assemble(request, *recipe, hub, work, out, report)
        else:
            bundle = _fetch(request, _repository(request.name, listed), hub, work, out, report)
    finally:
        with suppress(OSError):  # only an empty one goes: what has come serves the next pull
            work.rmdir()
    return bundle


def _repository(name: str, listed: BundleList) -> str:
    line = listed.bundles.get(name)
    if line is not None and line.needs:
        raise BundleError(f'{name}: {line.needs}')
    if line is not None:
        return line.hub
    if not is_repository(name):
        raise BundleError(f'bundle {name!r} is not listed; give one of '
                          f'{", ".join(listed.names())}, or OWNER/REPOSITORY of a hub.')
    return name


def _agree(request: PullRequest, licence: str, where: str,
           report: Callable[[str], None]) -> None:
    report(f'licence of {request.name}: {licence}')
    if not is_permissive(licence) and not request.accept_licence:
        raise BundleError(f'the licence of {request.name}, {licence!r}, is not one of '
                          f'{", ".join(sorted(PERMISSIVE))}: read it at {where}, then pull again '
                          'with --accept-licence.')


def _fetch(request: PullRequest, repository: str, hub: Hub, work: Path, out: Path,
           report: Callable[[str], None]) -> Bundle:
    """Fetch a whole bundle: the manifest first, so that the licence comes before the weights."""
    manifest = hub.file(repository, MANIFEST, request.revision, work)
    spec = read_spec(manifest)
    _agree(request, spec.licence, f'{hub} {repository}', report)
    for name, expected in spec.files.items():
        if Path(name).suffix.lower() in PICKLES:
            raise BundleError(f'{repository} names {name}, a pickle file, which can run code when '
                              'loaded: it is not fetched.')
        target = work / name
        source = hub.file(repository, name, request.revision, work)
        if (got := sha256(source)) != expected:
            if source == target:
                target.unlink()  # or the next pull would go on with the damaged file
            raise BundleError(f'{repository}/{name} from {hub} has SHA-256 {got[:12]}..., '
                              f'{MANIFEST} says {expected[:12]}...: pull again, and if that does '
                              'not help, tell who published it.')
        report(f'{name}: {source.stat().st_size / 1e6:.1f} MB, SHA-256 as recorded')
    if hub.directory is not None:
        for name in (*spec.files, MANIFEST):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(hub.directory / repository / name, work / name)
    shutil.rmtree(work / NOTES, ignore_errors=True)
    Bundle.open(work)
    return _put_in_place(work, out)


def _put_in_place(work: Path, out: Path) -> Bundle:
    old = out.with_name(f'.{out.name}.old')
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    work.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return Bundle.open(out, verify=False)


def _assemble(request: PullRequest, detector: DetectorLine, clip: ClipLine, hub: Hub, work: Path,
              out: Path, report: Callable[[str], None]) -> Bundle:
    """Fetch a detector and a CLIP and build a bundle of them, without training."""
    licence = joined_licence(detector.licence, clip.licence)
    _agree(request, licence, f'{detector.hub} and {clip.hub}', report)
    config = [hub.file(detector.hub, name, request.revision, work / 'detector')
              for name in DETECTOR_FILES][0]
    report(f'{detector.hub}: detector is here')
    weights = hub.file(clip.hub, clip.file, None, work / 'clip')
    report(f'{clip.hub}: CLIP is here')
    from hoi_perception.runtime.bundle_build import build_bundle, BuildRequest
    bundle = build_bundle(BuildRequest(
        str(config.parent), clip.model, str(weights), request.name, human=detector.human,
        licence=licence, provenance=f'Detector {detector.hub}; CLIP {clip.model}, weights '
                                    f'{clip.hub}. Built without training.'), out)
    shutil.rmtree(work)
    return bundle
