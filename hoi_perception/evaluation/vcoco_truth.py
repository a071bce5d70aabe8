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

"""V-COCO ground truth from the original files, cleaned as the official evaluator does."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.vcoco_names import vcoco_actions
from hoi_perception.evaluation.pairs import finite, indices
import numpy as np

ROLES = 2
"""Most roles of an action beside its agent."""
NO_ROLE = -1


@dataclass(frozen=True)
class VcocoTruth:
    """
    Annotated boxes of a set, n of them, in the official order (it decides between equals).

    actions: the A names. roles: per action its role names without the agent, in the official
    order ('hit' has instr, obj; 'eat' has obj, instr). image_ids: (I,) ids of the images. images:
    (n,) index into them. boxes: (n, 4) float32 xyxy, first and last pixel. person: (n,) bool.
    labels: (n, A) int8, 1 = does the action, 0 = does not, -1 = not annotated. role_rows:
    (n, A, 2) row of the role's box, -1 = none. Raises `HoiError`.
    """

    actions: Tuple[str, ...]
    roles: Tuple[Tuple[str, ...], ...]
    image_ids: np.ndarray
    images: np.ndarray
    boxes: np.ndarray
    person: np.ndarray
    labels: np.ndarray
    role_rows: np.ndarray

    def take(self, images: np.ndarray) -> 'VcocoTruth':
        """
        Return the truth of these images (k,), in their order; one that comes twice counts twice.

        The rows must be sorted by image, as both readers give them.
        """
        starts = np.searchsorted(self.images, np.arange(len(self.image_ids) + 1))
        counts = np.diff(starts)[images]
        begin = np.cumsum(counts) - counts
        shift = np.repeat(starts[images] - begin, counts)
        rows = np.arange(len(shift)) + shift
        role_rows = self.role_rows[rows]
        return VcocoTruth(
            self.actions, self.roles, self.image_ids[images],
            np.repeat(np.arange(len(images)), counts), self.boxes[rows], self.person[rows],
            self.labels[rows],
            np.where(role_rows == NO_ROLE, NO_ROLE, role_rows - shift[:, None, None]))

    def __post_init__(self) -> None:
        n, names = len(self.images), len(self.actions)
        if len(self.roles) != names or any(len(roles) > ROLES for roles in self.roles):
            raise HoiError(f'VcocoTruth.roles has {len(self.roles)} rows for {names} actions, or '
                           f'a row of more than {ROLES}: expected the roles of every action.')
        indices('VcocoTruth.images', self.images, n, len(self.image_ids))
        finite('VcocoTruth.boxes', self.boxes, (n, 4))
        for name, shape in (('person', (n,)), ('labels', (n, names)),
                            ('role_rows', (n, names, ROLES))):
            found = np.shape(getattr(self, name))
            if found != shape:
                raise HoiError(f'VcocoTruth.{name} has shape {found}, expected {shape}.')


def clean_box(annotation: Mapping[str, Any], width: float, height: float) -> Optional[List[float]]:
    """
    Return a COCO annotation's box as the evaluator sees it, or None where it drops the box.

    bbox xywh becomes xyxy with x2 = x1 + max(0, w - 1), cut to the image's last pixel. Dropped:
    `ignore` 1, segment area 0, less than two pixels wide or high.
    """
    if annotation.get('ignore') == 1:
        return None
    x, y, w, h = annotation['bbox']
    x1, x2 = (min(width - 1., max(0., v)) for v in (x, x + max(0., w - 1.)))
    y1, y2 = (min(height - 1., max(0., v)) for v in (y, y + max(0., h - 1.)))
    return [x1, y1, x2, y2] if annotation['area'] > 0 and x2 > x1 and y2 > y1 else None


def truth_from_json(coco: Mapping[str, Any], vcoco: Sequence[Mapping[str, Any]],
                    image_ids: Sequence[int]) -> VcocoTruth:
    """
    Turn the three original files, loaded, into ground truth.

    coco: `instances_vcoco_all_2014.json` (images, annotations with xywh boxes, categories; the
    first category is the person). vcoco: `vcoco_<split>.json`, one mapping per action with
    action_name, role_name, ann_id, label and role_object_id (all agents, then the ids of each
    role; 0 = none). image_ids: the split's ids. A person or object that `vcoco` does not name is
    not annotated: its labels are all -1. Raises `HoiError`.
    """
    try:
        return _truth(coco, vcoco, image_ids)
    except KeyError as error:
        raise HoiError(f'The V-COCO or COCO annotation lacks the field {error}: expected the '
                       'original files of V-COCO, not the instances form.') from error


def _truth(coco: Mapping[str, Any], vcoco: Sequence[Mapping[str, Any]],
           image_ids: Sequence[int]) -> VcocoTruth:
    named = np.unique(np.ravel(vcoco[0]['image_id'])).tolist()
    if named != sorted(image_ids):
        raise HoiError(f'The V-COCO annotation names {len(named)} images, the list of ids '
                       f'{len(image_ids)}, and they are not the same: use files of one split.')
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    index = {image: i for i, image in enumerate(image_ids)}
    absent = [image for image in image_ids if image not in sizes]
    if absent:
        raise HoiError(f'The COCO file lacks {len(absent)} images of the split, the first is '
                       f'{absent[0]}.')
    kept: List[Tuple[int, Mapping[str, Any], List[float]]] = []
    for annotation in coco['annotations']:
        if annotation['image_id'] in index:
            box = clean_box(annotation, *sizes[annotation['image_id']])
            if box is not None:
                kept.append((index[annotation['image_id']], annotation, box))
    kept.sort(key=lambda entry: entry[0])
    row_of = {annotation['id']: row for row, (_, annotation, _) in enumerate(kept)}
    labels, role_rows = _labels(vcoco, row_of)
    person = coco['categories'][0]['id']
    return VcocoTruth(
        tuple(action['action_name'] for action in vcoco),
        tuple(tuple(action['role_name'][1:]) for action in vcoco), np.asarray(image_ids),
        np.array([image for image, _, _ in kept], np.int64),
        np.array([box for _, _, box in kept], np.float32).reshape(-1, 4),
        np.array([annotation['category_id'] == person for _, annotation, _ in kept], bool),
        labels, role_rows)


def _labels(vcoco: Sequence[Mapping[str, Any]],
            row_of: Dict[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    labels = np.full((len(row_of), len(vcoco)), -1, np.int8)
    role_rows = np.full((len(row_of), len(vcoco), ROLES), NO_ROLE, np.int64)
    # Who is annotated at all is read from the first action, as the official code does.
    labels[[row_of[person] for person in np.ravel(vcoco[0]['ann_id']).tolist()
            if person in row_of]] = 0
    for a, action in enumerate(vcoco):
        people = np.ravel(action['ann_id']).tolist()
        role_ids = np.reshape(action['role_object_id'], (len(action['role_name']), -1)).T.tolist()
        for person, label, ids in zip(people, np.ravel(action['label']).tolist(), role_ids):
            row = row_of.get(person)
            if label != 1 or row is None or labels[row, a] == -1:
                continue
            if labels[row, a] == 1:
                raise HoiError(f'{action["action_name"]} names person {person} twice with label '
                               '1, expected once: mend the V-COCO annotation.')
            labels[row, a] = 1
            for slot, role in enumerate(ids[1:]):
                if role and role not in row_of:
                    raise HoiError(
                        f'{action["action_name"]} of person {person} has the role annotation '
                        f'{role}, which the COCO file lacks or whose box is empty: the two files '
                        'do not belong together.')
                role_rows[row, a, slot] = row_of[role] if role else NO_ROLE
    return labels, role_rows


def truth_from_pairs(table: PairTable) -> VcocoTruth:
    """
    Turn the instances form of V-COCO, which has no person without an object, into ground truth.

    Every person of a pair counts as annotated: it does the actions it is listed with, no others.
    A person that is only an object is not annotated. Boxes, edges in the table, name their last
    pixel here; image ids count from 0. Of several objects in one role the first counts.
    """
    actions = vcoco_actions()
    place = {f'{name} {role}': (a, slot) for a, (name, roles) in enumerate(actions)
             for slot, role in enumerate(roles)}
    action, slot = np.array([place[table.names.verbs[verb]] for verb in table.verbs],
                            np.int64).reshape(-1, 2).T
    count = len(table.verbs)
    thing = np.concatenate([np.zeros(count), table.objects != table.names.human])
    boxes = np.concatenate([table.human_boxes, table.object_boxes]) - [0, 0, 1, 1]
    rows, inverse = np.unique(np.column_stack([np.tile(table.record, 2), thing, boxes]), axis=0,
                              return_inverse=True)
    human, role = inverse.reshape(2, count)
    labels = np.full((len(rows), len(actions)), -1, np.int8)
    labels[human] = 0
    labels[human, action] = 1
    role_rows = np.full((len(rows), len(actions), ROLES), NO_ROLE, np.int64)
    role_rows[human[::-1], action[::-1], slot[::-1]] = role[::-1]
    return VcocoTruth(
        tuple(name for name, _ in actions), tuple(roles for _, roles in actions),
        np.arange(len(table.images)), rows[:, 0].astype(np.int64),
        rows[:, 2:].astype(np.float32), rows[:, 1] == 0, labels, role_rows)
