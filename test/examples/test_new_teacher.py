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

"""A new teacher: one method; docs/extending/teacher.md shows it."""

import json

import numpy as np
import pytest

pytest.importorskip('hoi_trainer', reason='the trainer is not installed')
# --8<-- [start:imports]
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.datasets.synthetic import synthetic_names
from hoi_trainer.teaching.records import record_from, summary, TaughtInteraction, TeacherRecord

# --8<-- [end:imports]


# --8<-- [start:teacher]
class LogBook:
    """A robot that noted what people did, and when: its words, without boxes."""

    def __init__(self, said):
        self.said = said  # image name: list of (verb, object), verbs in their base form

    def label(self, dataset):
        """Return one record per image of the data set, in its order."""
        return tuple(self._record(record.image) for record in dataset.records)

    def _record(self, image):
        told = tuple(TaughtInteraction(verb, thing) for verb, thing in self.said.get(image, ()))
        caption = ', '.join(f'a person, {each.verb} {each.object}' for each in told)
        return TeacherRecord(image, caption, told, 'log book', '' if told else 'empty')
# --8<-- [end:teacher]


# --8<-- [start:use]
def test_a_teacher_of_your_own_speaks_of_every_image_in_order():
    nothing = (np.zeros((0, 4), np.float32),) * 2 + (np.zeros(0, np.int64),) * 2
    dataset = HoiDataset(synthetic_names(), tuple(
        HoiRecord(name, 64, 48, *nothing) for name in ('0', '1', '2')))
    records = LogBook({'2': [('wipe', 'table')], '0': [('push', 'cart')]}).label(dataset)
    assert [(record.image, record.dropped) for record in records] == [
        ('0', ''), ('1', 'empty'), ('2', '')]
    assert summary(list(records))['verbs'] == 2
# --8<-- [end:use]
    for record in records:  # what `hoi-trainer label` would write can be read back
        assert record_from(json.loads(record.to_json()), 'line 2') == record
