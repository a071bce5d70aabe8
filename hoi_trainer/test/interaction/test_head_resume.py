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

"""A run that was killed with -9 and continued ends exactly where an uninterrupted one ends."""

import os
import signal
import subprocess
import sys
import time

from hoi_trainer.cli import main
from hoi_trainer.training.weights import read_weights
import torch

ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1'}


def test_a_killed_run_continues_to_the_metrics_of_an_uninterrupted_one(write_config, tmp_path):
    whole, killed = (write_config(tmp_path / name, 48) for name in ('whole', 'killed'))
    assert main(['fit', '-c', str(whole)]) == 0
    process = subprocess.Popen(
        [sys.executable, '-m', 'hoi_trainer.cli', 'fit', '-c', str(killed), '--budget.samples',
         '48'], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = killed.parent / 'last.ckpt'
    while process.poll() is None and not checkpoint.is_file():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    step = torch.load(checkpoint, weights_only=False)['global_step']
    assert 2 <= step < 12 and not (killed.parent / 'lain.safetensors').exists()
    assert main(['fit', '-c', str(killed)]) == 0
    curves = [(path.parent / 'curves.csv').read_text() for path in (whole, killed)]
    assert curves[0] == curves[1] and 'val/map' in curves[0]
    first, second = (read_weights(path.parent / 'lain.safetensors') for path in (whole, killed))
    assert first[0] == second[0]
    for name, value in first[1].items():
        assert torch.equal(value, second[1][name]), name
