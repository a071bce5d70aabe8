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
What TensorRT would take of everything that ships or is listed, asked without GPU and TensorRT.

    python -m benchmarks.tensorrt_coverage [NAME ...]

NAME: `shipped`, a detector, or CLIP+HEAD of config/ready_configurations.yaml; all of them without
one. A graph of the interaction depends on the detector only by the length of its queries, which
is the same for all listed, so each detector and each CLIP+HEAD is checked once, the latter with
the first detector that the head goes with. Results are written to
benchmarks/results/tensorrt_coverage.json after each; others that stand there stay.
"""

from importlib.metadata import version
import json
from pathlib import Path
import sys
import tempfile
from typing import Dict, Iterator, List

from benchmarks.machine import machine
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.configurations import (
    configuration_names,
    configurations,
    random_bundle,
)
from hoi_perception.runtime.engines.coverage import check_graphs, graphs_to_check, VERDICT
from hoi_perception.runtime.graphs import Graph

RESULT = Path(__file__).resolve().parent / 'results' / 'tensorrt_coverage.json'
PACKAGES = ('torch_tensorrt', 'torchvision', 'transformers', 'open_clip_torch')
SHIPPED = 'shipped'


def parts() -> List[str]:
    """Return what there is to check: `shipped`, detectors, CLIP+HEAD."""
    listed = configurations()
    return [SHIPPED, *listed['detectors'],
            *(f'{clip}+{head}' for clip in listed['clips'] for head in listed['heads'])]


def graphs(part: str, directory: Path) -> Iterator[Graph]:
    """Yield the graphs of a part; directory: where its random bundle is written."""
    if part == SHIPPED:
        bundle = Bundle.open(default_bundle_path())
        yield from graphs_to_check(bundle, list(bundle.spec.heads))
        return
    alone = part in configurations()['detectors']
    bundle = random_bundle(next(name for name in configuration_names() if (
        name.startswith(f'{part}+') if alone else name.endswith(f'+{part}'))), directory)
    found = graphs_to_check(bundle, list(bundle.spec.heads))
    detector = next(found)
    if alone:
        yield detector
    else:
        yield from found


def check(part: str) -> Dict[str, object]:
    """Return the rows of a part, each printed as it is found."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for row in check_graphs(graphs(part, Path(directory) / 'bundle')):
            rows.append(row.as_dict())
            print(f'{part}: {row.graph} {row.bucket}: {row.covered} of {row.operators}, '
                  f'{row.segments}+{row.torch_segments} segments, {len(row.breaks)} breaks '
                  f'{row.error}', flush=True)
    return {'full': all(row['full'] for row in rows), 'graphs': rows}


def main(names: List[str]) -> None:
    """Check and write after each part, so that a part can be repeated alone."""
    known = parts()
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f'{", ".join(unknown)}: not among {", ".join(known)}.')
    for part in names or known:
        checked = check(part)
        found = json.loads(RESULT.read_text())['parts'] if RESULT.exists() else {}
        found[part] = checked
        RESULT.write_text(json.dumps({
            'verdict': VERDICT, 'machine': machine(),
            'versions': {name: version(name) for name in PACKAGES},
            'parts': {name: found[name] for name in known if name in found}}, indent=1) + '\n')


if __name__ == '__main__':
    main(sys.argv[1:])
