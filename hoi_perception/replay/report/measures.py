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

"""Precision and recall, calibration, confusion between verbs, and masks, against the truth."""

from typing import Any, Dict, List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import MaskKind
from hoi_perception.evaluation.confusion import BACKGROUND, ConfusionCounter, MISSED
from hoi_perception.evaluation.curves import best_threshold, calibration, precision_recall, RECALLS
from hoi_perception.evaluation.mask_iou import MaskIouCounter
from hoi_perception.evaluation.mask_pairs import MaskPairEvaluator
from hoi_perception.evaluation.mask_pairs import PROTOCOL as MASK_PROTOCOL
from hoi_perception.replay.report.figures import Figure, figure, not_measured
from hoi_perception.replay.report.material import masked_scenes, Replay
from hoi_perception.replay.report.verdicts import PROTOCOL, Verdicts
from hoi_perception.replay.truth import Truth
import numpy as np

CURVES = 7
"""Verbs with a curve of their own: those with most true triplets."""
CONFUSED = 24
"""Most verbs of the confusion table: those that are true most often."""


def curves(verdicts: Optional[Verdicts], why: str) -> Dict[str, Any]:
    """Return precision at 101 recalls over all classes together and for the commonest verbs."""
    if verdicts is None:
        return {'why': why, 'overall': None, 'verbs': []}
    judged, verbs = verdicts.judged, np.array([verb for verb, _ in verdicts.classes])
    positives = {verb: int(judged.positives[verbs == verb].sum()) for verb in sorted(set(verbs))}
    common = sorted(positives, key=lambda verb: -positives[verb])[:CURVES]
    best = best_threshold(judged)

    def curve(classes: np.ndarray) -> List[float]:
        return precision_recall(judged, classes.tolist()).envelope().tolist()
    return {
        'protocol': PROTOCOL, 'recalls': RECALLS.tolist(), 'frames': len(verdicts.frames),
        'how': 'Best precision at each recall or beyond, all triplets of the classes ranked '
               f'together by score, judged as for the mAP ({PROTOCOL}); '
               f'{len(verdicts.frames)} frames, {len(judged.true_labels)} true triplets. Best F1 '
               f'over all classes: {best.f1:.3f} at score {best.threshold:.3f} (precision '
               f'{best.precision:.3f}, recall {best.recall:.3f}).',
        'best_f1': best._asdict(),
        'overall': {'precision': curve(np.arange(judged.classes)),
                    'positives': int(judged.positives.sum())},
        'verbs': [{'name': str(verb), 'positives': positives[verb],
                   'precision': curve(np.flatnonzero(verbs == verb))} for verb in common]}


def calibrated(verdicts: Optional[Verdicts], why: str) -> Dict[str, Any]:
    """Return the reliability diagram and its summary figures."""
    if verdicts is None:
        return {'ece': not_measured(why), 'rows': [], 'bins': []}
    judged = verdicts.judged
    found = calibration(judged.scores, judged.right)
    count, none = len(judged.scores), 'no triplet of these classes was predicted'

    def shown(value: float) -> Figure:
        return figure(value, count, 'predicted triplets', PROTOCOL, why=none)
    return {
        'ece': shown(found.ece),
        'rows': [('expected calibration error (ECE)', shown(found.ece)),
                 ('largest gap of a bin', shown(found.worst)),
                 ('Brier score', shown(found.brier))],
        'how': 'A score is calibrated when of all triplets with that score that share is right. '
               f'{len(found.counts)} bins of equal width; judged as for the mAP ({PROTOCOL}). '
               'What was missed has no score and does not count.',
        'bins': [{'from': low, 'to': high, 'triplets': int(number), 'score': score,
                  'right': right} for low, high, number, score, right in zip(
                      found.edges, found.edges[1:], found.counts, found.confidence,
                      found.accuracy)]}


def confusion(replay: Replay, verdicts: Optional[Verdicts], why: str) -> Dict[str, Any]:
    """Return the table of true against predicted verbs at the score with the best F1."""
    if verdicts is None:
        return {'why': why, 'rows': [], 'columns': [], 'counts': []}
    verbs = np.array([verb for verb, _ in verdicts.classes])
    positives = {verb: verdicts.judged.positives[verbs == verb].sum() for verb in set(verbs)}
    names = sorted(positives, key=lambda verb: (-positives[verb], verb))
    counter = ConfusionCounter(names, best_threshold(verdicts.judged).threshold)
    for answer in replay.judged:
        assert answer.truth is not None  # judged frames have one
        counter.add(answer.scene, answer.truth)
    found = counter.result()
    shown = [*range(min(len(names), CONFUSED)), len(names)]
    real, predicted, matched = found.pairs
    cut = len(names) - CONFUSED
    return {
        'how': f'Pairs of person and object that were found ({matched} of {real} true ones, '
               f'{predicted} predicted with a score of {found.threshold:.3f} or more, which gives '
               'the best F1). A pair has several verbs at once: a true verb that was predicted '
               'is right; one that was not is shared among the wrong verbs of its pair. '
               f'"{MISSED}": nothing was predicted instead. "{BACKGROUND}": predicted where '
               'nothing explains it. Rows sum to how often the verb is true; the darker, the '
               'larger the share of the row.'
               + (f' The {cut} rarest verbs are not shown.' if cut > 0 else ''),
        'rows': [*names[:CONFUSED], BACKGROUND], 'columns': [*names[:CONFUSED], MISSED],
        'counts': found.counts[np.ix_(shown, shown)].tolist(), 'frames': len(replay.judged),
        'threshold': found.threshold}


def masks(replay: Replay, truth: Optional[Truth], verdicts: Optional[Verdicts],
          why: str) -> Dict[str, Any]:
    """Return the IoU of masks of matched instances and the mAP by masks."""
    masked = {} if truth is None else {
        answer.record.index: scene for answer in replay.judged
        if (scene := truth.scene(answer.record.key)) is not None and any(
            mask.kind == MaskKind.INSTANCE for mask in scene.masks)}
    if not masked:
        return {'mean': not_measured('the ground truth has no masks' if replay.judged else why),
                'rows': [], 'how': ''}
    counter = MaskIouCounter()
    pairs = MaskPairEvaluator(verdicts.classes) if verdicts else None
    fault = '' if verdicts else why
    frames = 0
    for answer, scene in masked_scenes(replay, masked):
        real = masked.pop(answer.record.index)
        counter.add(scene, real)
        frames += 1
        try:
            if pairs is not None and not fault:
                pairs.add(scene, real)
        except HoiError as error:
            fault = str(error)
    found = counter.result()
    of = 'matched instances'
    mean = figure(found.mean, found.found, of, 'mask IoU, box IoU 0.5',
                  why='no masked instance was found')
    rows: List[Tuple[str, Figure]] = [('mean IoU', mean)]
    rows += [(name, figure(value, count, of, 'mask IoU, box IoU 0.5'))
             for name, (value, count) in found.per_class().items()]
    if pairs is not None:
        rows.append(('triplet mAP by masks', not_measured(fault) if fault else figure(
            pairs.result().full, frames, 'frames', MASK_PROTOCOL)))
    return {'mean': mean, 'rows': rows,
            'how': f'{found.found} of {found.truth} true instances with a mask were found (class '
                   f'and box agree, IoU 0.5, one to one) in {frames} frames.'}
