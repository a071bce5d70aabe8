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

"""What a measurement was made on."""

import os
from pathlib import Path
import platform
from typing import Dict


def machine() -> Dict[str, object]:
    """Return processor, usable cores, load, device and versions."""
    import torch
    processor = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        processor = next(line.split(':')[1].strip() for line in lines
                         if line.startswith('model name'))
    except (OSError, StopIteration, IndexError):
        pass  # not Linux, or an Arm kernel that does not name the model
    return {
        'processor': processor,
        'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        'load_before': round(os.getloadavg()[0], 2),
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        'instructions': torch.backends.cpu.get_cpu_capability(),
        'python': platform.python_version(),
        'torch': torch.__version__,
    }
