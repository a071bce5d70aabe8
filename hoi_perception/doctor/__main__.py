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

"""One check: `python -m hoi_perception.doctor NAME SECONDS` prints its rows as the last line."""

import json
import sys

from hoi_perception.doctor.checks import CAMERAS, CHECKS, LAST_LINE
from hoi_perception.ros import doctor as ros_doctor


def main(name: str, cameras_s: str) -> None:
    """Run the check and print what it found."""
    found = (ros_doctor.cameras(float(cameras_s)) if name == CAMERAS
             else next(check for check in CHECKS if check.name == name).look())
    rows = [row._asdict() for row in found]
    print(LAST_LINE + json.dumps(rows), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
