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
What the runs say about the paper's claims: a difference, its spread and a verdict.

Differences are taken seed by seed (same batches, same order), then averaged.
"""

from typing import Callable, Dict, List, Optional, Tuple

from hoi_trainer.interaction.cell import TRAINING_FREE
import numpy as np

NONE, LOCALITY, INTERACTION, BOTH = 'lain_none', 'lain_la', 'lain_ia', 'lain'
OFFICIAL = 'lain_official'
VARIANTS = (NONE, LOCALITY, INTERACTION, BOTH)
SUBSETS = ('full', 'seen', 'unseen', 'harmonic')
RULE = ('reproduced: the mean difference over the seeds has the expected sign and exceeds its '
        'standard deviation (n - 1), and no seed disagrees; not: the same with the opposite sign; '
        'undecided otherwise')
RATIO = 1.5

Scores = Dict[str, Dict[int, float]]
"""mAP by head and seed on one split and subset."""

CLAIMS: Dict[str, Tuple[Tuple[str, ...], Callable[[Scores, int], float]]] = {
    'locality_helps': ((NONE, LOCALITY), lambda s, k: s[LOCALITY][k] - s[NONE][k]),
    'interaction_helps': ((NONE, INTERACTION), lambda s, k: s[INTERACTION][k] - s[NONE][k]),
    'both_are_best': (VARIANTS, lambda s, k: s[BOTH][k] - max(
        s[head][k] for head in (NONE, LOCALITY, INTERACTION))),
    'gain_is_super_additive': (VARIANTS, lambda s, k: (
        s[BOTH][k] + s[NONE][k] - s[LOCALITY][k] - s[INTERACTION][k])),
    'our_form_is_better_than_the_released': (
        (BOTH, OFFICIAL), lambda s, k: s[BOTH][k] - s[OFFICIAL][k])}
"""What is claimed: the heads it takes and the difference that should be positive."""


def verdict(differences: List[float]) -> Dict[str, object]:
    """Return verdict, mean difference and its standard deviation, by `RULE`."""
    values = np.array(differences)
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else float('inf')
    word = 'undecided'
    if abs(mean) > spread and (np.sign(values) == np.sign(mean)).all():
        word = 'reproduced' if mean > 0 else 'not'
    return {'verdict': word, 'delta': round(mean, 5),
            'spread': round(spread, 5) if np.isfinite(spread) else None,
            'by_seed': [round(float(value), 5) for value in values]}


def figure(result: dict, subset: str, exponent: str) -> Optional[float]:
    """Return a mean of one run; the training-free read-out is given its best exponent."""
    reports = result['reports']
    chosen = reports[exponent] if result['cell']['head'] != TRAINING_FREE else max(
        reports.values(), key=lambda report: report['full'])
    return chosen[subset]


def scores_of(results: List[dict], split: str, subset: str, exponent: str) -> Scores:
    """Return mAP by head and seed."""
    found: Scores = {}
    for result in results:
        cell = result['cell']
        value = figure(result, subset, exponent)
        if cell['split'] == split and value is not None:
            found.setdefault(cell['head'], {})[cell['seed']] = value
    return found


def directions(results: List[dict], exponent: str) -> Dict[str, dict]:
    """Return a verdict per claim, split and subset, and on training against none."""
    found = {}
    for split in dict.fromkeys(result['cell']['split'] for result in results):
        for subset in SUBSETS[:3]:
            scores = scores_of(results, split, subset, exponent)
            for claim, (heads, difference) in CLAIMS.items():
                if set(heads) <= set(scores):
                    seeds = sorted(set.intersection(*(set(scores[head]) for head in heads)))
                    found[f'{claim}/{split}/{subset}'] = verdict(
                        [difference(scores, seed) for seed in seeds])
        scores = scores_of(results, split, 'full', exponent)
        if BOTH in scores and TRAINING_FREE in scores:
            base = scores[TRAINING_FREE][0]
            ratios = [value / max(base, 1e-9) for value in scores[BOTH].values()]
            found[f'trained_is_{RATIO}_times_training_free/{split}'] = {
                **verdict([ratio - RATIO for ratio in ratios]),
                'ratios': [round(ratio, 3) for ratio in ratios]}
    return found


def summary(results: List[dict], exponent: str) -> Dict[str, dict]:
    """
    Return mAP by head: mean and standard deviation over seeds.

    The top figures are those of the first split; `splits` has every split and subset.
    """
    splits = list(dict.fromkeys(result['cell']['split'] for result in results))
    heads: Dict[str, dict] = {}
    for split in splits:
        for subset in SUBSETS:
            for head, by_seed in scores_of(results, split, subset, exponent).items():
                values = np.array(list(by_seed.values()))
                entry = {'map_mean': round(float(values.mean()), 5),
                         'map_std': round(float(values.std(ddof=len(values) > 1)), 5),
                         'seeds': [round(float(value), 5) for value in values]}
                if split == splits[0] and subset == 'full':
                    heads[head] = {**entry, 'splits': {}}
                heads[head]['splits'].setdefault(split, {})[subset] = entry
    return heads
