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
How alike the tokens of people in one place are, before and after RmLR's re-mining.

    python -m benchmarks.token_similarity --weights runs/rmlr/rmlr.safetensors --data SPLIT
        --cache CACHE [--bundle models/synthetic_tiny] [--output FILE] [--plot FILE]
    python -m benchmarks.token_similarity --results benchmarks/results/synthetic_heads.json
        [--plot FILE]

The first measures one trained head (RmLR or LAIN) over a split of the synthetic world; the second
takes what every run of `hoi-trainer compare-rmlr` has measured already and draws means over seeds
with their standard deviation. Two people count as in one place where their boxes overlap by 0.5
or more in different images. Beside couples that do different things stand couples that do the
same: a drop of both is no sign that tokens know actions.
"""

import argparse
import json
from pathlib import Path
from typing import Dict, List

import numpy as np

Tokens = Dict[str, Dict[str, Dict[str, float]]]
GROUPS = ('different', 'same')


def measured(arguments: argparse.Namespace) -> Dict[str, List[Tokens]]:
    """Return the tokens of each head, one entry per run."""
    if arguments.results:
        found: Dict[str, List[Tokens]] = {}
        for run in json.loads(arguments.results.read_text())['rmlr']['runs']:
            found.setdefault(run['cell']['head'], []).append(run['tokens'])
        return found
    from hoi_perception.runtime.bundle import Bundle
    from hoi_trainer.distillation.cell import measure_tokens, plain
    return {arguments.weights.stem: [plain(measure_tokens(
        arguments.weights, Bundle.open(arguments.bundle), arguments.data, arguments.cache))]}


def print_table(heads: Dict[str, List[Tokens]]) -> None:
    """Print cosine and distance of both groups for every head and token."""
    print(f'{"head":16} {"token":10} {"group":10} {"cosine":>16} {"distance":>18} {"couples":>9}')
    for head, runs in heads.items():
        for token in runs[0]:
            for group in GROUPS:
                values = [run[token][group] for run in runs]
                cosine, distance, count = (np.array([value[key] for value in values]) for key in
                                           ('cosine', 'distance', 'count'))
                print(f'{head:16} {token:10} {group:10} {cosine.mean():8.4f} +-{cosine.std():6.4f}'
                      f' {distance.mean():10.3f} +-{distance.std():5.3f} {int(count[0]):9d}')


def plot(heads: Dict[str, List[Tokens]], path: Path) -> None:
    """Draw one panel per head: mean cosine by token, different beside same actions."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(heads), figsize=(3.2 * len(heads), 3.6), squeeze=False,
                                   sharey=True)
    for axis, (head, runs) in zip(axes[0], heads.items()):
        tokens = list(runs[0])
        for shift, group in zip((-0.2, 0.2), GROUPS):
            values = np.array([[run[token][group]['cosine'] for token in tokens] for run in runs])
            axis.bar(np.arange(len(tokens)) + shift, values.mean(0), 0.4, label=f'{group} action',
                     yerr=values.std(0), capsize=2)
        axis.set_xticks(range(len(tokens)), tokens, rotation=30, fontsize=8)
        axis.set(title=head)
        axis.grid(axis='y', alpha=0.3)
    axes[0][0].set(ylabel='mean cosine, same place')
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Measure or read, then print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--weights', type=Path, help='a head that `hoi-trainer fit` wrote')
    source.add_argument('--results', type=Path, help='JSON of `hoi-trainer compare-rmlr`')
    parser.add_argument('--bundle', type=Path, default=Path('models/synthetic_tiny'))
    parser.add_argument('--data', type=Path, help='directory of a synthetic split')
    parser.add_argument('--cache', type=Path, help='directory of cached detections')
    parser.add_argument('--output', type=Path, help='JSON file for what was measured')
    parser.add_argument('--plot', type=Path, help='PNG file')
    arguments = parser.parse_args()
    if arguments.weights and not (arguments.data and arguments.cache):
        parser.error('--weights needs --data and --cache')
    heads = measured(arguments)
    print_table(heads)
    if arguments.output:
        arguments.output.write_text(json.dumps(heads, indent=1) + '\n')
    if arguments.plot:
        plot(heads, arguments.plot)


if __name__ == '__main__':
    main()
