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

"""Heads behind one protocol: what they are given, how they are chosen and what a bundle needs."""

from bundles import DEFR_HEAD, LAIN_HEAD, tiny_bundle, tiny_spec
from hoi_perception.core.errors import BundleError
from hoi_perception.core.pairs import candidate_pairs, Pairs
from hoi_perception.core.scene import Instances, NONE
from hoi_perception.networks.clip import encode_text
from hoi_perception.networks.region_readout import box_regions
from hoi_perception.runtime.bundle import Bundle, HeadSpec
from hoi_perception.runtime.pair_batch import Chosen, pack_pairs
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.preprocess import Placement
from hoi_perception.runtime.prompts import object_phrases
from hoi_perception.runtime.verify import verify_heads
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
import torch

CPU = torch.device('cpu')
AT = Placement(2.0, 0.5, 0.0, 1.0, 64, 64)
GIVEN = Instances([[10, 10, 60, 200], [200, 20, 260, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                  [0.9, 0.7, 0.8, 0.6], [0, 0, 1, 2])
ANY_SCORE = PipelineOptions(triplet_threshold=0.0, masks=False)


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    heads = {'lain': LAIN_HEAD, 'defr': HeadSpec()}
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', heads=heads)


@pytest.fixture
def pipeline(bundle):
    return HoiPipeline(bundle, 'cpu', options=ANY_SCORE)


def _image(seed=0, height=240, width=320):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def _chosen(count, queries):
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 20, (count, 2))
    scores = np.sort(rng.random(count))[::-1]
    found = Instances(np.concatenate([low, low + 5], 1), scores, np.arange(count) % 3)
    return Chosen(found, candidate_pairs(found.scores, found.labels == 0, 99), np.array(queries),
                  AT)


def test_a_batch_holds_what_every_image_has_and_masks_the_rest():
    images = [_chosen(3, [4, NONE, 0]), _chosen(1, [7])]
    source = torch.arange(2 * 5 * 2.0).view(2, 5, 2)
    batch = pack_pairs(images, 8, 16, source, 2, CPU)
    assert batch.boxes.shape == (2, 8, 4) and batch.human.shape == (2, 16)
    assert batch.box_mask.sum(1).tolist() == [3, 1]
    assert batch.mask.sum(1).tolist() == [len(image.pairs.human) for image in images]
    rows = source.flatten(0, 1)
    assert torch.equal(batch.queries[0, :3], torch.stack([rows[4], torch.zeros(2), rows[0]]))
    assert torch.equal(batch.queries[1, :2], torch.stack([rows[7], torch.zeros(2)]))
    found, pairs = images[0].instances, images[0].pairs
    np.testing.assert_allclose(batch.boxes[0, :3], AT.to_network(found.boxes))
    count = len(pairs.human)
    np.testing.assert_allclose(batch.human_scores[0, :count], found.scores[pairs.human])
    np.testing.assert_allclose(batch.object_scores[0, :count], found.scores[pairs.object])
    assert batch.object_labels[0, :count].tolist() == found.labels[pairs.object].tolist()
    np.testing.assert_allclose(batch.object_boxes[0, :count],
                               AT.to_network(found.boxes)[pairs.object])


@pytest.mark.parametrize(('queries', 'dim'), [(None, 3), (torch.ones(1, 2, 3), 0)])
def test_queries_are_zeros_where_no_detector_ran_and_absent_where_nobody_reads_them(queries, dim):
    batch = pack_pairs([_chosen(2, [NONE, NONE])], 4, 4, queries, dim, CPU)
    assert batch.queries.shape == (1, 4, dim) and not batch.queries.any()


def test_an_image_without_pairs_packs_beside_others():
    nothing = Chosen(Instances.empty(), Pairs(np.zeros(0, int), np.zeros(0, int), 0),
                     np.zeros(0, int), AT)
    batch = pack_pairs([nothing, _chosen(2, [0, 1])], 8, 16, torch.ones(1, 2, 3), 3, CPU)
    assert batch.box_mask.sum(1).tolist() == [0, 2] and not batch.mask[0].any()


def test_the_first_head_is_the_default_and_others_are_chosen_by_name(bundle):
    assert HoiPipeline(bundle, 'cpu')(_image()).model_id.endswith('/lain')
    assert HoiPipeline(bundle, 'cpu', head='defr')(_image()).model_id.endswith('/defr')


def test_lain_gives_scenes_from_detected_and_from_given_boxes(pipeline):
    detected, given = pipeline.run([_image(), _image(1)], [None, GIVEN])
    assert len(detected.scene.triplets) and len(given.scene.triplets)
    assert all(value > 0 for name, value in detected.stages.items())
    for scene in (detected.scene, given.scene):
        labels = scene.instances.labels[scene.triplets.object]
        assert scene.vocabulary.validity[scene.triplets.verb, labels].all()
        assert (0 <= scene.triplets.scores).all() and (scene.triplets.scores <= 1).all()


def test_images_of_a_batch_do_not_change_one_another(pipeline):
    images = [_image(2), _image(3, 100, 400), _image(4)]
    for result, image in zip(pipeline.run(images), images):
        np.testing.assert_allclose(result.scene.triplets.scores, pipeline(image).triplets.scores,
                                   atol=1e-5)


def test_the_detectors_queries_reach_the_head(pipeline):
    """The same boxes, once with their queries and once as if given from outside."""
    scene = pipeline(_image())
    without = pipeline(_image(), scene.instances)
    assert not np.allclose(np.sort(scene.triplets.scores)[-5:],
                           np.sort(without.triplets.scores)[-5:], atol=1e-5)
    network = pipeline._detect.network

    def silent(images):
        output = type(network).forward(network, images)
        return output._replace(queries=torch.zeros_like(output.queries))
    network.forward = silent
    np.testing.assert_allclose(pipeline(_image()).triplets.scores, without.triplets.scores,
                               atol=1e-4)


def test_objects_are_told_to_the_head_by_their_text(pipeline):
    now = pipeline.prompts.current
    phrases = object_phrases(now.vocabulary.objects)
    assert phrases == ['a photo of a person', 'a photo of a bicycle', 'a photo of a cup',
                       'a photo of an umbrella', 'a photo of nothing']
    texts = encode_text(pipeline._interact.clip, phrases)
    torch.testing.assert_close(now.object_embeddings[:4], texts[:4])
    torch.testing.assert_close(now.object_embeddings[-1], texts[4])
    assert now.approximate == () and not now.background.any()


def test_verbs_and_objects_of_other_detectors_work_with_lain(pipeline):
    prompts = pipeline.prompts.prepare(['push: cart', 'hold'], objects=['cart'])
    pipeline.prompts.activate(prompts)
    assert prompts.object_embeddings.shape == (17, 16)
    labels = [0, 0, prompts.vocabulary.objects.index('cart'), 2]
    phrases = pipeline(_image(), Instances(GIVEN.boxes, GIVEN.scores, labels)).phrases()
    assert any('push cart' in phrase for phrase in phrases)
    assert any('hold cart' in phrase for phrase in phrases)
    assert not any('push' in phrase and 'cart' not in phrase for phrase in phrases)


@pytest.mark.parametrize('head', ['lain', 'defr'])
def test_room_for_more_objects_changes_no_score(head, bundle, monkeypatch):
    padded = HoiPipeline(bundle, 'cpu', head)
    monkeypatch.setattr('hoi_perception.runtime.prompts.padded_objects', max)
    exact = HoiPipeline(bundle, 'cpu', head)
    assert padded.prompts.current.validity.shape[1] > exact.prompts.current.validity.shape[1] == 4
    np.testing.assert_array_equal(padded(_image(), GIVEN).triplets.scores,
                                  exact(_image(), GIVEN).triplets.scores)


def test_the_readout_asks_for_no_object_text(bundle):
    prompts = HoiPipeline(bundle, 'cpu', head='defr').prompts.current
    assert not prompts.object_embeddings.any() and prompts.background.any()


@pytest.mark.parametrize(('change', 'words'), [
    ({'query_dim': 24}, 'queries of length 24, the detector gives 16'),
    ({'colour': 1}, 'cannot be built.*colour'), ({'adapter_dim': 5}, 'cannot be built'),
    ({'hidden': 9}, 'does not fit the configuration')])
def test_a_head_that_does_not_fit_is_refused(change, words, bundle, tmp_path):
    config = {**LAIN_HEAD.config, **change}
    if change == {'query_dim': 24}:
        made = tiny_bundle(tmp_path / 'b', heads={'lain': LAIN_HEAD.model_copy(
            update={'config': config})})
    else:
        heads = {'lain': LAIN_HEAD.model_copy(update={'config': config})}
        made = Bundle(bundle.path, bundle.spec.model_copy(update={'heads': heads}))
    with pytest.raises(BundleError, match=words):
        HoiPipeline(made, 'cpu')


def test_a_head_without_its_file_is_named_when_the_bundle_is_opened(tmp_path):
    made = tiny_bundle(tmp_path / 'b', heads={'lain': LAIN_HEAD})
    assert LAIN_HEAD.weight_files('lain') == ('heads/lain.safetensors',)
    manifest = made.path / 'bundle.yaml'
    lines = [line for line in manifest.read_text().splitlines() if 'heads/lain' not in line]
    manifest.write_text('\n'.join(lines))
    with pytest.raises(BundleError, match='files does not name heads/lain.safetensors'):
        Bundle.open(made.path)


def test_a_damaged_head_is_found_by_its_hash(tmp_path):
    made = tiny_bundle(tmp_path / 'b', heads={'lain': LAIN_HEAD})
    file = made.path / 'heads' / 'lain.safetensors'
    state = load_file(file)
    save_file({**state, 'logit_scale': torch.tensor(9.0)}, file)
    with pytest.raises(BundleError, match='was changed'):
        Bundle.open(made.path)


def test_learned_text_goes_with_sigmoid_only():
    with pytest.raises(ValueError, match='sigmoid'):
        HeadSpec(kind='lain', text='lain', activation='softmax')
    spec = HeadSpec(kind='lain', text='lain', activation='sigmoid')
    assert spec.weight_files('x') == ('heads/x.safetensors', 'heads/x.text.safetensors')


@pytest.fixture(scope='module')
def tuned(tmp_path_factory):
    heads = {'lain': LAIN_HEAD, 'tuned': DEFR_HEAD}
    return tiny_bundle(tmp_path_factory.mktemp('tuned') / 'tiny', heads=heads)


def test_a_fine_tuned_tower_scores_pairs_with_its_own_weights_and_rows(tuned):
    assert DEFR_HEAD.weight_files('x') == ('heads/x.safetensors', 'heads/x.text.safetensors')
    pipeline = HoiPipeline(tuned, 'cpu', head='tuned', options=ANY_SCORE)
    prompts, stage = pipeline.prompts.current, pipeline._interact
    rows = torch.nn.functional.normalize(
        tuned.tensors('heads/tuned.text.safetensors')['rows'], dim=-1)
    torch.testing.assert_close(prompts.embeddings[:len(prompts.phrases)], rows)
    assert prompts.approximate == () and not prompts.object_embeddings.any()
    own = tuned.tensors('heads/tuned.safetensors')['trunk.visual.conv1.weight']
    assert torch.equal(stage.head.trunk.visual.conv1.weight, own)
    assert not torch.equal(stage.trunk.visual.conv1.weight, own)
    scene = pipeline(_image(), GIVEN)
    assert len(scene.triplets) and scene.model_id.endswith('/tuned')
    one = int(np.argmax(scene.triplets.scores))
    expected = _score_by_hand(pipeline, scene, one, rows)
    assert scene.triplets.scores[one] == pytest.approx(expected, rel=1e-3)


def _score_by_hand(pipeline, scene, one, rows):
    """Return the score of a triplet: the whole last block, masked, for its pair alone."""
    stage, image = pipeline._interact, _image()
    pixels = stage.transform.pixels([stage.transform.resize(image)])
    trunk, at = stage.head.trunk, stage.transform.place(*image.shape[:2])
    human, thing = scene.triplets.human[one], scene.triplets.object[one]
    boxes = torch.from_numpy(at.to_network(scene.instances.boxes[[human, thing]]))
    region = box_regions(boxes, trunk.grid, trunk.patch).any(0)
    mask = torch.zeros(1 + len(region), 1 + len(region))
    mask[0, 1:][~region] = -torch.inf
    with torch.no_grad():
        tokens = trunk.tokens_before_last(stage.module.normalise(pixels))
        feature = trunk.ln_post(trunk.last_block(tokens, attn_mask=mask)[:, 0])
    phrase = [i for i, verb in enumerate(pipeline.prompts.current.verb_of_row)
              if verb == scene.triplets.verb[one]
              and pipeline.prompts.current.validity[i, scene.instances.labels[thing]]]
    logit = 100 * torch.nn.functional.normalize(feature, dim=-1)[0] @ rows[phrase[0]]
    return float(logit.sigmoid() * np.prod(scene.instances.scores[[human, thing]]))


def test_a_verb_the_classifier_was_not_trained_with_gets_the_row_it_would_begin_with(tuned):
    pipeline = HoiPipeline(tuned, 'cpu', head='tuned', options=ANY_SCORE)
    prompts = pipeline.prompts.prepare(['ride: bicycle', 'juggle: cup'])
    assert prompts.approximate == ('juggle',)
    clip = pipeline._interact.clip
    text = encode_text(clip, ['a photo of a person juggle a cup'])
    assert prompts.phrases[1] == 'a photo of a person juggle a cup'
    torch.testing.assert_close(prompts.embeddings[1], torch.nn.functional.normalize(
        text @ clip.visual.proj.T, dim=-1)[0])
    pipeline.prompts.activate(prompts)
    assert pipeline(_image(), GIVEN).prompt_version == 2


@pytest.mark.parametrize(('fields', 'words'), [
    ({'kind': 'defr'}, 'need each other'),
    ({'kind': 'region_readout', 'text': 'rows', 'activation': 'sigmoid'}, 'need each other'),
    ({'kind': 'defr', 'text': 'rows', 'activation': 'softmax'}, 'sigmoid')])
def test_a_fine_tuned_tower_and_its_rows_are_described_together(fields, words):
    with pytest.raises(ValueError, match=words):
        HeadSpec(**fields)


def test_rows_of_another_vocabulary_are_refused(tuned, tmp_path):
    file = tuned.path / 'heads/tuned.text.safetensors'
    rows = load_file(file)['rows']
    made = tiny_bundle(tmp_path / 'b', heads={'tuned': DEFR_HEAD})
    save_file({'rows': rows[1:]}, made.path / 'heads/tuned.text.safetensors')
    with pytest.raises(BundleError, match='one per phrase'):
        HoiPipeline(Bundle(made.path, made.spec), 'cpu')


def test_descriptions_written_before_there_were_other_heads_still_open():
    old = tiny_spec().model_dump(mode='json')
    old['heads'] = {'defr': {'kind': 'region_readout', 'activation': 'softmax'}}
    for part, keys in (('detector', ('suppress', 'clip_boxes')), ('clip', ('after_detector',)),
                       ('buckets', ('instances',))):
        for key in keys:
            del old[part][key]
    assert type(tiny_spec()).model_validate(old) == tiny_spec(heads={'defr': HeadSpec()})


def test_verifying_runs_every_head(bundle, tmp_path):
    assert verify_heads(bundle) == ('lain', 'defr')
    bad = tiny_bundle(tmp_path / 'b', heads={'defr': HeadSpec(), 'lain': LAIN_HEAD})
    file = bad.path / 'heads' / 'lain.safetensors'
    save_file({k: v for k, v in load_file(file).items() if k != 'logit_scale'}, file)
    with pytest.raises(BundleError, match='logit_scale'):
        verify_heads(Bundle(bad.path, bad.spec))
