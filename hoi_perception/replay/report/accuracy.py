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

"""How right the triplets are: mean AP with intervals, in all and by verb, object and class."""

from collections import Counter
from typing import Any, Dict, List, Optional, Sequence, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.core.vocabulary import same_name
from hoi_perception.evaluation import vcoco
from hoi_perception.evaluation.bootstrap import bootstrap, BootstrapResult
from hoi_perception.evaluation.triplet_map import named_triplets
from hoi_perception.replay.report.figures import Figure, figure, not_measured
from hoi_perception.replay.report.material import Answer, Replay
from hoi_perception.replay.report.verdicts import PROTOCOL, Verdicts, verdicts_of
from hoi_perception.replay.truth import role_ap, Truth
import numpy as np

NO_TRUTH = 'there is no ground truth for the answered frames'
NOTHING_TRUE = 'the ground truth has no triplet of the verbs that were asked for'
HOW = ('A predicted triplet is right when verb and object class agree with a true one and both '
       'boxes overlap it by half (IoU of 0.5), each true triplet once (protocol {protocol}, '
       '11-point AP). Means are over the {classes} classes (verb, object) of the truth. Intervals '
       'hold 95 % of {replicates} bootstrap replicates over {what}; they say nothing about bags '
       'that were not recorded.')


def accuracy(replay: Replay, truth: Optional[Truth],
             verdicts: Optional[Verdicts]) -> Dict[str, Any]:
    """
    Return the mean AP of all judged frames and of every verb, object and class.

    verdicts: of the judged frames, None where there are none; then `full` says why.
    """
    if verdicts is None:
        why = NOTHING_TRUE if replay.judged else NO_TRUTH
        return {'full': not_measured(why), 'rows': role_rows(replay, truth), 'how': '',
                'left_out': left_out(replay, truth), 'verbs': [], 'objects': [], 'classes': []}
    found = bootstrap(verdicts.judged, verdicts.lengths)
    frames = len(verdicts.frames)
    full = figure(found.full.value, frames, 'frames', PROTOCOL, found.full.low, found.full.high)
    by_verb = groups(verdicts, found, [verb for verb, _ in verdicts.classes])
    by_object = groups(verdicts, found, [thing or 'no object' for _, thing in verdicts.classes])
    every = groups(verdicts, found, [f'{verb} {thing}'.strip()
                                     for verb, thing in verdicts.classes])
    return {
        'full': full, 'verbs': by_verb, 'objects': by_object, 'classes': every,
        'rows': [('triplet mAP of answered frames', full), *_with_losses(replay, verdicts),
                 *role_rows(replay, truth)],
        'how': HOW.format(protocol=PROTOCOL, classes=len(verdicts.classes),
                          replicates=found.replicates, what='single frames' if found.block == 1
                          else f'blocks of {found.block} neighbouring frames'),
        'left_out': left_out(replay, truth)}


def groups(verdicts: Verdicts, found: BootstrapResult,
           names: Sequence[str]) -> List[Dict[str, Any]]:
    """
    Return mean AP, interval and number of true triplets of groups of classes, by name.

    names: the group of each class, (C,).
    """
    rows = []
    frames, labels = len(verdicts.frames), np.array(names)
    for name in sorted(set(names)):
        members = np.flatnonzero(labels == name)
        samples = found.samples[:, members]
        # A replicate that drew no frame with truth of the group says nothing about it.
        samples = samples[~np.isnan(samples).all(1)]
        low, high = np.quantile(np.nanmean(samples, 1), ((1 - found.level) / 2,
                                                         (1 + found.level) / 2))
        rows.append({'name': name, 'classes': len(members),
                     'positives': int(verdicts.judged.positives[members].sum()),
                     'ap': figure(float(found.ap[members].mean()), frames, 'frames', PROTOCOL,
                                  low, high)})
    return rows


def _with_losses(replay: Replay, verdicts: Verdicts) -> List[Tuple[str, Figure]]:
    """Return the mAP that counts annotated frames without an answer as empty ones."""
    if not replay.unanswered:
        return []
    nothing = [Answer(record, Scene(truth.width, truth.height, truth.vocabulary), truth)
               for record, truth in replay.unanswered]
    whole = verdicts_of(sorted([*replay.judged, *nothing], key=lambda a: a.record.index),
                        replay.main_verbs)
    if whole is None:
        return []
    found = bootstrap(whole.judged, whole.lengths)
    return [('triplet mAP of all annotated frames, those without an answer as empty', figure(
        found.full.value, len(whole.frames), 'frames', PROTOCOL, found.full.low,
        found.full.high))]


def role_rows(replay: Replay, truth: Optional[Truth]) -> List[Tuple[str, Figure]]:
    """Return agent and role AP of V-COCO where the truth is V-COCO."""
    scenes = {answer.record.index: answer.scene for answer in replay.answers}
    found = None if truth is None else role_ap(
        truth, ((record.key, scenes.get(record.index)) for record in replay.records))
    if found is None:
        return []
    of, protocol = 'annotated frames, those without an answer as empty', vcoco.PROTOCOL
    return [(name, figure(value, replay.annotated, of, protocol,
                          why='these frames have no such annotation'))
            for name, value in (('V-COCO agent AP', found.agent_mean),
                                ('V-COCO role AP, scenario 1', found.role_mean(1)),
                                ('V-COCO role AP, scenario 2', found.role_mean(2)))]


def left_out(replay: Replay, truth: Optional[Truth]) -> List[str]:
    """Return sentences about what of the truth does not count."""
    if truth is None:
        return []
    said = [*truth.notes, *truth.coverage(r.key for r in replay.records).sentences()]
    other = sum(answer.truth is not None for answer in replay.answers) - len(replay.judged)
    if other:
        said.append(f'{other} annotated frames were computed with other verbs than most and are '
                    'not judged.')
    asked = {same_name(verb) for verb in replay.main_verbs}
    missed = Counter(verb for answer in replay.judged if answer.truth is not None
                     for verb, _ in named_triplets(answer.truth)
                     if asked and same_name(verb) not in asked)
    if missed:
        names = ', '.join(f'{verb} ({count})' for verb, count in missed.most_common(12))
        said.append(f'{sum(missed.values())} true triplets are of {len(missed)} verbs that were '
                    f'not asked for and do not count: {names}.')
    return said
