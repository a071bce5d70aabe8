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

"""`make bench`: run every benchmark and keep its report in benchmarks/results."""

import json
from pathlib import Path

from benchmarks import engines, frame_conversion, pipeline_throughput

RESULTS = Path(__file__).resolve().parent / 'results'


def main() -> None:
    """Run and write one JSON file per benchmark."""
    RESULTS.mkdir(exist_ok=True)
    for module, arguments in ((frame_conversion, ()), (pipeline_throughput, ([],))):
        name = module.__name__.split('.')[-1]
        report = module.main(*arguments)
        (RESULTS / f'{name}.json').write_text(json.dumps(report, indent=2) + '\n')
        print(f'written: benchmarks/results/{name}.json')
    engines.main([])


if __name__ == '__main__':
    main()
