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

"""Teachers that need no model: annotation, files, and a captioner that makes known mistakes."""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Dict, List, Tuple

from hoi_perception.core.errors import HoiError
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.teaching.parsing import record_of
from hoi_trainer.teaching.records import read_records, TaughtInteraction, TeacherRecord
from hoi_trainer.teaching.words import normal_noun, normal_verb
import numpy as np


def annotated_interactions(record: HoiRecord, dataset: HoiDataset) -> List[TaughtInteraction]:
    """Return the annotated pairs of an image in words, with their boxes."""
    names = dataset.names
    return [TaughtInteraction(normal_verb(names.phrases[verb]), normal_noun(names.objects[thing]),
                              1.0, tuple(map(float, human)), tuple(map(float, box)))
            for verb, thing, human, box in zip(record.verbs, record.objects, record.human_boxes,
                                               record.object_boxes)
            if names.verbs[verb] != 'no_interaction']


def caption_of(interactions: List[TaughtInteraction], phrases: Dict[str, str]) -> str:
    """Return 'a person riding a bicycle, a person ...'; phrases: verbs as captions have them."""
    said = [f'a person {phrases[each.verb]} '
            f'{"an" if each.object[0] in "aeiou" else "a"} {each.object}' for each in interactions]
    return ', '.join(dict.fromkeys(said))


def _phrases(dataset: HoiDataset) -> Dict[str, str]:
    return {normal_verb(phrase): phrase for phrase in dataset.names.phrases}


@dataclass(frozen=True)
class AnnotatedLabels:
    """The annotation itself, with boxes: fully supervised training."""

    def label(self, dataset: HoiDataset) -> Tuple[TeacherRecord, ...]:
        """Return one record per image; see `TeacherLabels`."""
        phrases = _phrases(dataset)
        found = [annotated_interactions(record, dataset) for record in dataset.records]
        return tuple(TeacherRecord(record.image, caption_of(said, phrases), tuple(said),
                                   'annotation', '' if said else 'empty')
                     for record, said in zip(dataset.records, found))


@dataclass(frozen=True)
class NoisyCaptioner:
    """
    A captioner that sees the scene and errs at known rates; it never says where.

    drop_rate: chance that an interaction is not said. false_rate: chance per interaction of the
    scene that one is made up: any (verb, object) class of the data set. The same seed gives the
    same words for the same images, whatever other images there are.
    """

    drop_rate: float = 0.2
    false_rate: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse rates that are no chances."""
        if not (0 <= self.drop_rate <= 1 and 0 <= self.false_rate <= 1):
            raise HoiError('drop_rate and false_rate of a noisy captioner are chances in 0..1, '
                           f'got {self.drop_rate} and {self.false_rate}.')

    def label(self, dataset: HoiDataset) -> Tuple[TeacherRecord, ...]:
        """Return one record per image; see `TeacherLabels`."""
        phrases = _phrases(dataset)
        source = f'captioner drop {self.drop_rate:g} false {self.false_rate:g} seed {self.seed}'
        return tuple(self._record(index, record, dataset, phrases, source)
                     for index, record in enumerate(dataset.records))

    def _record(self, index: int, record: HoiRecord, dataset: HoiDataset,
                phrases: Dict[str, str], source: str) -> TeacherRecord:
        dice = np.random.default_rng((self.seed, index))
        names, said = dataset.names, []
        for true in annotated_interactions(record, dataset):
            if dice.random() >= self.drop_rate:
                said.append(TaughtInteraction(true.verb, true.object))
            if dice.random() < self.false_rate:
                verb, thing = names.combinations[dice.integers(len(names.combinations))]
                said.append(TaughtInteraction(normal_verb(names.phrases[verb]),
                                              normal_noun(names.objects[thing])))
        said = list(dict.fromkeys(said))
        return TeacherRecord(record.image, caption_of(said, phrases), tuple(said), source,
                             '' if said else 'empty')


@dataclass(frozen=True)
class RecordFile:
    """What `hoi-trainer label` wrote, or anything in that form; images it lacks teach nothing."""

    path: str

    def label(self, dataset: HoiDataset) -> Tuple[TeacherRecord, ...]:
        """Return one record per image; raises `HoiError` where no image is known."""
        header, records = read_records(Path(self.path))
        return by_image(records, dataset, self.path, str(header.get('source', '')))


@dataclass(frozen=True)
class CaptionFile:
    """
    A JSON mapping of image names to captions, which are read by rules; no model is needed.

    See `parsing.interactions_in` for what the rules find.
    """

    path: str

    def label(self, dataset: HoiDataset) -> Tuple[TeacherRecord, ...]:
        """Return one record per image; raises `HoiError` where the file is no such mapping."""
        try:
            captions = json.loads(Path(self.path).read_text(encoding='utf-8'))
        except (OSError, ValueError, RecursionError) as error:
            raise HoiError(f'{self.path} cannot be read as JSON ({error}).') from error
        if not isinstance(captions, dict) or not all(
                isinstance(text, str) for text in captions.values()):
            raise HoiError(f'{self.path} must be a mapping of image names to captions.')
        return by_image([record_of(image, 'captions', caption)
                         for image, caption in captions.items()], dataset, self.path, 'captions')


def by_image(records: List[TeacherRecord], dataset: HoiDataset, path: str,
             source: str) -> Tuple[TeacherRecord, ...]:
    """Return the records in the order of the data set; nothing is said about images without."""
    known = {record.image: record for record in records}
    found = tuple(known.get(record.image, TeacherRecord(record.image, '', (), source, 'empty'))
                  for record in dataset.records)
    if not any(record.image in known for record in dataset.records):
        raise HoiError(f'{path} speaks of {len(known)} images, none of which is among the '
                       f'{len(found)} of the data set: labels and images do not belong together.')
    return found
