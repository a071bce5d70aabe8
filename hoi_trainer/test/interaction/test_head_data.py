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

"""Caches, pairs, batches and what a zero-shot setting holds back."""

from dataclasses import replace

from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.preprocess import ImageTransform
from hoi_trainer.interaction import detections_cache
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.data_module import jittered
from hoi_trainer.interaction.detections_cache import cached_detections, cached_images, Slots
from hoi_trainer.interaction.evaluate import evaluate_scores
from hoi_trainer.interaction.rows import prompt_rows, without_unseen
from hoi_trainer.interaction.sources import open_dataset, open_split
from hoi_trainer.training.steps import seed_step, StepSampler
import numpy as np
import pytest
import torch

SLOTS = Slots()


@pytest.fixture(name='bundle', scope='module')
def _bundle():
    torch.set_num_threads(1)
    return Bundle.open(default_bundle_path())


@pytest.fixture(name='dataset', scope='module')
def _dataset(scenes):
    return open_dataset(scenes / 'train')


@pytest.fixture(name='rows', scope='module')
def _rows(bundle):
    return prompt_rows(load_clip(bundle, torch.device('cpu'))[0], bundle)


@pytest.fixture(name='split', scope='module')
def _split(bundle, dataset, scenes):
    return HeadSplit(bundle, dataset, scenes / 'cache', SLOTS, 32)


def test_an_interrupted_cache_is_continued_to_the_same_content(bundle, dataset, tmp_path,
                                                               monkeypatch):
    monkeypatch.setattr(detections_cache, 'CHUNK', 4)
    whole = cached_detections(bundle, dataset, tmp_path / 'whole', SLOTS)
    detect, calls = DetectStage.detect, []

    def failing(stage, inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return detect(stage, inputs)

    monkeypatch.setattr(DetectStage, 'detect', failing)
    with pytest.raises(KeyboardInterrupt):
        cached_detections(bundle, dataset, tmp_path / 'cut', SLOTS)
    again = cached_detections(bundle, dataset, tmp_path / 'cut', SLOTS)
    assert len(calls) == 4  # two chunks, the failure, and only the last chunk again
    for one, other in zip(whole, again):
        np.testing.assert_array_equal(one, other)
    cached_detections(bundle, dataset, tmp_path / 'cut', SLOTS)
    assert len(calls) == 4


def test_other_settings_and_other_data_do_not_share_a_cache(bundle, dataset, tmp_path):
    few = replace(dataset, records=dataset.records[:2])
    cached_detections(bundle, few, tmp_path, SLOTS)
    cached_detections(bundle, few, tmp_path, Slots(4, 4))
    cached_detections(bundle, replace(dataset, records=dataset.records[1:3]), tmp_path, SLOTS)
    assert len(list(tmp_path.iterdir())) == 3


def test_cached_images_are_what_the_runtime_gives_clip(bundle, dataset, scenes, split):
    images = cached_images(bundle, dataset, scenes / 'cache')
    expected, _ = ImageTransform(bundle.spec.clip.preprocessing, torch.device('cpu'))(
        [dataset.image(i) for i in range(3)])
    assert len(images) == len(dataset)
    torch.testing.assert_close(split.normalise(split.pixels(torch.arange(3))), expected)


def test_people_come_first_and_pairs_join_a_person_with_another_instance(bundle, split):
    human = bundle.spec.core_vocabulary().human
    for labels, scores, mask in zip(split.labels, split.scores, split.mask):
        people = (labels == human) & mask
        assert people[:int(people.sum())].all() and mask[:int(mask.sum())].all()
        for side in (scores[people], scores[mask & ~people]):
            assert (side[1:] <= side[:-1]).all()
    pairs = split.pairs
    assert (pairs.human != pairs.object)[pairs.mask].all()
    assert (split.labels.gather(1, pairs.human) == human)[pairs.mask].all()
    assert split.mask.gather(1, pairs.object)[pairs.mask].all() and split.covered > 0.8


def test_labels_are_the_rows_of_the_annotated_pairs(bundle, dataset, split, rows):
    index = torch.arange(len(dataset))
    batch = split.batch(index, split.normalise(split.pixels(index)), rows)
    vocabulary, names = bundle.spec.core_vocabulary(), dataset.names
    for image, pair, row in batch.labels.nonzero().tolist():
        record, boxes = dataset.records[image], torch.from_numpy(
            np.array(split.detections.boxes[image]))
        human, thing = (boxes[slots[image, pair]] for slots in split.pairs[:2])
        overlap = torch.minimum(box_iou(human, torch.from_numpy(record.human_boxes)),
                                box_iou(thing, torch.from_numpy(record.object_boxes)))
        verb = vocabulary.verb_names[rows.verb_of_row[row]]
        assert verb in {names.verbs[record.verbs[g]] for g in (overlap >= 0.5).nonzero()[:, 0]}
    assert batch.labels.sum() > 0 and not (batch.labels > batch.valid).any()
    assert (batch.prior[~batch.inputs.pair_mask] == 0).all()


def test_positives_are_kept_when_few_pairs_are(bundle, dataset, scenes):
    few, all_pairs = (HeadSplit(bundle, dataset, scenes / 'cache', SLOTS, count, training=True)
                      for count in (4, 64))
    shown = all_pairs.pairs.verbs.any(-1).sum(1).clamp(max=4)
    assert torch.equal(few.pairs.verbs.any(-1).sum(1), shown)


def test_training_neither_scores_nor_labels_what_a_setting_holds_back(bundle, dataset, scenes,
                                                                      rows):
    setting = open_split('synthetic_uv', dataset)
    held = set(map(tuple, dataset.names.combinations[setting.unseen].tolist()))
    seen_rows = without_unseen(rows, bundle, dataset.names, setting.unseen)
    pairs = [(int(rows.verb_of_row[row]), thing) for row, thing in
             (rows.validity & ~seen_rows.validity).nonzero().tolist()]
    verbs, objects = bundle.spec.core_vocabulary().verb_names, bundle.spec.vocabulary.objects
    assert {(dataset.names.verbs.index(verbs[v]), dataset.names.objects.index(objects[o]))
            for v, o in pairs} == held
    split = HeadSplit(bundle, dataset, scenes / 'cache', SLOTS, 32, setting.unseen, True, False)
    unseen_verbs = [verbs.index(dataset.names.verbs[v]) for v in {v for v, _ in held}]
    assert split.pairs.verbs.any() and not split.pairs.verbs[..., unseen_verbs].any()


def test_scores_that_follow_the_labels_reach_what_the_pairs_cover(bundle, split, rows):
    reports = evaluate_scores(lambda batch: 0.1 + 0.9 * batch.labels, split, bundle, rows,
                              (1.0, 0.0), np.arange(10))
    best = reports[0.0]
    assert best.protocol == 'hico_official' and best.full > 0.8
    assert best.classes['full'] == best.classes['seen'] + best.classes['unseen']
    chance = evaluate_scores(lambda batch: 1 - batch.labels, split, bundle, rows, (0.0,))[0.0]
    assert chance.full < 0.3 and chance.unseen is None


@pytest.mark.parametrize('world', [1, 2])
def test_steps_give_every_image_once_per_pass_from_any_step_on(world):
    samplers = [StepSampler(12, 2, 24 // world, 0, 5, rank, world) for rank in range(world)]
    steps = [sum(parts, []) for parts in zip(*samplers)]
    flat = sum(steps, [])
    assert [sorted(flat[i:i + 12]) for i in range(0, 48, 12)] == [list(range(12))] * 4
    assert flat[:12] != flat[12:24]
    later = StepSampler(12, 2, 24 // world, 7, 5, 0, world)
    assert list(later) == list(samplers[0])[7:] and len(later) == len(samplers[0])


def test_jitter_depends_on_the_step_and_zero_changes_nothing():
    images = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(jittered(images, 0.0), images)
    results = []
    for step in (1, 1, 2):
        seed_step(0, step)
        results.append(jittered(images, 0.4))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert results[0].min() >= 0 and results[0].max() <= 1
