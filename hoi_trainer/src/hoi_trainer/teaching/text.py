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
What a teacher said about a data set, encoded once by the frozen text tower of CLIP.

A verb is always met together with an object, as the prompts of the run time: the table holds the
phrase of every verb with every object class of the detector, and with 'something'.
"""

from collections import Counter
from typing import Dict, List, NamedTuple, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.vocabulary import same_name, Vocabulary
from hoi_perception.networks.clip import encode_text
from hoi_perception.runtime.prompts import fill, object_phrases
from hoi_trainer.distillation.phrases import clip_phrases, NOBODY, text_ids
from hoi_trainer.teaching.records import TaughtInteraction, TeacherRecord
from hoi_trainer.teaching.verb_dictionary import VERBS
from hoi_trainer.teaching.words import gerund
import numpy as np
import torch
from torch import nn, Tensor

NEGATIVES = 2
"""Verbs of the dictionary that are drawn for every image."""
LIKE_THE_CLASS = 0.8
"""Least cosine of the texts of a teacher's object and a class that are taken for the same."""


class PhraseTable(NamedTuple):
    """
    Texts of all that was said: V verbs, O classes of the detector, T objects of the teacher.

    phrases: (V, O + 1, D) unit norm, last column for 'something'. background: (O + 1, D), a pair
    that does nothing. objects: (T, D). fits: (T, O) bool, the detector may call the object so.
    scale: CLIP's own factor on cosines.
    """

    phrases: Tensor
    background: Tensor
    objects: Tensor
    fits: Tensor
    scale: Tensor

    def to(self, device: torch.device) -> 'PhraseTable':
        """Return the table on a device."""
        return PhraseTable(*(part.to(device) for part in self))


class Taught(NamedTuple):
    """
    What was said about B images, K interactions each.

    verbs: (B, K) int64 rows of the table, -1 = padding. columns: (B, K) int64 columns of the
    table. things: (B, K) int64 objects of the teacher. confidence: (B, K). humans, objects:
    (B, K, 4) xyxy in pixels of the source, NaN where the teacher does not say where. negatives:
    (B, 2) int64 verbs that the image does not show. caption: (B,) int64, equal for equal texts,
    -1 = none. words: (B, L, D) unit norm. word_mask: (B, L) bool.
    """

    verbs: Tensor
    columns: Tensor
    things: Tensor
    confidence: Tensor
    humans: Tensor
    objects: Tensor
    negatives: Tensor
    caption: Tensor
    words: Tensor
    word_mask: Tensor

    def at(self, index: Tensor, device: torch.device) -> 'Taught':
        """Return some images of them on a device."""
        return Taught(*(part[index].to(device) for part in self))


class TeacherText(NamedTuple):
    """Verbs by row of the table; table; what was said about every image of the data set."""

    verbs: Tuple[str, ...]
    table: PhraseTable
    taught: Taught


def encode_records(records: Sequence[TeacherRecord], clip: nn.Module, vocabulary: Vocabulary,
                   background: str, most: int, words: int, seed: int) -> TeacherText:
    """
    Encode the records of all images of a data set with CLIP's text tower.

    background: template of a pair that does nothing. most: interactions kept per image, the first
    ones. words: kept of every caption. seed: of the negatives. Raises `HoiError` where nothing
    was said at all.
    """
    said = [record.interactions[:most] for record in records]
    verbs = _common_first(each.verb for spoken in said for each in spoken)
    things = _common_first(each.object for spoken in said for each in spoken)
    if not verbs:
        raise HoiError(f'the teacher names no interaction in any of {len(records)} images: there '
                       'is nothing to learn from.')
    dictionary = [verb for verb in VERBS if verb not in set(verbs)]
    every = (*verbs, *dictionary)
    table = _table(every, things, clip, vocabulary, background)
    captions = clip_phrases(clip, _distinct(records), words)
    number = {text: place for place, text in enumerate(_distinct(records))}
    text = torch.tensor([number[record.caption] for record in records])
    ids = torch.where(torch.tensor([bool(record.caption) for record in records]),
                      text_ids(_distinct(records))[text], NOBODY)
    columns = [_column(row) for row in table.fits]
    return TeacherText(every, table, Taught(
        *_padded(said, {verb: i for i, verb in enumerate(verbs)},
                 {thing: i for i, thing in enumerate(things)}, columns, max(most, 1)),
        _negatives(len(records), len(verbs), len(dictionary), seed), ids,
        captions.words.half()[text], captions.word_mask[text]))




def _distinct(records: Sequence[TeacherRecord]) -> List[str]:
    return list(dict.fromkeys(record.caption for record in records))


def _common_first(names) -> List[str]:
    return [name for name, _ in Counter(names).most_common()]


def _column(fits: Tensor) -> int:
    """Return the class that an object is called by, the number of classes where it has none."""
    return int(fits.float().argmax()) if fits.any() else len(fits)


def _table(verbs: Sequence[str], things: Sequence[str], clip: nn.Module, vocabulary: Vocabulary,
           background: str) -> PhraseTable:
    columns = [*vocabulary.objects, '']
    phrases = encode_text(clip, [fill(vocabulary.template, gerund(verb), thing)
                                 for verb in verbs for thing in columns])
    texts = encode_text(clip, object_phrases([*things, *vocabulary.objects]))[:-1]
    said, known = texts[:len(things)], texts[len(things):]
    equal = torch.tensor([[same_name(thing) == same_name(name) for name in vocabulary.objects]
                          for thing in things])
    cosines = said @ known.T
    # What has a name of its own among the classes is not taken for a similar one.
    alike = (cosines > LIKE_THE_CLASS) & (cosines == cosines.amax(1, keepdim=True))
    fits = torch.where(equal.any(1, keepdim=True), equal, alike)
    return PhraseTable(phrases.unflatten(0, (len(verbs), len(columns))),
                       encode_text(clip, [fill(background, thing=thing) for thing in columns]),
                       said, fits, clip.logit_scale.detach().exp().cpu())


def _padded(said: Sequence[Sequence[TaughtInteraction]], verbs: Dict[str, int],
            things: Dict[str, int], columns: Sequence[int], most: int) -> Tuple[Tensor, ...]:
    """Return the first six fields of `Taught`."""
    shape = len(said), most
    verb, column, thing = np.full(shape, -1), np.zeros(shape, int), np.zeros(shape, int)
    confidence = np.zeros(shape, np.float32)
    boxes = np.full((2, *shape, 4), np.nan, np.float32)
    for row, spoken in enumerate(said):
        for place, each in enumerate(spoken):
            verb[row, place], thing[row, place] = verbs[each.verb], things[each.object]
            column[row, place] = columns[things[each.object]]
            confidence[row, place] = each.confidence
            if each.human_box and each.object_box:
                boxes[:, row, place] = each.human_box, each.object_box
    return (*(torch.from_numpy(part.astype(np.int64)) for part in (verb, column, thing)),
            torch.from_numpy(confidence), *torch.from_numpy(boxes))


def _negatives(images: int, first: int, count: int, seed: int) -> Tensor:
    """Return (images, 2) rows of the dictionary, which begins at `first`."""
    draw = np.random.default_rng((seed, images)).random((images, count)).argsort(1)
    return torch.from_numpy(first + draw[:, :NEGATIVES])
