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
Many bags at once on Ray: here by default, on a cluster by its address (extra `fleet`).

Every bag is one replay into a directory of its own; one table says how each went. A bag that
fails is tried again and then reported, and never stops the others.
"""

from collections import Counter, deque
from dataclasses import asdict, dataclass, fields
import json
import os
from pathlib import Path
import socket
import time
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError

TABLE, SUMMARY, REPORT = 'fleet.parquet', 'fleet.json', 'report.json'
STORE_BYTES = 80_000_000
"""For Ray's object store: only sentences and numbers travel, frames never do."""

Job = Callable[[Path, Path], None]
"""Replays a bag into a directory and writes its report.json there; must be picklable."""


@dataclass(frozen=True)
class FleetOptions:
    """
    How to share the work.

    workers: bags at once. address: a Ray cluster (`ray://host:10001`, `auto`), None = processes
    of this machine. retries: how often a bag that failed is tried again. gpus: of each worker; a
    part of one shares it.
    """

    workers: int = 2
    address: Optional[str] = None
    retries: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise HoiError(f'{self.workers} workers cannot do anything: give 1 or more.')
        if self.retries < 0 or self.gpus < 0:
            raise HoiError(f'retries {self.retries} and gpus {self.gpus} must be 0 or more.')


@dataclass(frozen=True)
class FleetRow:
    """
    How one bag went; a row of the table.

    error: the sentence of the last attempt, '' when ok. Numbers are None where the report does
    not have them; of a damaged bag they are about what could be read. triplet_map: with its 95 %
    interval, over `judged` frames by `protocol`. p50_ms, p95_ms: from arrival to result, as in
    the bag's own report. sha256: of the input files, in the order of their names.
    """

    bag: str
    path: str
    out: str
    ok: bool
    attempts: int
    error: str = ''
    host: str = ''
    seconds: float = 0.0
    frames: Optional[int] = None
    answered: Optional[int] = None
    dropped: Optional[int] = None
    bad: Optional[int] = None
    judged: Optional[int] = None
    triplet_map: Optional[float] = None
    triplet_map_low: Optional[float] = None
    triplet_map_high: Optional[float] = None
    protocol: str = ''
    p50_ms: Optional[float] = None
    p95_ms: Optional[float] = None
    mode: str = ''
    model_id: str = ''
    sha256: str = ''


def run_fleet(bags: Sequence[Path], out: Path, job: Job, options: FleetOptions = FleetOptions(),
              tell: Callable[[str], None] = lambda text: None) -> List[FleetRow]:
    """
    Replay every bag, write `fleet.parquet` and `fleet.json` into out, return a row per bag.

    job: what replays one bag. tell: is given a sentence whenever a bag is done or failed. Raises
    `HoiError` for bad input, a missing extra or a cluster that does not answer.
    """
    ray, parquet = _libraries()
    places = directories(bags, out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _connect(ray, options)
    try:
        rows = _work(ray, places, job, options, tell)
    finally:
        ray.shutdown()
    _write_table(parquet, rows, out / TABLE)
    (out / SUMMARY).write_text(json.dumps(
        summary(rows, options, time.monotonic() - started), indent=1) + '\n', encoding='utf-8')
    return rows


def directories(bags: Sequence[Path], out: Path) -> List[Tuple[Path, Path]]:
    """Return (bag, its output directory); bags of one name are numbered. Raises `HoiError`."""
    if not bags:
        raise HoiError('no bags were given: name one or more bag directories or files.')
    if out.exists() and not out.is_dir():
        raise HoiError(f'{out} is a file: choose a directory for the results.')
    seen: Counter = Counter()
    places = []
    for bag in bags:
        # On a cluster the paths of bag and results must mean the same on every machine.
        bag = Path(bag).expanduser().absolute()
        seen[bag.stem] += 1
        number = '' if seen[bag.stem] == 1 else f'-{seen[bag.stem]}'
        places.append((bag, out.absolute() / f'{bag.stem}{number}'))
    return places


def _libraries() -> Tuple[Any, Any]:
    # Ray reports its use over the network unless it is told not to.
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    # Ray makes workers 15 steps nicer than this process; on a busy machine they would starve.
    os.environ.setdefault('RAY_worker_niceness', '0')
    try:
        import pyarrow.parquet
        import ray
    except ImportError as error:
        raise HoiError(f'replaying a fleet needs {error.name}, which is not installed: '
                       "pip install 'hoi_perception[fleet]'.") from error
    return ray, pyarrow.parquet


def _connect(ray: Any, options: FleetOptions) -> None:
    quiet = {'log_to_driver': False, 'logging_level': 'ERROR'}
    try:
        if options.address is None:
            ray.init(address='local', num_cpus=options.workers, include_dashboard=False,
                     object_store_memory=STORE_BYTES, **quiet)
        else:
            ray.init(address=options.address, **quiet)
    except Exception as error:  # ConnectionError, RuntimeError and grpc's own
        detail = ' '.join(str(error).split())[:200] or type(error).__name__
        raise HoiError(
            f'Ray does not start on this machine ({detail}).' if options.address is None else
            f'the Ray cluster {options.address} does not answer ({detail}): check the address and '
            'RAY_AUTH_TOKEN, or leave --address out to work on this machine.') from error


def _work(ray: Any, places: Sequence[Tuple[Path, Path]], job: Job, options: FleetOptions,
          tell: Callable[[str], None]) -> List[FleetRow]:
    # Retried here and not by Ray, so that every failure is seen and told.
    remote = ray.remote(num_cpus=1, num_gpus=options.gpus, max_retries=0)(_attempt)
    waiting: Deque[Tuple[int, int]] = deque((index, 1) for index in range(len(places)))
    running: Dict[Any, Tuple[int, int]] = {}
    rows: Dict[int, FleetRow] = {}
    while waiting or running:
        while waiting and len(running) < options.workers:
            index, attempt = waiting.popleft()
            bag, out = places[index]
            running[remote.remote(job, str(bag), str(out))] = index, attempt
        done, _ = ray.wait(list(running), num_returns=1)
        index, attempt = running.pop(done[0])
        bag, out = places[index]
        found = _result(ray, done[0])
        rows[index] = FleetRow(bag.name, str(bag), str(out), not found['error'], attempt, **found)
        again = not rows[index].ok and attempt <= options.retries
        if again:
            waiting.append((index, attempt + 1))
        tell(_sentence(rows[index], again))
    return [rows[index] for index in range(len(places))]


def _attempt(job: Job, bag: str, out: str) -> Dict[str, Any]:
    """Replay a bag on a worker; return the fields of its row."""
    started, error = time.monotonic(), ''
    found: Dict[str, Any] = {}
    report = Path(out) / REPORT
    report.unlink(missing_ok=True)
    try:
        job(Path(bag), Path(out))
    except HoiError as problem:
        error = str(problem)
    except Exception as problem:  # a bag that breaks something must not take the others with it
        error = f'{type(problem).__name__}: {problem}'
    if report.is_file():  # of a damaged bag, of what could be read
        found = read_result(report)
    return {**found, 'error': error, 'host': socket.gethostname(),
            'seconds': time.monotonic() - started}


def _result(ray: Any, reference: Any) -> Dict[str, Any]:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as problem:  # the worker itself died
        return {'error': 'the worker ended before the bag was done: '
                + ' '.join(str(problem).split())[:300]}


def read_result(path: Path) -> Dict[str, Any]:
    """Return the numbers of a row from a replay's report.json."""
    report = json.loads(path.read_text(encoding='utf-8'))
    frames, run = report['frames'], report['run']
    accuracy, total = report['accuracy']['full'], report['latency']['total']
    return {
        'frames': frames['input'], 'answered': frames['answered'], 'dropped': frames['dropped'],
        'bad': frames['bad'], 'judged': frames['judged'], 'triplet_map': accuracy['value'],
        'triplet_map_low': accuracy['low'], 'triplet_map_high': accuracy['high'],
        'protocol': accuracy['protocol'], 'p50_ms': total['p50']['value'],
        'p95_ms': total['p95']['value'], 'mode': run['mode'], 'model_id': run['model_id'],
        'sha256': ' '.join(digest for _, digest in sorted(run['inputs'].items()))}


def _sentence(row: FleetRow, again: bool) -> str:
    if row.ok:
        return f'{row.bag}: {row.answered} of {row.frames} frames answered in {row.seconds:.1f} s'
    return f'{row.bag}: {"failed, is tried again" if again else "failed"}: {row.error}'


def _write_table(parquet: Any, rows: Sequence[FleetRow], path: Path) -> None:
    import pyarrow
    kinds: Mapping[Any, Any] = {
        str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64(),
        float: pyarrow.float64(), Optional[int]: pyarrow.int64(),
        Optional[float]: pyarrow.float64()}
    schema = pyarrow.schema([(field.name, kinds[field.type]) for field in fields(FleetRow)])
    parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows], schema), path)


def summary(rows: Sequence[FleetRow], options: FleetOptions, wall_seconds: float) -> dict:
    """Return what the fleet did in all; the mean of the bags' mAP is a mean over bags."""
    judged = [row.triplet_map for row in rows if row.triplet_map is not None]
    return {
        'bags': len(rows), 'failed': {row.path: row.error for row in rows if not row.ok},
        'frames': sum(row.frames or 0 for row in rows),
        'answered': sum(row.answered or 0 for row in rows),
        'triplet_map_mean_over_bags': sum(judged) / len(judged) if judged else None,
        'bags_with_truth': len(judged), 'workers': options.workers,
        'hosts': sorted({row.host for row in rows if row.host}),
        'wall_seconds': wall_seconds, 'seconds_of_work': sum(row.seconds for row in rows)}
