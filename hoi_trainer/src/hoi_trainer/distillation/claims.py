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
What the runs say about RmLR's claims, seed by seed, by the rule of the other heads.

A claim of 'at least' is refuted by the verdict `not` only.
"""

from typing import Callable, Dict, List, Tuple

from hoi_trainer.interaction.directions import scores_of, verdict

BASE, NO_TEXT, SENTENCES, WORDS, BOTH = ('rmlr_base', 'rmlr_none', 'rmlr_sentence', 'rmlr_word',
                                         'rmlr')
NO_IRE, BLIND, LAIN, LAIN_TEXT = 'rmlr_no_ire', 'rmlr_blind', 'lain', 'lain_text'

BETTER: Dict[str, Tuple[str, str]] = {
    're_mining_helps': (BOTH, NO_IRE),
    're_mining_helps_without_text': (NO_TEXT, BASE),
    'looking_at_the_image_helps': (BOTH, BLIND),
    'sentences_help': (SENTENCES, NO_TEXT),
    'words_are_at_least_as_good_as_sentences': (WORDS, SENTENCES),
    'words_help': (WORDS, NO_TEXT),
    'text_helps_lain': (LAIN_TEXT, LAIN)}
"""The head that should have the higher mAP, and the other."""

Tokens = Dict[str, Dict[str, Dict[str, float]]]


def _gap(tokens: Tokens, name: str) -> float:
    """Return how much more alike people in one place are who do the same."""
    return tokens[name]['same']['cosine'] - tokens[name]['different']['cosine']


TOKENS: Dict[str, Callable[[Tokens], float]] = {
    're_mining_takes_different_actions_apart': lambda t: (
        t['detector']['different']['cosine'] - t['remined']['different']['cosine']),
    're_mining_takes_apart_what_pair_tokens_do_not': lambda t: (
        t['pair']['different']['cosine'] - t['remined']['different']['cosine']),
    'equal_actions_stay_closer': lambda t: _gap(t, 'remined') - _gap(t, 'detector')}
"""What is claimed of the tokens of people in one place; positive if it is so."""


def verdicts(results: List[dict], exponent: str) -> Dict[str, dict]:
    """Return a verdict per claim and split."""
    found = {}
    for split in dict.fromkeys(result['cell']['split'] for result in results):
        for subset in ('full', 'seen', 'unseen'):
            scores = scores_of(results, split, subset, exponent)
            for claim, (better, worse) in BETTER.items():
                if {better, worse} <= set(scores):
                    seeds = sorted(set(scores[better]) & set(scores[worse]))
                    found[f'{claim}/{split}/{subset}'] = verdict(
                        [scores[better][seed] - scores[worse][seed] for seed in seeds])
        tokens = [result['tokens'] for result in results
                  if (result['cell']['head'], result['cell']['split']) == (BOTH, split)]
        if tokens:
            found.update({f'{claim}/{split}': verdict([measure(each) for each in tokens])
                          for claim, measure in TOKENS.items()})
    return found
