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

"""Frames shown as pictures: which ones, and prediction and truth drawn on them."""

import base64
from collections import defaultdict
from io import BytesIO
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from hoi_perception.core.errors import FrameError
from hoi_perception.core.scene import Scene
from hoi_perception.replay.bag_reader import FrameKey
from hoi_perception.replay.report.material import Answer, Replay
from hoi_perception.replay.report.verdicts import Verdicts
from hoi_perception.runtime.overlay import draw_overlay
import numpy as np
from PIL import Image

FrameSource = Callable[[FrameKey], Optional[np.ndarray]]
"""The pixels of a frame, (H, W, 3) uint8 RGB, or None where it cannot be had."""

SHOWN = 20
APART_S = 0.5
"""Of frames of a bag that are nearer than this only the first in the ranking is shown."""
WIDTH, QUALITY = 420, 78
"""Of a picture: 20 best and 20 worst frames with their truth make about 2 MB."""
WORDS = 4
"""Most interactions named below a picture."""


def chosen(replay: Replay, verdicts: Optional[Verdicts]) -> Dict[str, Any]:
    """
    Return the best and worst frames (`best`, `worst`: dictionaries, no pictures yet), and how.

    With truth frames are ranked by their agreement with it; without, by their highest score.
    """
    if verdicts is not None:
        answers, values = replay.judged, verdicts.agreement
        how = ('Frames are ranked by their agreement with the truth: the scores of the right '
               'triplets over the number of true ones plus the scores of the wrong ones (a '
               'triplet is right as in the triplet mAP). Frames without a triplet, true or '
               'predicted, are not ranked.')
        titles, word = {'best': 'Best frames', 'worst': 'Worst frames'}, 'agreement'
    else:
        answers = replay.answers
        values = np.array([answer.scene.triplets.scores.max() if len(answer.scene.triplets)
                           else np.nan for answer in answers])
        how = ('There is no truth, so no frame is right or wrong. Frames are ranked by the score '
               'of their best triplet; frames without one are not ranked.')
        titles = {'best': 'Most certain frames', 'worst': 'Least certain frames'}
        word = 'best score'
    ranked = np.flatnonzero(np.isfinite(values))
    ranked = ranked[np.argsort(-values[ranked], kind='stable')]
    # Each frame once: the better half at most is best, the rest at most is worst.
    half = (len(ranked) + 1) // 2
    picked = {'best': _spread(replay, answers, ranked[:half]),
              'worst': _spread(replay, answers, ranked[half:][::-1])}
    how += f' Of frames less than {APART_S} s apart only one is shown.'
    return {'how': how, 'titles': titles, 'why': 'no frame has a triplet' if replay.answers
            else 'no frame was answered', 'ranked': len(ranked),
            **{kind: [_frame(replay, answers[row], float(values[row]), word) for row in rows]
               for kind, rows in picked.items()}}


def _spread(replay: Replay, answers: Sequence[Answer], rows: np.ndarray) -> List[int]:
    """Return the first rows whose frames are not close to one that was taken before."""
    taken: List[int] = []
    moments: Dict[Tuple[str, str], List[float]] = defaultdict(list)
    for row in rows.tolist():
        record = answers[row].record
        known, now = moments[record.bag, record.topic], replay.seconds(record)
        if len(taken) < SHOWN and all(abs(now - other) >= APART_S for other in known):
            known.append(now)
            taken.append(row)
    return taken


def _frame(replay: Replay, answer: Answer, value: float, word: str) -> Dict[str, Any]:
    record = answer.record
    return {'index': record.index, 'bag': record.bag, 'key': list(record.key),
            'at_s': replay.seconds(record), 'value': value,
            'says': f'{word} {value:.2f}: {words(answer.scene)}'}


def words(scene: Scene) -> str:
    """Return the best triplets in words with their scores."""
    order = np.argsort(-scene.triplets.scores, kind='stable')[:WORDS]
    phrases = scene.phrases()
    return ', '.join(f'{phrases[row]} {scene.triplets.scores[row]:.2f}' for row in order) \
        or 'no interaction'


def images_of(rows: Sequence[Dict[str, Any]], scenes: Dict[int, Tuple[Scene, Optional[Scene]]],
              source: FrameSource) -> List[Dict[str, Any]]:
    """
    Return the rows with `images`: prediction and truth as base64 JPEG, '' where there is none.

    scenes: prediction and truth by index of the frame.
    """
    shown = []
    for row in rows:
        rgb = _pixels(source, tuple(row['key']))
        prediction, truth = scenes[row['index']]
        shown.append({**row, 'images': {
            'prediction': _jpeg(rgb, prediction), 'truth': _jpeg(rgb, truth)}})
    return shown


def _pixels(source: FrameSource, key: FrameKey) -> Optional[np.ndarray]:
    try:
        return source(key)
    except FrameError:
        return None


def _jpeg(rgb: Optional[np.ndarray], scene: Optional[Scene]) -> str:
    if rgb is None or scene is None:
        return ''
    scale = max(1.0, rgb.shape[1] / WIDTH)
    image = Image.fromarray(draw_overlay(rgb, scene, scale=0.8 * scale))
    image.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, 'JPEG', quality=QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
