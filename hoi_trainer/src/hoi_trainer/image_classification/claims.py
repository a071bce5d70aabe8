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

"""What the runs say about DEFR's claims: a difference per seed, its spread and a verdict."""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from hoi_trainer.image_classification.cell import LAIN
from hoi_trainer.image_classification.transfer import MASK_1
from hoi_trainer.interaction.directions import verdict
import numpy as np

BASE = 'lse_sign'
RULE = ('reproduced: the mean difference over the seeds has the expected sign and exceeds its '
        'standard deviation (n - 1), and no seed disagrees; not: the same with the opposite sign; '
        'undecided otherwise. A claim of "no better" is reproduced unless the opposite holds by '
        'that rule')

Results = Dict[str, Dict[int, dict]]
"""Results by variant and seed."""
Value = Callable[[Results, int], float]


def classified(variant: str, subset: str = 'full') -> Value:
    """Return what reads a classification mAP."""
    return lambda results, seed: results[variant][seed]['classification'][subset] or 0.0


def triplets(name: str, variant: str = BASE) -> Value:
    """Return what reads the triplet mAP of a read-out."""
    return lambda results, seed: results[variant][seed]['readouts'][name]['triplet_map']


def kept(variant: str, noise: str) -> Value:
    """Return what reads the share of the triplet mAP that is left under box noise."""
    return lambda results, seed: results[variant][seed]['noise'][noise] / max(
        triplets(MASK_1, variant)(results, seed), 1e-9)


def minus(first: Value, second: Value) -> Value:
    """Return the difference of two figures."""
    return lambda results, seed: first(results, seed) - second(results, seed)


def flatness(near: Sequence[str], far: str) -> Value:
    """Return how much more is lost at `far` than between the figures near the CLIP's own gamma."""
    def value(results: Results, seed: int) -> float:
        around = [classified(variant)(results, seed) for variant in near]
        middle = classified(BASE)(results, seed)
        return (middle - classified(far)(results, seed)) - (max(around) - min(around))
    return value


def _gain(subset: str, other: str) -> Value:
    return minus(classified(BASE, subset), classified(other, subset))


CLAIMS: Dict[str, Tuple[Tuple[str, ...], Value]] = {
    'lse_sign_beats_bce': ((BASE, 'bce'), _gain('full', 'bce')),
    'bce_beats_weighted_bce': (('bce', 'weighted_bce'),
                               minus(classified('bce'), classified('weighted_bce'))),
    'weighted_bce_beats_focal': (('weighted_bce', 'focal'),
                                 minus(classified('weighted_bce'), classified('focal'))),
    'lse_sign_gains_more_in_the_tail': (
        (BASE, 'bce'), minus(_gain('few@5', 'bce'), _gain('full', 'bce'))),
    'text_rows_beat_random': ((BASE, 'random'), _gain('full', 'random')),
    'text_rows_gain_more_in_the_tail': (
        (BASE, 'random'), minus(_gain('few@5', 'random'), _gain('full', 'random'))),
    'gamma_of_the_clip_beats_5_times': ((BASE, 'gamma_5_times'), _gain('full', 'gamma_5_times')),
    'gamma_is_flat_near_the_clips': (
        (BASE, 'gamma_half', 'gamma_1.5_times', 'gamma_5_times'),
        flatness((BASE, 'gamma_half', 'gamma_1.5_times'), 'gamma_5_times')),
    'gamma_of_the_clip_beats_100': ((BASE, 'gamma_100'), _gain('full', 'gamma_100')),
    'mask_1_beats_ave_pool': ((BASE,), minus(triplets(MASK_1), triplets('ave-pool')))}
"""What is claimed: the variants it takes and the difference that should be positive."""

NO_BETTER: Dict[str, Tuple[Tuple[str, ...], Value]] = {
    'shuffled_rows_are_no_better_than_random': (
        ('random', 'shuffled'), minus(classified('random'), classified('shuffled'))),
    'mask_2_is_no_better_than_mask_1': (
        (BASE,), minus(triplets(MASK_1), triplets('mask-2'))),
    'mask_3_is_no_better_than_mask_1': (
        (BASE,), minus(triplets(MASK_1), triplets('mask-3')))}
"""What is claimed to be no better: the difference that should not be negative."""


def by_variant(results: Sequence[dict]) -> Results:
    """Return the results by variant and seed."""
    found: Results = {}
    for result in results:
        found.setdefault(result['cell']['variant'], {})[result['cell']['seed']] = result
    return found


def verdicts(results: Sequence[dict]) -> Dict[str, dict]:
    """Return a verdict per claim whose variants were run."""
    found, table = {}, by_variant(results)
    claims = [*CLAIMS.items(), *NO_BETTER.items(), *_noise_claims(table)]
    for claim, (variants, difference) in claims:
        if set(variants) <= set(table):
            seeds = sorted(set.intersection(*(set(table[name]) for name in variants)))
            try:
                entry = verdict([difference(table, seed) for seed in seeds])
            except KeyError:  # a read-out or subset that this grid did not measure
                continue
            if claim in NO_BETTER and entry['verdict'] != 'not':
                entry['verdict'] = 'reproduced'
            found[claim] = entry
    return found


def _noise_claims(table: Results) -> List[Tuple[str, Tuple[Tuple[str, ...], Value]]]:
    """Return a claim per strength of box noise that was measured on DEFR and LAIN."""
    strengths = [set(next(iter(table[name].values()))['noise']) for name in (BASE, LAIN)
                 if name in table]
    shared = sorted(set.intersection(*strengths)) if len(strengths) == 2 else []
    return [(f'defr_keeps_more_than_lain_at_box_noise_{noise}',
             ((BASE, LAIN), minus(kept(BASE, noise), kept(LAIN, noise)))) for noise in shared]


def spread(values: Sequence[Optional[float]]) -> Optional[Dict[str, Any]]:
    """Return mean, standard deviation and values; None where a value is missing."""
    if not values or any(value is None for value in values):
        return None
    array = np.array(values, np.float64)
    return {'mean': round(float(array.mean()), 5),
            'std': round(float(array.std(ddof=len(array) > 1)), 5),
            'seeds': [round(float(value), 5) for value in array]}


def summary(results: Sequence[dict]) -> Dict[str, dict]:
    """Return, per variant, mean and spread over the seeds of all that was measured."""
    heads: Dict[str, dict] = {}
    for variant, seeds in by_variant(results).items():
        runs = [seeds[seed] for seed in sorted(seeds)]
        entry: Dict[str, Any] = {'readouts': {
            name: {**(spread([run['readouts'][name]['triplet_map'] for run in runs]) or {}),
                   'exponents': [run['readouts'][name]['exponents'] for run in runs]}
            for name in runs[0]['readouts']}}
        for part in ('classification', 'noise'):
            figures = {name: spread([run[part].get(name) for run in runs])
                       for name in runs[0].get(part, {}) if name not in ('protocol', 'per_class')}
            entry[part] = {name: value for name, value in figures.items() if value}
        heads[variant] = entry
    return heads
