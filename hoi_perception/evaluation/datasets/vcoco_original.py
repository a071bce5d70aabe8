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

"""V-COCO in its original form: per action all annotated people, boxes in a file of COCO."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import Json
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.rows import RowReader
from hoi_perception.evaluation.datasets.vcoco_names import LEFT_OUT, vcoco_actions, vcoco_names
import numpy as np

COLUMNS = ('image_id', 'ann_id', 'label', 'role_object_id')


class Action(NamedTuple):
    """One action: n people's image, annotation id and 0/1 label, (n,); role ids (n, roles)."""

    name: str
    roles: Tuple[str, ...]
    images: np.ndarray
    people: np.ndarray
    label: np.ndarray
    things: np.ndarray


def is_vcoco_original(raw: Any) -> bool:
    """Tell the layout of `vcoco_train.json`: a list of actions."""
    return isinstance(raw, list) and bool(raw) and all(
        isinstance(action, dict) and {'action_name', 'role_name'} <= set(action)
        for action in raw)


def read_vcoco_original(raw: List[Any], file: str, coco: Optional[Json] = None,
                        ids: Optional[np.ndarray] = None) -> PairTable:
    """
    Read `vcoco_<split>.json`.

    coco: parsed COCO instances file of the same images; without it there are no boxes, and only
    the actions are checked. ids: (m,) image ids of the split's `.ids` file, to compare with. A
    person who does an action with nothing, or without a role (`stand`), makes no pair; such people
    and `point` are counted in the notes. Raises `HoiError` if the COCO file is none.
    """
    reader = RowReader('vcoco_original', file, vcoco_names())
    actions = [action for entry in raw for action in [_read_action(reader, entry)] if action]
    _check_actions(reader, raw, actions)
    images = np.unique(np.concatenate([np.zeros(0, np.int64), *(a.images for a in actions)]))
    if ids is not None and not np.array_equal(np.unique(ids), images):
        reader.error('image_ids', '', 'the images are not those of the split',
                     f'{len(images)} images', f'the {len(ids)} of the list of ids')
    if coco is None:
        for image in images:
            reader.start_image(str(image))
        reader.warning('boxes_unchecked', '', 'boxes are in a file of COCO', 'no such file',
                       'the COCO instances of these images (--coco)')
    else:
        _add_pairs(reader, actions, images, coco)
    return reader.table(_notes(actions))


def _read_action(reader: RowReader, entry: Json) -> Optional[Action]:
    """Return one action, None (and a problem) if its columns do not fit together."""
    name, roles = entry['action_name'], entry['role_name']
    known = {action: ('agent', *others) for action, others in vcoco_actions()}
    if not isinstance(name, str) or not isinstance(roles, list) or known.get(name) != tuple(roles):
        reader.error('action_unknown', _text(name), 'action and roles', roles,
                     'one of the 26 actions with its roles')
        return None
    columns: List[Any] = [reader.indices(_flat(entry.get(key)), name, key) for key in COLUMNS]
    if any(column is None for column in columns):
        return None
    images, people, label, things = columns
    lengths = [len(column) for column in columns]
    if lengths != [lengths[0]] * 3 + [lengths[0] * len(roles)]:
        reader.error('pair_count', name, 'the columns of the action differ in length', lengths,
                     f'n, n, n and {len(roles)} n')
        return None
    if not np.isin(label, (0, 1)).all():
        reader.error('label_invalid', name, 'label', sorted(set(label.tolist())), '0 or 1')
    return Action(name, tuple(roles[1:]), images, people, label,
                  things.reshape(len(roles), -1).T[:, 1:])


def _text(name: Any) -> str:
    """Name an action that may not be text."""
    return name if isinstance(name, str) else 'an action without a name'


def _flat(value: Any) -> Any:
    """Take [[1], [2]], which some editions have, for [1, 2]."""
    if isinstance(value, list) and all(isinstance(v, list) and len(v) == 1 for v in value):
        return [v[0] for v in value]
    return value


def _check_actions(reader: RowReader, raw: List[Any], actions: List[Action]) -> None:
    missing = [name for name, _ in vcoco_actions()
               if name not in [entry['action_name'] for entry in raw]]
    if missing:
        reader.error('action_missing', '', 'actions are missing', missing, 'all 26')
    for action in actions[1:]:
        if not (np.array_equal(action.images, actions[0].images)
                and np.array_equal(action.people, actions[0].people)):
            reader.error('people_differ', action.name, 'the people are not those of the first '
                         'action', f'{len(action.people)} people', 'the same people everywhere')


def _notes(actions: List[Action]) -> List[str]:
    bare = sum(int(a.label.sum()) for a in actions if not a.roles)
    nothing = sum(int(((a.label == 1) & (a.things == 0).all(1)).sum())
                  for a in actions if a.roles)
    point = sum(int(((a.label[:, None] == 1) & (a.things != 0)).sum())
                for a in actions if LEFT_OUT.startswith(a.name + ' '))
    return [f'{len(actions)} actions; not pairs: {bare} people in actions without a role, '
            f'{nothing} acting with nothing annotated; left out: {point} of {LEFT_OUT!r}']


def _add_pairs(reader: RowReader, actions: List[Action], images: np.ndarray,
               coco: Json) -> None:
    names, boxes, labels = _read_coco(reader, coco)
    rows: Dict[int, List[Any]] = {int(image): [] for image in images}
    for action in actions:
        for role, column in zip(action.roles, action.things.T):
            verb = f'{action.name} {role}'
            if verb == LEFT_OUT:
                continue
            for i in np.flatnonzero((action.label == 1) & (column != 0)):
                image, person, thing = (int(c[i]) for c in (action.images, action.people, column))
                if person in boxes and thing in boxes:
                    rows[image].append((boxes[person], boxes[thing],
                                        reader.names.verbs.index(verb), labels[thing]))
                else:
                    reader.error('annotation_missing', f'image {image}, {verb}',
                                 'COCO has no such annotation', [person, thing],
                                 'ids of the COCO file')
    for index, image in enumerate(images.tolist()):
        if image not in names:
            reader.error('image_missing', f'image {image}', 'COCO has no such image', image,
                         'an id of the COCO file')
        reader.start_image(*names.get(image, (str(image), (0, 0))))
        if rows[image]:
            humans, things, verbs, objects = (np.array(column) for column in zip(*rows[image]))
            reader.add(index, objects >= 0, humans, things, verbs, objects)


def _read_coco(reader: RowReader, coco: Json
               ) -> Tuple[Dict[int, Any], Dict[int, Any], Dict[int, int]]:
    """Return image id -> (file name, size), annotation id -> xyxy, annotation id -> object."""
    try:
        objects = {c['id']: str(c['name']) for c in coco['categories']}
        names = {i['id']: (i['file_name'], (i['width'], i['height'])) for i in coco['images']}
        boxes, labels = {}, {}
        for annotation in coco['annotations']:
            x, y, w, h = annotation['bbox']
            boxes[annotation['id']] = (float(x), float(y), float(x) + w, float(y) + h)
            labels[annotation['id']] = objects[annotation['category_id']]
    except (KeyError, TypeError, ValueError) as error:
        raise HoiError(f'The COCO file for {reader.file} is none ({type(error).__name__}: '
                       f'{error}): expected images, annotations and categories.') from error
    known = {name: i for i, name in enumerate(reader.names.objects)}
    for name in sorted(set(objects.values()) - set(known)):
        reader.error('name_unknown', 'categories', 'a category COCO does not have', name,
                     'one of its 80 objects')
    return names, boxes, {i: known.get(name, -1) for i, name in labels.items()}
