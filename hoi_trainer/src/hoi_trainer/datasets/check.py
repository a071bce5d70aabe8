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

"""Recognise a data set, name everything that is wrong with it, and say what it holds."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.pair_table import find_problems, PairTable
from hoi_perception.evaluation.datasets.problems import errors_in, Problem, WARNING
from hoi_trainer.datasets.hico_det import read_hico_json
from hoi_trainer.datasets.hico_mat import open_mat, read_mat, SPLITS
from hoi_trainer.datasets.images import ImageSource, open_images
from hoi_trainer.datasets.synthetic import is_synthetic, read_synthetic, synthetic_images
from hoi_trainer.datasets.vcoco import read_vcoco_json
import numpy as np

KNOWN = ('HICO-DET (anno_bbox.mat, instances_*.json, HAKE training JSON), V-COCO '
         '(instances_vcoco_*.json, vcoco_*.json) and directories of `hoi-trainer synth`')


@dataclass(frozen=True)
class Check:
    """What was found: the pairs of each table (two for a `.mat`) and all problems."""

    tables: Tuple[PairTable, ...]
    problems: Tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Tell whether the data can be used: warnings only, or nothing."""
        return not errors_in(self.problems)

    def summary(self) -> List[str]:
        """Return the lines to print after the problems: counts, object order, problems by kind."""
        lines = [line for table in self.tables for line in _summary(table)]
        kinds = Counter((problem.severity, problem.kind) for problem in self.problems)
        lines += [f'{count} {severity}{"s" if count > 1 else ""} {kind}'
                  for (severity, kind), count in sorted(kinds.items())]
        errors, total = len(errors_in(self.problems)), len(self.problems)
        lines.append(f'{"clean" if self.clean else "not usable"}: {errors} errors, '
                     f'{total - errors} warnings')
        return lines


def check_data(path, images: Optional[Path] = None, object_order: Optional[str] = None,
               coco: Optional[Path] = None, ids: Optional[Path] = None) -> Check:
    """
    Check the data set at a path, whatever form it has.

    images: directory of photos, to check that they exist and are as large as annotated (file
    headers only). object_order: as for `load_hico`. coco, ids: as for `load_vcoco`. Raises
    `HoiError` if it is no data set or the order of objects cannot be decided.
    """
    path = Path(path)
    source: Optional[ImageSource] = open_images(images)
    if path.is_dir():
        if not is_synthetic(path):
            inside = [f.name for f in sorted(path.iterdir()) if f.suffix in ('.json', '.mat')]
            raise HoiError(f'{path} is no data set: a directory is one if `hoi-trainer synth` '
                           'wrote it; of other sets give the annotation file'
                           + (f', one of {", ".join(inside)}.' if inside else '.'))
        tables: Tuple[PairTable, ...] = (read_synthetic(path),)
        source = synthetic_images(path)
    elif path.suffix == '.mat':
        raw = open_mat(path)
        tables = tuple(read_mat(raw, split, str(path))
                       for split in SPLITS if f'bbox_{split}' in raw)
    else:
        tables = (_read_json_form(path, object_order, coco, ids),)
    problems = tuple(problem for table in tables for problem in find_problems(table, source))
    return Check(tables, problems + _nothing(tables, path))


def print_check(found: Check, echo: Callable[[str], None], limit: Optional[int] = None) -> None:
    """Print every problem (of each kind at most `limit`) and the summary."""
    shown: Counter = Counter()
    for problem in found.problems:
        shown[problem.kind] += 1
        if limit is None or shown[problem.kind] <= limit:
            echo(str(problem))
    for kind, count in shown.items():
        if limit is not None and count > limit:
            echo(f'... and {count - limit} more [{kind}]')
    for line in found.summary():
        echo(line)


def _read_json_form(path: Path, object_order: Optional[str], coco: Optional[Path],
                    ids: Optional[Path]) -> PairTable:
    raw = read_json(path)
    table = read_hico_json(raw, str(path), object_order)
    if table is None:
        table = read_vcoco_json(raw, str(path), coco, ids)
    if table is None:
        raise HoiError(f'{path} is no data set this command knows: {KNOWN}.')
    return table


def _nothing(tables: Tuple[PairTable, ...], path: Path) -> Tuple[Problem, ...]:
    if any(len(table.record) for table in tables):
        return ()
    return (Problem('no_pairs', WARNING, str(path), '', 'there is nothing to learn from',
                    'no usable pair', 'pairs of a person and an object'),)


def _summary(table: PairTable) -> List[str]:
    names = table.names
    with_pairs = len(np.unique(table.record))
    classes = names.class_table()[table.verbs, table.objects]
    sized = int((table.sizes > 0).all(1).sum())
    return [
        f'{table.file}: {table.form}',
        f'{len(table.images)} images, {len(table.images) - with_pairs} without pairs, '
        f'{len(table.images) - sized} without a size',
        f'{len(table.record)} pairs of {len(np.unique(classes[classes >= 0]))} of '
        f'{len(names.combinations)} HOI classes, {len(np.unique(table.verbs))} of '
        f'{len(names.verbs)} verbs, {len(np.unique(table.objects))} of {len(names.objects)} '
        'objects',
        *table.notes]
