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

"""The report of `benchmarks.engines` as tables and as one picture."""

from pathlib import Path
from typing import Any, Dict

STAGES = ('preprocess', 'detect', 'select', 'interact', 'masks')


def print_tables(report: Dict[str, Any]) -> None:
    """Print what was measured."""
    print(json_line('machine', report['machine']))
    print(json_line('ceilings', {'gemm GFLOP/s': report['gemm_gflops'],
                                 'reading GB/s': report['bandwidth_gb_s']}))
    for bundle in report['bundles']:
        _networks(bundle)
        _frames(bundle)
        for axis, points in bundle['scaling'].items():
            names = list(next(iter(points.values()), {}))
            print(f'\n{axis:10}' + ''.join(f'{name:>16}' for name in names))
            for value, row in points.items():
                print(f'{value:<10}' + ''.join(f'{row[name]:16.2f}' for name in names))
        for note in bundle['notes']:
            print(f'note: {note}')


def json_line(name: str, values: Dict[str, Any]) -> str:
    """Return 'name: key value, key value'."""
    return f'{name}: ' + ', '.join(f'{key} {value}' for key, value in values.items())


def _networks(bundle: Dict[str, Any]) -> None:
    print(f'\n{bundle["bundle"]}{" (random weights)" if bundle["random_weights"] else ""}; auto: '
          + json_line('takes', bundle['auto']))
    print(f'{"network":52} {"GFLOP":>8} {"engine":16} {"p50 ms":>8} {"p95 ms":>8} '
          f'{"x eager":>8} {"floor":>8} {"x floor":>8}')
    for row in bundle['networks']:
        label = f'{row["graph"]} {row["bucket"]}'
        for name, run in row['runs'].items():
            print(f'{label:52} {row["gflop"]:8.2f} {name:16} {run["p50"]:8.2f} {run["p95"]:8.2f} '
                  f'{run["times_eager"]:8.2f} {run["floor_ms"]:8.3f} {run["over_floor"]:8.1f}')
            label = ''


def _frames(bundle: Dict[str, Any]) -> None:
    print(f'\n{"640x480 to scene":18} {"fps":>7} {"x eager":>8} {"p50 ms":>8} {"p95 ms":>8} '
          + ' '.join(f'{stage:>10}' for stage in STAGES) + f' {"MB":>8}')
    for name, run in bundle['end_to_end_640x480'].items():
        memory = bundle['peak_memory_mb'].get(name, {}).get('resident', float('nan'))
        print(f'{name:18} {run["frames_per_second"]:7.1f} {run["times_eager"]:8.2f} '
              f'{run["total_ms"]["p50"]:8.2f} {run["total_ms"]["p95"]:8.2f} '
              + ' '.join(f'{run["stages_ms"][stage]["p50"]:10.2f}' for stage in STAGES)
              + f' {memory:8.0f}')


def plot(report: Dict[str, Any], path: Path) -> None:
    """Draw one row per bundle: a frame by stages, then the scaling."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    bundles = report['bundles']
    figure, axes = pyplot.subplots(len(bundles), 4, figsize=(18, 4 * len(bundles)), squeeze=False)
    for row, bundle in zip(axes, bundles):
        _draw_frames(row[0], bundle)
        for axis, (name, points) in zip(row[1:], bundle['scaling'].items()):
            for engine in next(iter(points.values()), {}):
                axis.plot(list(points), [each[engine] for each in points.values()], marker='o',
                          markersize=3, label=engine)
            axis.set(xlabel=name, ylim=(0, None), ylabel='ms, all cameras' if name == 'cameras'
                     else 'ms, interaction stage')
            axis.legend(fontsize=8)
    device = report['machine']['device']
    figure.suptitle(f'{report["machine"]["processor"] if device == "cpu" else device}, '
                    f'{report["threads"]} threads, torch {report["machine"]["torch"]}, '
                    f'{report["date"]}')
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_frames(axis: Any, bundle: Dict[str, Any]) -> None:
    runs, left = bundle['end_to_end_640x480'], [0.0] * len(bundle['end_to_end_640x480'])
    for stage in STAGES:
        widths = [run['stages_ms'][stage]['p50'] for run in runs.values()]
        axis.barh(list(runs), widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths)]
    axis.set(xlabel='ms per frame (p50)', title=bundle['bundle'])
    axis.legend(fontsize=8)
