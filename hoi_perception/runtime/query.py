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
Questions about a scene: what the person at this point is doing, who holds a cup.

The instance is picked among those detected, so the questions work with every bundle. An answer
holds the interactions that are believed (that have an id) or score well enough on their own. What
was detected and not confident enough to be published is found by asking the image (`ask_image`).
"""

from dataclasses import replace
import difflib
import re
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.core.boxes import area, iou
from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.runtime.prompts import article
import numpy as np

MIN_IOU = 0.1
"""A box that fits no instance better than this points at nothing."""
PROMPT_IOU = 0.5
"""A box that asks for an instance which was not confident enough must fit it so well."""
SAME_IOU = 0.9
"""Computed twice, boxes of one picture may differ by rounding."""
MAX_PHRASE = 256

_ARTICLES = frozenset(('a', 'an', 'the'))
_OPENINGS = frozenset(('who', 'whose', 'is', 'does', 'someone', 'somebody', 'anyone', 'anybody'))


Prompt = Union[str, Sequence[float]]
"""A phrase, a point (x, y) or a box (x1, y1, x2, y2) in pixels of the source image."""


class Answer(NamedTuple):
    """The scene with only the triplets that answer and their masks, best first, and the words."""

    scene: Scene
    words: str


def instance_for(instances: Instances, prompt: Union[int, Sequence[float]]) -> int:
    """
    Return the index of the detected instance that a prompt means, `NONE` = none.

    prompt: (x, y), a point in source pixels: of the instances whose box holds it the one with the
    best score; or (x1, y1, x2, y2), a box: the best IoU * score with IoU >= 0.5; or a class index:
    the best of that class. Scores may be as low as they like: somebody has said that something is
    there. Raises `HoiError` on other input.
    """
    if isinstance(prompt, int):
        fit = instances.scores * (instances.labels == prompt)
        return int(fit.argmax()) if len(fit) and fit.max() > 0 else NONE
    if len(prompt) not in (2, 4) or not np.isfinite(np.asarray(prompt, float)).all():
        raise HoiError(f'{tuple(prompt)} is neither a point (x, y) nor a box (x1, y1, x2, y2) of '
                       'finite pixels.')
    fit = instances.scores.copy()
    if len(prompt) == 2:
        fit *= ((instances.boxes[:, :2] <= prompt) & (instances.boxes[:, 2:] >= prompt)).all(1)
    else:
        overlap = iou(np.asarray([prompt], float), instances.boxes)[0]
        fit = fit * overlap * (overlap >= PROMPT_IOU)
    return int(fit.argmax()) if len(fit) and fit.max() > 0 else NONE


def ask(scene: Scene, prompt: Prompt, least: float) -> Answer:
    """Answer a prompt of any kind; see `ask_phrase`, `ask_point` and `ask_box`."""
    if isinstance(prompt, str):
        return ask_phrase(scene, prompt, least)
    if len(prompt) == 2:
        return ask_point(scene, prompt[0], prompt[1], least)
    return ask_box(scene, prompt, least)


def is_seen(scene: Scene, prompt: Prompt) -> bool:
    """
    Return whether what a prompt means is among the instances of a scene.

    Where it is not, asking the image may find it: something whose score is too low for the scene.
    A phrase without an object means nothing in particular. Raises `HoiError` on a bad phrase.
    """
    if isinstance(prompt, str):
        thing = _parse(prompt, scene.vocabulary)[1]
        return thing is None or bool((scene.instances.labels == thing).any())
    return instance_for(scene.instances, prompt) != NONE


def ask_image(pipeline: Any, rgb: np.ndarray, prompt: Prompt, least: float,
              instances: Optional[Instances] = None) -> Answer:
    """
    Compute an image with a point (x, y), a box or the object of a phrase in mind and answer.

    pipeline: a `HoiPipeline`. What was detected there takes part however low its score, which a
    scene computed before cannot offer. instances: boxes of another detector, see
    `HoiPipeline.run`. For least and errors see `ask`.
    """
    meant = _parse(prompt, pipeline.vocabulary)[1] if isinstance(prompt, str) else prompt
    given = None if instances is None else [instances]
    scene = pipeline.run([rgb], given, focus=[meant])[0].scene
    # The very instance that the head had in mind, not one that lies in the same place.
    row = NONE if isinstance(prompt, str) else instance_for(scene.instances, prompt)
    return ask(scene, prompt, least) if row == NONE else _about(scene, row, least)


def with_identities(scene: Scene, seen: Scene) -> Scene:
    """Return the scene with the track ids that the same instances have in another, seen one."""
    now, before = scene.instances, seen.instances
    if not len(now) or not len(before):
        return scene
    overlap = iou(now.boxes, before.boxes) * (now.labels[:, None] == before.labels[None])
    ids = np.where(overlap.max(1) >= SAME_IOU, before.track_ids[overlap.argmax(1)], 0)
    return replace(scene, instances=replace(now, track_ids=ids))


def ask_point(scene: Scene, x: float, y: float, least: float) -> Answer:
    """
    Answer what happens with the smallest instance at a point, as the one who acts or the object.

    x, y: pixels of the source image. least: score from which a triplet without an id counts. Where
    instances have masks, one whose mask covers the point goes before those whose box does. Raises
    `HoiError` when the point is not in the image.
    """
    if not (0 <= x <= scene.width and 0 <= y <= scene.height):  # false for NaN
        raise HoiError(f'the point ({x:g}, {y:g}) is not in the image of {scene.width} x '
                       f'{scene.height} pixels.')
    boxes = scene.instances.boxes
    at = ((boxes[:, :2] <= (x, y)) & (boxes[:, 2:] >= (x, y))).all(axis=1)
    masked = at & _masked(scene, int(x), int(y))
    at = masked if masked.any() else at
    if not at.any():
        return _answer(scene, np.zeros(0, np.int64), f'nothing is at ({x:g}, {y:g}).')
    return _about(scene, int(np.argmin(np.where(at, area(boxes), np.inf))), least)


def ask_box(scene: Scene, box: Sequence[float], least: float) -> Answer:
    """
    Answer what happens with the instance that fits a box best, by intersection over union.

    box: (x1, y1, x2, y2) in pixels of the source image. Raises `HoiError` when it has no area or a
    corner that is no number.
    """
    x1, y1, x2, y2 = box
    shown = f'({x1:g}, {y1:g}, {x2:g}, {y2:g})'
    if not (np.isfinite(box).all() and x1 < x2 and y1 < y2):
        raise HoiError(f'the box {shown} cannot be used: expected finite pixels with x1 < x2 and '
                       'y1 < y2.')
    fit = iou(np.asarray([box], float), scene.instances.boxes)[0]
    if not len(fit) or fit.max() < MIN_IOU:
        return _answer(scene, np.zeros(0, np.int64), f'nothing fits the box {shown}.')
    return _about(scene, int(fit.argmax()), least)


def ask_phrase(scene: Scene, phrase: str, least: float) -> Answer:
    """
    Answer who does what a phrase says: a verb, an object or both.

    'hold cup', 'who: hold cup', 'Who is holding a cup?', 'hold' and 'cup' are understood: the verb
    as it is named, as it is written in the prompt or with an s. Raises `HoiError` when a word is
    not in the vocabulary, or verb and object cannot occur together.
    """
    verb, thing = _parse(phrase, scene.vocabulary)
    triplets, labels = scene.triplets, scene.instances.labels
    fits = np.ones(len(triplets), bool)
    if verb is not None:
        fits &= triplets.verb == verb
    if thing is not None:
        fits &= np.where(triplets.object == NONE, False, labels[triplets.object] == thing)
    doing = 'doing anything with' if verb is None else scene.vocabulary.verbs[verb].phrase
    name = '' if thing is None else f' {_with_article(scene.vocabulary.objects[thing])}'
    return _chosen(scene, fits, least, f'nobody is {doing}{name}.')


def _masked(scene: Scene, column: int, row: int) -> np.ndarray:
    """Return (N,) bool: the instances whose mask covers the pixel."""
    covered = np.zeros(len(scene.instances), bool)
    for mask in scene.masks:
        height, width = mask.bitmap.shape
        u, v = column - mask.x, row - mask.y
        if mask.kind == MaskKind.INSTANCE and 0 <= u < width and 0 <= v < height:
            covered[mask.owner] = mask.bitmap[v, u]
    return covered


def _about(scene: Scene, instance: int, least: float) -> Answer:
    triplets, name = scene.triplets, _name(scene, instance)
    nothing = (f'{name} is doing nothing that is looked for.'
               if scene.instances.labels[instance] == scene.vocabulary.human
               else f'nobody is doing anything with {name}.')
    return _chosen(scene, (triplets.human == instance) | (triplets.object == instance), least,
                   nothing)


def _chosen(scene: Scene, fits: np.ndarray, least: float, nothing: str) -> Answer:
    triplets = scene.triplets
    rows = np.flatnonzero(fits & ((triplets.ids != 0) | (triplets.scores >= least)))
    return _answer(scene, rows, nothing)


def _answer(scene: Scene, rows: np.ndarray, nothing: str) -> Answer:
    t = scene.triplets
    kept = Triplets(t.human[rows], t.object[rows], t.verb[rows], t.scores[rows], t.ids[rows])
    owners = {int(row): place for place, row in enumerate(rows)}
    masks = tuple(mask if mask.kind == MaskKind.INSTANCE else replace(
        mask, owner=owners[mask.owner]) for mask in scene.masks
        if mask.kind == MaskKind.INSTANCE or mask.owner in owners)
    sentences = []
    for human, thing, verb, score in zip(kept.human, kept.object, kept.verb, kept.scores):
        end = '' if thing == NONE else f' {_name(scene, thing)}'
        sentences.append(f'{_name(scene, human)} is {scene.vocabulary.verbs[verb].phrase}{end} '
                         f'({score:.2f})')
    return Answer(replace(scene, triplets=kept, masks=masks),
                  '; '.join(sentences) + '.' if sentences else nothing)


def _name(scene: Scene, instance: int) -> str:
    """Return class and, if it has one, identity: `cup 7`."""
    label, track = scene.instances.labels[instance], scene.instances.track_ids[instance]
    name = scene.vocabulary.objects[label] if label != NONE else 'thing'
    return f'{name} {track}' if track else _with_article(name)


def _with_article(name: str) -> str:
    return f'{article(name)} {name}'


def _plain(words: str) -> str:
    """Return lower-case words without punctuation and articles."""
    split = re.sub(r'[^\w\s-]|_', ' ', words.casefold()).split()
    return ' '.join(word for word in split if word not in _ARTICLES)


def _third_person(verb: str) -> str:
    first, space, rest = verb.partition(' ')
    if re.search(r'[^aeiou]y$', first):
        first = f'{first[:-1]}ies'
    else:
        first += 'es' if re.search(r'(s|x|z|ch|sh|o)$', first) else 's'
    return first + space + rest


def _parse(phrase: str, words: Vocabulary) -> Tuple[Optional[int], Optional[int]]:
    """Return the indices of verb and object; one of them may be None."""
    if len(phrase) > MAX_PHRASE:
        raise HoiError(f'the phrase has {len(phrase)} characters, at most {MAX_PHRASE} are read.')
    tokens = _plain(phrase).split()
    human = _plain(words.objects[words.human])
    while len(tokens) > 1 and (tokens[0] in _OPENINGS or tokens[0] == human):
        tokens.pop(0)
    said = ' '.join(tokens)
    if not said:
        raise HoiError(f'the phrase {phrase!r} says nothing: write a verb, an object or both, as '
                       "in 'hold cup'.")
    objects = {_plain(name): index for index, name in enumerate(words.objects)}
    forms: Dict[str, int] = {}
    for index, entry in enumerate(words.verbs):
        name = _plain(entry.name)
        for form in (name, _third_person(name), _plain(entry.phrase)):
            forms.setdefault(form, index)
    begins = [form for form in forms if f'{said} '.startswith(f'{form} ')]
    if not begins:
        if said in objects:
            return None, objects[said]
        raise HoiError(f'the phrase {phrase!r} begins with no verb and is no object of the '
                       f'vocabulary{_hint(said, [*words.verb_names, *objects])}')
    form = max(begins, key=len)
    verb, rest = forms[form], said[len(form):].strip()
    if not rest:
        return verb, None
    if rest not in objects:
        raise HoiError(f'{rest!r} in the phrase {phrase!r} is no object of the '
                       f'vocabulary{_hint(rest, list(objects))}')
    thing = objects[rest]
    if not words.validity[verb, thing]:
        raise HoiError(f'{words.verbs[verb].name!r} is not looked for with '
                       f'{words.objects[thing]!r}: the vocabulary restricts its objects.')
    return verb, thing


def _hint(word: str, known: Sequence[str]) -> str:
    close = (difflib.get_close_matches(word, known, 1)
             or difflib.get_close_matches(word.split()[0], known, 1))
    if close:
        return f'; did you mean {close[0]!r}?'
    return f'; known are {", ".join(known[:12])}{", ..." if len(known) > 12 else "."}'
