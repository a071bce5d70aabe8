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
Grids of runs: every cell in a process of its own, what is done is kept, what broke off goes on.

A cell is described by plain settings. Its directory holds `cell.json` (the settings),
`result.json` (written last, with the settings under `cell`), a log and a checkpoint.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
import json
import os
from pathlib import Path
import platform
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, TypeVar

from hoi_perception.core.errors import HoiError
import torch
import yaml

Plan = TypeVar('Plan')


def fit_arguments(cell: Any, weights: Path, more: Mapping[str, Any]) -> List[str]:
    """
    Return the arguments of `hoi-trainer fit` for a cell; everything else goes beside its weights.

    cell: with the fields training (YAML), bundle, train, cache, seed, batch_size, limit (0 = all),
    samples and settings (arguments of the model). more: other options by their dotted names.
    """
    values = {
        'config': cell.training, 'seed_everything': cell.seed, **more,
        'model.init_args.bundle': cell.bundle, 'data.init_args.bundle': cell.bundle,
        'data.init_args.train': cell.train, 'data.init_args.cache': cell.cache,
        'data.init_args.seed': cell.seed, 'data.init_args.batch_size': cell.batch_size,
        'data.init_args.limit': cell.limit or 'null', 'budget.samples': cell.samples,
        'trainer.enable_progress_bar': 'false', 'trainer.default_root_dir': weights.parent,
        'checkpoint.dirpath': weights.parent, 'write.path': weights,
        **{f'model.init_args.{name}': value for name, value in cell.settings.items()}}
    return ['fit', *(word for name, value in values.items() for word in (
        f'--{name}', str(value) if isinstance(value, (str, Path)) else json.dumps(value)))]


def finished(settings: Mapping[str, Any], directory: Path) -> Optional[dict]:
    """Return a finished result of exactly these settings."""
    path = directory / 'result.json'
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    return result if result['cell'] == json.loads(json.dumps(settings)) else None


def run_cell(module: str, settings: Mapping[str, Any], directory: Path) -> dict:
    """
    Run `python -m MODULE SETTINGS DIRECTORY` and return its result.

    Checkpoints of other settings are removed, those of the same are continued. Raises `HoiError`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings)
    stamp = directory / 'cell.json'
    if not stamp.is_file() or stamp.read_text() != text:
        for old in directory.glob('*.ckpt'):
            old.unlink()
        stamp.write_text(text)
    with open(directory / 'log.txt', 'a', encoding='utf-8') as log:
        code = subprocess.call([sys.executable, '-m', module, text, str(directory)], stdout=log,
                               stderr=log, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    result = finished(settings, directory)
    if code or result is None:
        raise HoiError(f'run {directory.name} failed with code {code}: see '
                       f'{directory / "log.txt"}. Call again to go on with the others.')
    return result


def run_cells(module: str, cells: Mapping[str, Mapping[str, Any]], root: Path, processes: int,
              report: Callable[[str, dict], None]) -> Dict[str, dict]:
    """
    Return the result of every cell by name, running what is missing, `processes` at a time.

    report: is told each new result, in the order of the cells.
    """
    done = {name: result for name, settings in cells.items()
            if (result := finished(settings, root / name))}
    missing = [name for name in cells if name not in done]
    with ThreadPoolExecutor(processes) as pool:
        for name, result in zip(missing, pool.map(
                lambda name: run_cell(module, cells[name], root / name), missing)):
            done[name] = result
            report(name, result)
    return {name: done[name] for name in cells}


def run_grid(module: str, cells: Sequence[Any], root: Path, processes: int,
             seconds: Callable[[Any], float], prepare: Callable[[Sequence[Any]], None],
             figure: Callable[[dict], str]) -> List[dict]:
    """
    Say what the grid takes, run what is missing, and return every result in the cells' order.

    cells: frozen dataclasses with a `name`. seconds: what a cell should take on one core.
    prepare: is given the missing cells before the first of them runs. figure: what to tell of a
    result, in words.
    """
    described = {cell.name: asdict(cell) for cell in cells}
    missing = [cell for cell in cells if not finished(described[cell.name], root / cell.name)]
    total, rest = (sum(map(seconds, some)) / processes / 60 for some in (cells, missing))
    print(f'{len(cells)} runs, {total:.0f} minutes in all on {processes} processes; '
          f'{len(missing)} to do, {rest:.0f} minutes', flush=True)
    if missing:
        prepare(missing)
    started = time.monotonic()

    def report(name: str, result: dict) -> None:
        print(f'{name}: {figure(result)}, {result["train_seconds"]:.0f} + '
              f'{result.get("test_seconds", 0):.0f} s, {(time.monotonic() - started) / 60:.1f} '
              'minutes so far', flush=True)
    return list(run_cells(module, described, root, processes, report).values())


def read_grid(path: Path, what: str, example: str, build: Callable[[Dict[str, Any]], Plan],
              changes: Mapping[str, Any]) -> Plan:
    """
    Read the YAML of a grid and return what `build` makes of its content.

    what, example: for people, such as 'heads' and 'heads.yaml'. changes: replace values of the
    YAML where they are not None. Raises `HoiError`.
    """
    if not path.is_file():
        raise HoiError(f'{path} is not there: give the YAML of a comparison, such as '
                       f'configs/synthetic/{example}.')
    try:
        return build({**yaml.safe_load(path.read_text()),
                      **{name: value for name, value in changes.items() if value is not None}})
    except (AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise HoiError(f'{path} is not a comparison of {what}: {error}.') from error


def best_map(result: dict) -> str:
    """Return the best mAP among the reports of a result, in words."""
    return f'mAP {max(figures["full"] for figures in result["reports"].values()):.4f}'


def write_result(directory: Path, result: Mapping[str, Any]) -> None:
    """Write `result.json` at once, so that a reader never sees half of it."""
    directory.mkdir(parents=True, exist_ok=True)
    work = directory / 'result.new'
    work.write_text(json.dumps(result, indent=1) + '\n')
    work.replace(directory / 'result.json')


def merge_results(path: Path, content: Mapping[str, Any]) -> Path:
    """Replace some keys of a JSON of results, keep the others, and return its path."""
    kept = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**kept, **content}, indent=1) + '\n')
    return path


def machine() -> Dict[str, Any]:
    """Return what the figures depend on besides the code."""
    cpu = platform.processor()
    info = Path('/proc/cpuinfo')
    if info.is_file():
        names = [line.split(':')[1].strip() for line in info.read_text().splitlines()
                 if line.startswith('model name')]
        cpu = names[0] if names else cpu
    return {'cpu': cpu, 'cores': os.cpu_count(), 'torch': torch.__version__,
            'python': platform.python_version()}
