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
What the runs say about CL-HOI's claims, seed by seed, by the rule of the other heads.

`RATIO` is what must hold, the others are directions of the paper.
"""

from typing import Dict, List, Tuple

from hoi_trainer.interaction.directions import scores_of, verdict

UNTRAINED, FULL, SUPERVISED = 'cl_hoi_untrained', 'cl_hoi', 'cl_hoi_supervised'
BASE, SPATIAL, VISUAL = 'cl_hoi_base', 'cl_hoi_spatial', 'cl_hoi_visual'
RELATION, CONTEXT, IMAGE, TEXT = ('cl_hoi_relation', 'cl_hoi_relation_context',
                                  'cl_hoi_relation_image', 'cl_hoi_relation_text')
CLEAN, NOISY, NOISY_EXACT = 'cl_hoi_clean', 'cl_hoi_noisy', 'cl_hoi_noisy_exact_boxes'
RATIO = 2.0

BETTER: Dict[str, Tuple[str, str]] = {
    'spatial_cognition_adds': (SPATIAL, BASE), 'visual_cognition_adds': (VISUAL, SPATIAL),
    'context_cognition_adds': (FULL, VISUAL), 'loss_context_adds': (CONTEXT, RELATION),
    'loss_image_to_text_adds': (IMAGE, RELATION), 'loss_text_to_image_adds': (TEXT, RELATION),
    'all_losses_are_better_than_relation': (FULL, RELATION),
    'a_better_teacher_helps': (CLEAN, NOISY), 'a_better_detector_helps': (NOISY_EXACT, NOISY),
    'supervised_is_above_label_free': (SUPERVISED, FULL)}
"""The head that should have the higher mAP, and the other."""


def verdicts(results: List[dict], exponent: str) -> Dict[str, dict]:
    """Return a verdict per claim, from differences of mAP on the whole vocabulary."""
    scores = scores_of(results, 'full', 'full', exponent)

    def differences(better: str, worse: str) -> List[float]:
        seeds = sorted(set(scores[better]) & set(scores[worse]))
        return [scores[better][seed] - scores[worse][seed] for seed in seeds]

    found = {claim: verdict(differences(*heads)) for claim, heads in BETTER.items()
             if set(heads) <= set(scores)}
    if {CLEAN, NOISY, NOISY_EXACT} <= set(scores):
        found['a_better_teacher_helps_more_than_a_better_detector'] = verdict(
            differences(CLEAN, NOISY_EXACT))
    if {FULL, UNTRAINED} <= set(scores):
        seeds = sorted(set(scores[FULL]) & set(scores[UNTRAINED]))
        ratios = [scores[FULL][seed] / max(scores[UNTRAINED][seed], 1e-9) for seed in seeds]
        found[f'label_free_is_{RATIO:g}_times_untrained'] = {
            **verdict([ratio - RATIO for ratio in ratios]),
            'ratios': [round(ratio, 3) for ratio in ratios]}
    return found
