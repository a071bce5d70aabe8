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

"""Check that imports go one way: each floor may import only the floors below it."""

import ast
from pathlib import Path
import sys

FLOORS = ('core', 'networks', 'evaluation', 'runtime', 'replay', 'ros')
# replay and ros stand side by side on runtime; ros may also use replay (the demo reads bags).
ROS_ONLY = ('rclpy', 'hoi_msgs', 'sensor_msgs', 'std_msgs', 'diagnostic_msgs', 'lifecycle_msgs',
            'rcl_interfaces', 'geometry_msgs', 'visualization_msgs', 'launch', 'launch_ros')


def imported(path):
    """Yield (line, dotted name) of every import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def problems(root):
    """Yield one sentence per import against the direction."""
    for path in sorted((root / 'hoi_perception').rglob('*.py')):
        parts = path.relative_to(root / 'hoi_perception').parts
        floor = parts[0] if len(parts) > 1 else None
        for line, name in imported(path):
            where = f'{path.relative_to(root)}:{line}'
            if name.split('.')[0] == 'hoi_trainer':
                yield f'{where}: the runtime imports {name}; the trainer stands above it.'
            if name.split('.')[0] in ROS_ONLY and floor != 'ros':
                yield f'{where}: {name} may be imported only in hoi_perception/ros.'
            if name.startswith('hoi_perception.') and floor in FLOORS:
                other = name.split('.')[1]
                if other in FLOORS and FLOORS.index(other) > FLOORS.index(floor):
                    yield f'{where}: {floor} imports {name}, which stands above it.'


if __name__ == '__main__':
    found = list(problems(Path(__file__).resolve().parent.parent))
    print('\n'.join(found) or 'imports go one way')
    sys.exit(bool(found))
