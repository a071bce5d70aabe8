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
Identities over time for the instances of one camera: ByteTrack with a filter in seconds.

Association follows ByteTrack (arXiv 2110.06864): confident boxes are matched to all tracks first,
what is left of the tracks to the weak boxes, and a new track counts from its second sighting on.
The motion filter works with the time between two frames, not with their number, so that a slow
or an irregular camera changes nothing but the uncertainty.
"""

from dataclasses import dataclass, fields, replace

from hoi_perception.core.boxes import iou
from hoi_perception.core.scene import Instances
import numpy as np
from scipy.optimize import linear_sum_assignment

MAX_TRACKS = 256
"""The tracks seen last are kept: a broken detector must not make the node slow or large."""

_MIN_IOU, _MIN_IOU_WEAK = 0.1, 0.5
_MEASUREMENT = 0.05
"""Standard deviation of a box side's place, as a share of the box size."""
_ACCELERATION = 0.5
"""Random walk of the velocity: box sizes per second in one second."""
_FIRST_VELOCITY = 1.0
"""Standard deviation of a new track's velocity in box sizes per second."""
_COASTING_S = 0.3
"""Time constant with which an unseen track slows down."""


@dataclass(frozen=True)
class _Tracks:
    """
    Tracks as parallel arrays of length T.

    ids: 0 = sighted only once. seen_ns: stamp of the last sighting. hit: sighted in the last
    frame. place, velocity: (T, 4) centre x, y, width, height in pixels (per second). variance:
    (T, 3, 4) of place, place and velocity, velocity.
    """

    ids: np.ndarray
    labels: np.ndarray
    seen_ns: np.ndarray
    hit: np.ndarray
    place: np.ndarray
    velocity: np.ndarray
    variance: np.ndarray

    @staticmethod
    def born(boxes: np.ndarray, labels: np.ndarray, now_ns: int) -> '_Tracks':
        """Return new tracks that stand still, as far as is known."""
        n, place = len(labels), _centred(boxes)
        scale = _scale(place) ** 2
        variance = np.stack([scale * _MEASUREMENT ** 2, np.zeros((n, 4)),
                             scale * _FIRST_VELOCITY ** 2], axis=1)
        return _Tracks(np.zeros(n, np.int64), labels, np.full(n, now_ns), np.ones(n, bool),
                       place, np.zeros((n, 4)), variance)

    def take(self, rows: np.ndarray) -> '_Tracks':
        return _Tracks(*(getattr(self, field.name)[rows] for field in fields(self)))

    def join(self, other: '_Tracks') -> '_Tracks':
        return _Tracks(*(np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                         for field in fields(self)))

    def __len__(self) -> int:
        return len(self.ids)

    def predicted(self, seconds: float) -> '_Tracks':
        """Return the tracks moved on by constant velocity under white acceleration noise."""
        velocity = np.where(self.hit[:, None], self.velocity,
                            self.velocity * np.exp(-seconds / _COASTING_S))
        noise = (_ACCELERATION * _scale(self.place)) ** 2
        pp, pv, vv = self.variance.transpose(1, 0, 2)
        variance = np.stack([
            pp + 2 * seconds * pv + seconds ** 2 * vv + noise * seconds ** 3 / 3,
            pv + seconds * vv + noise * seconds ** 2 / 2,
            vv + noise * seconds], axis=1)
        return replace(self, place=self.place + seconds * velocity, velocity=velocity,
                       variance=variance)

    def corrected(self, rows: np.ndarray, boxes: np.ndarray, now_ns: int) -> '_Tracks':
        """Return the tracks after these rows were sighted as these boxes."""
        place, velocity, variance = self.place.copy(), self.velocity.copy(), self.variance.copy()
        seen_ns, hit = self.seen_ns.copy(), np.zeros(len(self), bool)
        pp, pv, vv = variance[rows].transpose(1, 0, 2)
        total = pp + (_MEASUREMENT * _scale(place[rows])) ** 2
        surprise = _centred(boxes) - place[rows]
        place[rows] += pp / total * surprise
        velocity[rows] += pv / total * surprise
        variance[rows] = np.stack([pp - pp * pp / total, pv - pp * pv / total,
                                   vv - pv * pv / total], axis=1)
        seen_ns[rows], hit[rows] = now_ns, True
        return replace(self, place=place, velocity=velocity, variance=variance, seen_ns=seen_ns,
                       hit=hit)

    def boxes(self) -> np.ndarray:
        """Return (T, 4) boxes (x1, y1, x2, y2)."""
        half = np.maximum(self.place[:, 2:], 1.0) / 2
        return np.concatenate([self.place[:, :2] - half, self.place[:, :2] + half], axis=1)


def _centred(boxes: np.ndarray) -> np.ndarray:
    low, high = boxes[:, :2].astype(float), boxes[:, 2:].astype(float)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _scale(place: np.ndarray) -> np.ndarray:
    """Return (T, 4) the side of a square as large as the box, at least a pixel."""
    return np.repeat(np.sqrt(np.maximum(place[:, 2:3] * place[:, 3:4], 1.0)), 4, axis=1)


class Tracker:
    """
    The tracks of one camera.

    Ids count from 1 and are never given twice, also after `reset`. Equal inputs give equal ids.
    """

    def __init__(self) -> None:
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self._now_ns = 0
        self._tracks = _Tracks.born(np.zeros((0, 4)), np.zeros(0, np.int64), 0)

    def update(self, instances: Instances, now_ns: int, max_age_s: float,
               confident: float) -> np.ndarray:
        """
        Return the (N,) int64 id of each instance, 0 for those not (yet) tracked.

        now_ns: stamp of the frame, not before that of the last one. max_age_s: a track unseen for
        longer is given up. confident: least score that begins a track; weaker boxes only continue
        tracks. Labels must mean the same in all frames; no track changes its label.
        """
        tracks = self._tracks.take(now_ns - self._tracks.seen_ns <= 1e9 * max_age_s)
        if len(tracks):
            tracks = tracks.predicted(1e-9 * (now_ns - self._now_ns))
        self._now_ns = now_ns
        strong, known = instances.scores >= confident, tracks.ids > 0
        track_of = np.full(len(instances), -1)
        fits = np.where(tracks.labels[:, None] == instances.labels[None, :],
                        iou(tracks.boxes(), instances.boxes), 0.0)
        for rows, columns, least in (
                (known, strong, _MIN_IOU), (known & tracks.hit, ~strong, _MIN_IOU_WEAK),
                (~known, strong, _MIN_IOU)):
            free = rows & ~np.isin(np.arange(len(tracks)), track_of)
            _associate(fits, np.flatnonzero(free), np.flatnonzero(columns & (track_of < 0)),
                       least, track_of)
        found = np.flatnonzero(track_of >= 0)
        born = np.flatnonzero(strong & (track_of < 0))
        tracks = self._named(tracks.corrected(track_of[found], instances.boxes[found], now_ns),
                             track_of[found])
        ids = np.zeros(len(instances), np.int64)
        ids[found] = tracks.ids[track_of[found]]
        tracks = tracks.take(tracks.hit | (tracks.ids > 0)).join(
            _Tracks.born(instances.boxes[born], instances.labels[born], now_ns))
        if len(tracks) > MAX_TRACKS:
            newest = np.argsort(-tracks.seen_ns, kind='stable')[:MAX_TRACKS]
            tracks = tracks.take(np.sort(newest))
        self._tracks = tracks
        return ids

    def _named(self, tracks: _Tracks, sighted: np.ndarray) -> _Tracks:
        """Give an id to the tracks that were sighted a second time, best instance first."""
        ids = tracks.ids.copy()
        nameless = sighted[ids[sighted] == 0]
        ids[nameless] = self._next_id + np.arange(len(nameless))
        self._next_id += len(nameless)
        return replace(tracks, ids=ids)


def _associate(fits: np.ndarray, rows: np.ndarray, columns: np.ndarray, least: float,
               track_of: np.ndarray) -> None:
    """Match tracks (rows) to instances (columns) for the best sum of fits, into `track_of`."""
    if not (len(rows) and len(columns)):
        return
    offered = fits[np.ix_(rows, columns)]
    # A pair that may not be is worth nothing, so that it never displaces one that may.
    i, j = linear_sum_assignment(np.where(offered >= least, offered, 0.0), maximize=True)
    good = offered[i, j] >= least
    track_of[columns[j[good]]] = rows[i[good]]
