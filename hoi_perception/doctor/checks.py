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
The table of checks, and how they run: each in a process of its own, with a time limit.

A library that was built against another NumPy can end the process that imports it, and a driver
can hang; apart from the others, both become a row of the report.
"""

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Callable, Dict, Iterable, List, NamedTuple, Tuple

from hoi_perception.doctor.bundles import bundles
from hoi_perception.doctor.finding import Finding, PROBLEM, WARNING
from hoi_perception.doctor.libraries import (
    numpy,
    openvino,
    requirements,
    tensorrt,
    torch,
)
from hoi_perception.doctor.machine import machine
from hoi_perception.ros import doctor as ros_doctor

SCHEMA_VERSION = 1
LAST_LINE = 'hoi-doctor-findings '


class Check(NamedTuple):
    """
    One process. needed: the node cannot start where the check itself fails.

    limit_s: after which it is ended; long, because the import of PyTorch from a slow disk, or on a
    machine whose cores are all busy, takes minutes.
    """

    name: str
    look: Callable[..., Iterable[Finding]]
    needed: bool = False
    limit_s: float = 240.0


CHECKS: Tuple[Check, ...] = (
    Check('machine', machine, needed=True),
    Check('requirements', requirements, needed=True),
    Check('NumPy', numpy, needed=True),
    Check('ROS 2', ros_doctor.ros, needed=True),
    Check('cv_bridge', ros_doctor.cv_bridge),
    Check('vision_msgs', ros_doctor.vision_msgs),
    Check('PyTorch', torch, needed=True),
    Check('TensorRT', tensorrt),
    Check('OpenVINO', openvino),
    Check('bundles', bundles, needed=True),
)
CAMERAS = 'cameras'


def examine(cameras_s: float) -> List[Finding]:
    """Run all checks and return their rows in order. cameras_s: 0 = do not look for cameras."""
    checks = list(CHECKS)
    if cameras_s:
        checks.append(Check(CAMERAS, ros_doctor.cameras, limit_s=cameras_s + 30))
    # Every import of PyTorch is heavy; more at once than there are cores would only be slower.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return [row for rows in pool.map(lambda check: apart(check, cameras_s), checks)
                for row in rows]


def apart(check: Check, cameras_s: float = 0.0) -> List[Finding]:
    """Run a check in a process of its own and return its rows; never raises for what it does."""
    command = [sys.executable, '-m', 'hoi_perception.doctor', check.name, str(cameras_s)]
    with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors='replace', start_new_session=True,
            cwd=Path(__file__).resolve().parents[2]) as process:
        try:
            out, err = process.communicate(timeout=check.limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return [_failed(check, f'no answer within {check.limit_s:g} s')]
    for line in reversed(out.splitlines()):
        if line.startswith(LAST_LINE):
            return [Finding(**row) for row in json.loads(line[len(LAST_LINE):])]
    return [_failed(check, ended(process.returncode, err))]


def ended(code: int, errors: str) -> str:
    """Say how a process ended that gave no answer."""
    how = f'exit code {code}' if code >= 0 else f'signal {signal.Signals(-code).name}'
    last = (errors.strip().splitlines() or [''])[-1][:200]
    return f'the check ended with {how}' + (f': {last}' if last else '')


def _failed(check: Check, found: str) -> Finding:
    command = f'{Path(sys.executable).name} -m hoi_perception.doctor {check.name!r} 0'
    return Finding(check.name, found, PROBLEM if check.needed else WARNING,
                   f'Look at the whole output of `{command}`; install again what it names.')


def can_start(findings: Iterable[Finding]) -> bool:
    """Return whether the node can start: no row is a problem."""
    return all(row.state != PROBLEM for row in findings)


def as_json(findings: List[Finding]) -> Dict:
    """Return the report for programs."""
    return {'schema_version': SCHEMA_VERSION, 'can_start': can_start(findings),
            'findings': [row._asdict() for row in findings]}
