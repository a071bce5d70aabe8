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

"""Bundles from models of other libraries."""

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.runtime.bundle import resource_path
from hoi_perception.runtime.bundle_build import build_bundle, BuildRequest, read_verbs
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
from random_models import CONFIGS, save_clip, save_detector
import torch


@pytest.fixture(scope='module')
def clip_files(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp('clip'))


def _request(detector, clip_files, **changes) -> BuildRequest:
    fields = {'detector': str(detector), 'clip': str(clip_files[0]),
              'clip_weights': str(clip_files[1]), 'name': 'built'}
    return BuildRequest(**{**fields, **changes})


@pytest.mark.parametrize('architecture', CONFIGS)
def test_a_saved_detector_and_clip_become_a_pipeline(architecture, clip_files, tmp_path):
    detector = save_detector(architecture, tmp_path / 'detector')
    bundle = build_bundle(_request(detector, clip_files), tmp_path / 'bundle')
    assert bundle.spec.vocabulary.objects == ('person', 'bicycle', 'cup')  # without N/A
    assert bundle.spec.detector.preprocessing.mean == (0.5, 0.5, 0.5)
    pipeline = HoiPipeline(bundle, 'cpu', options=PipelineOptions(
        instance_threshold=0.0, triplet_threshold=0.0))
    scene = pipeline(np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8))
    assert len(scene.instances)
    assert set(scene.instances.labels.tolist()) <= {0, 1, 2}
    has_masks = architecture == 'RfDetrForInstanceSegmentation'
    assert bool(scene.masks) == has_masks


def test_the_built_detector_computes_what_the_original_does(clip_files, tmp_path):
    from hoi_perception.networks.transformers_detectors import TransformersDetector
    from hoi_perception.runtime.loading import load_detector
    from random_models import random_detector
    save_detector('RTDetrV2ForObjectDetection', tmp_path / 'detector')
    bundle = build_bundle(_request(tmp_path / 'detector', clip_files, half=False),
                          tmp_path / 'bundle')
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours = load_detector(bundle, torch.device('cpu'))(images)
        theirs = TransformersDetector(random_detector('RTDetrV2ForObjectDetection'))(images)
    torch.testing.assert_close(ours.scores, theirs.scores)
    torch.testing.assert_close(ours.boxes, theirs.boxes)


def test_a_pickled_state_dict_is_read_as_tensors_only(tmp_path):
    detector = save_detector('DetrForObjectDetection', tmp_path / 'detector')
    clip = save_clip(tmp_path / 'clip', '.pt')
    assert build_bundle(_request(detector, clip), tmp_path / 'bundle').spec.name == 'built'


class _Dangerous:
    """Would run code where pickles are loaded without restriction."""

    def __reduce__(self):
        return print, ('code of a pickle ran',)


def test_a_pickle_with_code_is_refused(tmp_path, clip_files, capsys):
    detector = save_detector('DetrForObjectDetection', tmp_path / 'detector')
    weights = tmp_path / 'evil.pt'
    torch.save({'state_dict': _Dangerous()}, weights)
    with pytest.raises(BundleError, match='do not load'):
        build_bundle(_request(detector, clip_files, clip_weights=str(weights)), tmp_path / 'b')
    assert 'ran' not in capsys.readouterr().out


def _break(kind, tmp_path, clip_files):
    detector = tmp_path / 'detector'
    if kind == 'directory without models':
        detector.mkdir()
        return _request(detector, clip_files)
    save_detector('DetrForObjectDetection', detector)
    if kind == 'other architecture':
        path = detector / 'config.json'
        path.write_text(path.read_text().replace('DetrForObjectDetection', 'BertModel'))
        return _request(detector, clip_files)
    if kind == 'weights gone':
        (detector / 'model.safetensors').unlink()
        return _request(detector, clip_files)
    changes = {
        'unknown CLIP model': {'clip': 'ViT-Q-99'},
        'unknown tag': {'clip': 'ViT-B-32', 'clip_weights': 'no_such_tag'},
        'convolutional CLIP': {'clip': 'RN50'},
        'weights of another CLIP': {'clip': 'ViT-B-32'},
        'human is no class': {'human': 'robot'},
        'list of verbs gone': {'verbs': tmp_path / 'none.txt'}}
    return _request(detector, clip_files, **changes[kind])


@pytest.mark.parametrize(('kind', 'words'), [
    ('directory without models', 'configuration'),
    ('other architecture', 'BertModel'),
    ('weights gone', 'safetensors'),
    ('unknown CLIP model', 'ViT-Q-99'),
    ('unknown tag', 'no_such_tag'),
    ('convolutional CLIP', 'vision transformer'),
    ('weights of another CLIP', 'do not load'),
    ('human is no class', 'robot'),
    ('list of verbs gone', 'none.txt')])
def test_bad_input_is_one_sentence_and_leaves_nothing(kind, words, tmp_path, clip_files):
    request = _break(kind, tmp_path, clip_files)
    with pytest.raises(BundleError, match=words) as raised:
        build_bundle(request, tmp_path / 'bundle')
    assert '\n' not in str(raised.value)
    assert not (tmp_path / 'bundle').exists()


@pytest.mark.parametrize(('name', 'text'), [
    ('verbs.txt', '# household\nride: bicycle\nhold  # anything\n\n'),
    ('verbs.yaml', 'ride: {phrase: ride, objects: [bicycle]}\nhold:\n'),
    ('list.yml', '- "ride: bicycle"\n- hold\n')])
def test_lists_of_verbs_read_the_same_in_every_form(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    ride, hold = read_verbs(tmp_path / name)
    assert (ride.name, ride.objects) == ('ride', ('bicycle',))
    assert (hold.name, hold.objects) == ('hold', None)


@pytest.mark.parametrize('text', ['ride: 7\n', '- 7\n', '{', 'ride: {colour: red}', 'text'])
def test_broken_lists_of_verbs_are_refused(text, tmp_path):
    (tmp_path / 'verbs.yaml').write_text(text)
    with pytest.raises(HoiError):
        read_verbs(tmp_path / 'verbs.yaml')


def test_the_shipped_verbs_fit_one_prompt_per_object():
    verbs = read_verbs(resource_path('config/everyday_verbs.yaml'))
    assert len(verbs) >= 50
    assert sum(len(verb.objects) for verb in verbs) <= 640
