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
What engines are on the disk, and which of them no bundle of this machine can use any more.

An engine is kept under its whole key, so another version, driver or weights file leaves the old
one behind. Nothing loads it again; it only takes room until it is removed.
"""

from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
import re
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle, MANIFEST
from hoi_perception.runtime.bundle_list import bundles_directory
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.choose import backend_named
from hoi_perception.runtime.engines.eager import Eager
from hoi_perception.runtime.engines.key import EngineKey, machine_name
from hoi_perception.runtime.engines.places import (
    cache_directory,
    engine_directories,
    user_directory,
)
from hoi_perception.runtime.engines.store import EngineStore, read_engine, size_of
from hoi_perception.runtime.graphs import bundle_graphs
import torch

KEPT, REFUSED, STALE, DAMAGED, UNKNOWN = 'kept', 'refused', 'stale', 'damaged', 'unknown'
# Engines alone are looked at, whatever else lies there: their names end with a digest.
NAME = re.compile(r'[^.].*-[0-9a-f]{16}')
Digests = Dict[Tuple[str, str], Tuple[str, str]]


class Stocked(NamedTuple):
    """
    One engine on the disk.

    bundle: the directory of its bundle, None = not known. label: graph, bucket, backend and
    precision. size: bytes. speedup: times as fast as eager when it was built, 0 = not measured.
    state: kept (its key matches), refused (so it does, but it decides otherwise than eager),
    stale, damaged, or unknown (its bundle or backend cannot be asked). reason: for all but kept.
    """

    directory: Path
    bundle: Optional[Path]
    label: str
    size: int
    speedup: float
    state: str
    reason: str

    @property
    def useless(self) -> bool:
        """Whether nothing on this machine will load it again."""
        return self.state in (STALE, DAMAGED)


def stores_of(bundle: Bundle, out: Optional[Path] = None) -> Tuple[Path, ...]:
    """Return the directories that engines of a bundle may be in; out: one more."""
    return tuple(dict.fromkeys([*engine_directories(bundle, out), user_directory(bundle)]))


def known_stores(shipped: Path) -> Tuple[Path, ...]:
    """Return the directories of the shipped bundle, of pulled ones and of the user's cache."""
    pulled = sorted(path.parent for path in bundles_directory().glob(f'*/{MANIFEST}'))
    return (*(bundle / 'engines' for bundle in (shipped, *pulled)),
            *sorted((cache_directory() / 'engines').glob('[!.]*')))


def take_stock(stores: Iterable[Path]) -> Iterator[Stocked]:
    """Yield every engine in the directories and what became of it; reads all of their files."""
    digests = lru_cache(maxsize=None)(_digests)
    for store in stores:
        for path in sorted(store.glob('*')):
            if path.is_dir() and NAME.fullmatch(path.name):
                yield _look(path, digests)


def prune(stores: Iterable[Path], report: Callable[[str], None],
          dry_run: bool = False) -> List[str]:
    """
    Remove engines that nothing will load again, and what killed builds left.

    report: receives a sentence for each and one with the sum of bytes. dry_run: only say so.
    Return a sentence for every engine that could not be removed.
    """
    stores, failures, count, freed = tuple(stores), [], 0, 0
    done = 'would be removed' if dry_run else 'removed'
    for engine in take_stock(stores):
        if not engine.useless:
            continue
        try:
            if not dry_run:
                EngineStore(engine.directory.parent).discard(engine.directory.name)
        except EngineError as error:
            failures.append(str(error))
            continue
        count, freed = count + 1, freed + engine.size
        report(f'{engine.directory} ({megabytes(engine.size)}) {done}: {engine.reason}')
    left = sum(EngineStore(store).clear(remove=not dry_run) for store in stores)
    if left:
        report(f'What killed builds left ({megabytes(left)}) {done}.')
    report(f'Engines {done}: {count}, {megabytes(freed + left)} in all.')
    return failures


def megabytes(size: int) -> str:
    """Return bytes for people to read."""
    return f'{size / 1e6:.1f} MB'


def _look(path: Path, digests: Callable[..., Digests]) -> Stocked:
    try:
        stored = read_engine(path)
        stored.verify()
    except EngineError as error:
        return Stocked(path, _home(path, {}), path.name, size_of(path), 0.0, DAMAGED, str(error))
    bundle = _home(path, stored.facts)
    state, reason = _judge(stored.key, bundle, digests)
    if state == KEPT and stored.refused:
        state, reason = REFUSED, stored.refused
    return Stocked(path, bundle, stored.key.label, size_of(path), stored.speedup, state, reason)


def _home(path: Path, facts: Mapping[str, Any]) -> Optional[Path]:
    """Return the bundle that an engine lies in, which may have moved, or was built for."""
    around = path.parent.parent
    if (around / MANIFEST).is_file():
        return around
    return Path(facts['bundle']) if facts.get('bundle') else None


def _judge(key: EngineKey, bundle: Optional[Path],
           digests: Callable[..., Digests]) -> Tuple[str, str]:
    """Return state and reason; the networks are made only where all else is the same."""
    if bundle is None:
        return UNKNOWN, 'it does not say which bundle it was built for.'
    if not (bundle / MANIFEST).is_file():
        return STALE, f'its bundle {bundle} is gone.'
    machines = _machines()
    device = machines.get(key.machine)
    if device is None:
        return STALE, f'it was built for {key.machine} (here {", ".join(machines)}).'
    try:
        backend = backend_named(key.backend)
        if missing := backend.unavailable(device):
            return UNKNOWN, missing
        here = replace(key, version=backend.version(), torch=torch.__version__)
        if here == key:
            batch = re.match(r'batch(\d+)', key.bucket)
            found = digests(bundle, key.name.partition('/')[2], int(batch[1]) if batch else 1,
                            device)
            if (key.name, key.bucket) not in found:
                return STALE, f'its bundle {bundle} has no {key.name} {key.bucket} any more.'
            weights, graph = found[key.name, key.bucket]
            here = replace(here, weights=weights, graph=graph)
    except HoiError as error:
        return UNKNOWN, str(error)
    if differences := here.differences(asdict(key)):
        return STALE, f'it was built for {", ".join(differences)}.'
    return KEPT, ''


def _machines() -> Dict[str, torch.device]:
    """Return the devices of this machine by the names that keys have for them."""
    devices = [torch.device('cpu'),
               *(torch.device('cuda', index) for index in range(torch.cuda.device_count()))]
    return {machine_name(device): device for device in reversed(devices)}


def _digests(path: Path, head: str, batch: int, device: torch.device) -> Digests:
    """Return digests of weights and graph by name and bucket: a head's, '' = the detector's."""
    bundle = Bundle.open(path, verify=False)
    if head and head not in bundle.spec.heads:
        return {}
    graphs = bundle_graphs(bundle, head or next(iter(bundle.spec.heads)), device, batch)
    found: Digests = {}
    for graph in graphs:
        if bool(head) != (graph.name == 'detector'):
            key = EngineKey.of(graph, Eager(), 'fp32')
            found[graph.name, graph.bucket] = key.weights, key.graph
        if not head:
            break
    return found
