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

"""A run of CL-HOI by two processes is the run of one process that has both their images."""

import csv
import os
import subprocess
import sys

from hoi_trainer.cli import main
from hoi_trainer.teaching.module import LOSSES
import pytest

SETTINGS = ['--trainer.precision', '32-true', '--trainer.limit_val_batches', '0',
            '--data.init_args.jitter', '0', '--budget.samples', '8']


def _curves(directory):
    """Return the training losses by name, step by step."""
    with open(directory / 'curves.csv', newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['metric'].startswith('train/')]
    return {name: [float(row['value']) for row in rows if row['metric'] == name]
            for name in {row['metric'] for row in rows}}


@pytest.mark.timeout(600)
def test_two_processes_learn_what_one_learns_from_the_joined_batch(write_config, tmp_path):
    alone, both = (write_config(tmp_path / name, 8) for name in ('alone', 'both'))
    assert main(['fit', '-c', str(alone), *SETTINGS]) == 0
    subprocess.run(
        [sys.executable, '-m', 'hoi_trainer.cli', 'fit', '-c', str(both), *SETTINGS,
         '--trainer.devices', '2', '--trainer.strategy', 'ddp', '--data.init_args.batch_size',
         '2'], env={**os.environ, 'OMP_NUM_THREADS': '1'}, check=True, stdout=subprocess.DEVNULL)
    expected, found = (_curves(path.parent) for path in (alone, both))
    assert {f'train/{name}' for name in (*LOSSES, 'loss')} <= set(expected)
    for name, values in expected.items():
        # The second step stands on the first one's gradients, averaged over the processes.
        assert len(values) == 2 and found[name] == pytest.approx(values, rel=1e-3), name
    assert (both.parent / 'cl_hoi.safetensors').is_file()
