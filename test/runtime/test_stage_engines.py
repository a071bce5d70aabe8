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

"""Engines in the pipeline: taken where they can be trusted, never in the way where not."""

import json
import shutil

from bundles import LAIN_HEAD, tiny_bundle
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines import places
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.build import examine
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.openvino import OpenVino, WEIGHTS
from hoi_perception.runtime.engines.recorded import record
from hoi_perception.runtime.engines.store import EngineStore, seal
from hoi_perception.runtime.graphs import bundle_graphs
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
import pytest
import torch

CPU = torch.device('cpu')
GRAPHS = ['detector', 'interaction/lain']
GIVEN = Instances([[10, 10, 60, 200], [200, 20, 260, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                  [0.9, 0.7, 0.8, 0.6], [0, 0, 1, 2])
ANY_SCORE = PipelineOptions(triplet_threshold=0.0, masks=False)


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return a bundle of one bucket of pairs and two of rows."""
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', heads={'lain': LAIN_HEAD},
                       buckets=Buckets(instances=(30,), pairs=(16,), rows=(8, 32)))


@pytest.fixture(scope='module')
def compiled(bundle, tmp_path_factory):
    """Build what frames with the bundle's own verbs need, once in this file."""
    if reason := OpenVino().unavailable(CPU):
        pytest.skip(reason)
    store = EngineStore(tmp_path_factory.mktemp('engines'))

    def write(graph, directory):
        OpenVino().build(graph, 'fp32', directory)
        return {'refused': '', 'latency_ms': {'eager': 2.0, 'engine': 1.0}}
    for graph in bundle_graphs(bundle, 'lain', CPU, rows=[8]):
        store.build(EngineKey.of(graph, OpenVino(), 'fp32'),
                    lambda directory, graph=graph: write(graph, directory))
    return store.directory


def _copied(compiled, directory, **facts):
    """Return a copy of the engines of which other facts are recorded."""
    for engine in compiled.glob('*/engine.json'):
        target = directory / engine.parent.name
        shutil.copytree(engine.parent, target)
        record = json.loads(engine.read_text())
        (target / engine.name).unlink()
        seal(target, EngineKey(**record['key']), {**record['facts'], **facts})
    return directory


def _pipeline(bundle, directory, backend='openvino', precision='fp32'):
    return HoiPipeline(bundle, 'cpu', options=ANY_SCORE, engines=EngineOptions(
        backend, precision, directory=directory))


def _image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def _same_triplets(ours, expected):
    def entries(scene):
        found, triplets = scene.instances, scene.triplets
        return {(*found.boxes[h].round(), v, *found.boxes[o].round()): score for h, v, o, score
                in zip(triplets.human, triplets.verb, triplets.object, triplets.scores)}
    ours, expected = entries(ours), entries(expected)
    assert len(expected) >= 4 and set(ours) == set(expected)
    assert all(ours[entry] == pytest.approx(expected[entry], abs=1e-4) for entry in expected)


@pytest.mark.parametrize(('backend', 'why'), [
    ('eager', 'it was asked for'), ('auto', 'no engine is built yet')])
def test_without_engines_nothing_is_compiled_and_eager_runs(backend, why, bundle, tmp_path):
    pipeline = _pipeline(bundle, tmp_path / 'none', backend, 'auto')
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'eager fp32')
    assert all(why in graph.reason for graph in pipeline.engines.graphs)
    assert not pipeline.engines.warnings and not (tmp_path / 'none').exists()
    pipeline(_image())
    assert pipeline.eager_calls == dict.fromkeys(GRAPHS, 1)


def test_built_engines_run_frames_of_any_verbs_without_mislabelling(bundle, compiled):
    pipeline, eager = _pipeline(bundle, compiled), _pipeline(bundle, compiled, 'eager')
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'openvino fp32')
    assert not pipeline.engines.warnings
    given = Instances(GIVEN.boxes, GIVEN.scores, [0, 0, 4, 2])
    changes = [((), ()), (['carry: cup', 'meet: person', 'look at: umbrella'], ()),
               (['push: cart', 'hold: cup'], ['cart'])]
    for seed, (verbs, objects) in enumerate(changes):
        for each in (pipeline, eager):
            each.prompts.activate(each.prompts.prepare(verbs or None, objects=objects))
        frame = (_image(seed), given if objects else None)
        scene = pipeline(*frame)
        _same_triplets(scene, eager(*frame))
        assert scene.prompt_version == seed + 2
        assert not verbs or {phrase.split()[1] for phrase in scene.phrases()} <= {
            verb.split()[0].strip(':') for verb in verbs}
    assert pipeline.eager_calls == dict.fromkeys(GRAPHS, 0)


def test_verbs_of_a_bucket_without_engine_run_with_eager_and_are_counted(bundle, compiled):
    pipeline, eager = _pipeline(bundle, compiled), _pipeline(bundle, compiled, 'eager')
    for each in (pipeline, eager):
        each.prompts.activate(each.prompts.prepare([f'verb{i}' for i in range(6)]))
    _same_triplets(pipeline(_image()), eager(_image()))
    assert pipeline.eager_calls == {'detector': 0, 'interaction/lain': 1}


def test_engines_for_several_images_are_used_when_so_many_come(bundle, compiled, tmp_path):
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    store = EngineStore(tmp_path)
    for graph in bundle_graphs(bundle, 'lain', CPU, 2, rows=[8]):
        def write(directory, graph=graph):
            OpenVino().build(graph, 'fp32', directory)
            return {'refused': '', 'latency_ms': {'eager': 2.0, 'engine': 1.0}}
        store.build(EngineKey.of(graph, OpenVino(), 'fp32'), write)
    pipeline, eager = _pipeline(bundle, tmp_path), _pipeline(bundle, compiled, 'eager')
    images = [_image(0), _image(1)]
    for ours, expected in zip(pipeline.run(images), eager.run(images)):
        _same_triplets(ours.scene, expected.scene)
    pipeline(images[0])
    assert pipeline.eager_calls == dict.fromkeys(GRAPHS, 0)
    pipeline.run([*images, _image(2)])
    assert pipeline.eager_calls == dict.fromkeys(GRAPHS, 1)


def test_auto_offers_no_engine_that_is_slower_than_eager(bundle, compiled, tmp_path):
    slow = _copied(compiled, tmp_path, latency_ms={'eager': 1.0, 'engine': 1.2})
    pipeline = _pipeline(bundle, slow, 'auto')
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'eager fp32')
    assert 'too little to be used' in pipeline.engines.graphs[0].reason
    assert not pipeline.engines.warnings


def test_an_engine_without_parity_is_not_used_and_that_is_said_once(bundle, compiled, tmp_path):
    wrong = _copied(compiled, tmp_path, refused='the engine does not decide as eager does.')
    pipeline = _pipeline(bundle, wrong)
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'eager fp32')
    assert pipeline.engines.warnings == ('the engine does not decide as eager does.',)
    assert len(pipeline(_image()).triplets)


@pytest.mark.parametrize('damage', ['flipped', 'short', 'record'])
def test_a_damaged_engine_is_a_sentence_and_eager(damage, bundle, compiled, tmp_path):
    _copied(compiled, tmp_path)
    for engine in tmp_path.glob('detector-*'):
        path = engine / ('engine.json' if damage == 'record' else WEIGHTS)
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content[:-9] if damage == 'short' else content)
    pipeline = _pipeline(bundle, tmp_path)
    assert pipeline.engines.summary() == {'detector': 'eager fp32',
                                          'interaction/lain': 'openvino fp32'}
    warning, = pipeline.engines.warnings
    assert 'damaged' in warning and 'Traceback' not in warning
    assert len(pipeline(_image()).triplets)


def test_an_engine_that_fails_in_its_first_call_is_not_used(bundle, compiled, monkeypatch):
    def broken(self, directory, device):
        def call(*tensors):
            raise RuntimeError('no\n memory')
        return call
    monkeypatch.setattr(OpenVino, 'load', broken)
    pipeline = _pipeline(bundle, compiled)
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'eager fp32')
    assert 'fails in its first call (RuntimeError: no memory)' in pipeline.engines.warnings[0]
    assert len(pipeline(_image()).triplets)


def test_an_engine_that_fails_while_it_runs_gives_way_to_eager_and_that_is_told(bundle, compiled):
    pipeline = _pipeline(bundle, compiled)
    expected = pipeline(_image())
    stage = pipeline.stages[1]
    bucket, engine = next(iter(stage.engines.items()))

    def broken(*tensors):
        raise RuntimeError('device lost')
    stage.engines[bucket] = broken
    _same_triplets(pipeline(_image()), expected)
    _same_triplets(pipeline(_image()), expected)
    sentence, = pipeline.engine_failures
    assert 'interaction/lain' in sentence and 'device lost' in sentence
    assert pipeline.eager_calls == {'detector': 0, 'interaction/lain': 2}


def test_an_engine_that_is_wrong_on_frames_alone_is_not_used(bundle, tmp_path, monkeypatch):
    if reason := OpenVino().unavailable(CPU):
        pytest.skip(reason)
    load = OpenVino.load

    def wrong_on_pictures(self, directory, device):
        run = load(self, directory, device)

        def call(*tensors):
            outputs = list(run(*tensors))
            if tensors[0][0, 0, 0, 0] == 7:
                outputs[1] = 1 - outputs[1]
            return tuple(outputs)
        return call
    pipeline = _pipeline(bundle, tmp_path / 'none', 'eager')
    frame = np.full((64, 64, 3), 7, np.uint8)
    recorded = record(pipeline, [frame])
    graph = next(bundle_graphs(bundle, 'lain', CPU, rows=[8]))
    directory = tmp_path / 'engine'
    directory.mkdir()
    OpenVino().build(graph, 'fp32', directory)
    monkeypatch.setattr(OpenVino, 'load', wrong_on_pictures)
    arrays = [[tensor.numpy() for tensor in inputs]
              for inputs in recorded[graph.name, graph.bucket]]
    assert len(arrays) >= 1
    facts = examine(graph, OpenVino(), 'fp32', directory, arrays)
    assert 'image 1' in facts['refused'] and facts['parity']['inputs'] == 1 + len(arrays)


def test_engines_of_a_read_only_bundle_are_found_in_the_users_cache(bundle, compiled, tmp_path,
                                                                    monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(places, 'writable', lambda directory: False)
    place = places.engine_directories(bundle)[0]
    place.parent.mkdir(parents=True)
    place.symlink_to(compiled)
    assert _pipeline(bundle, None).engines.summary() == dict.fromkeys(GRAPHS, 'openvino fp32')


@pytest.mark.parametrize(('backend', 'precision', 'words'), [
    ('onnx', 'auto', 'choose auto'), ('openvino', 'fp16', 'no precision'),
    ('auto', 'int8', 'is unknown')])
def test_unknown_names_are_refused(backend, precision, words, bundle):
    with pytest.raises(EngineError, match=words):
        _pipeline(bundle, None, backend, precision)


def test_engines_can_be_changed_while_the_pipeline_lives(bundle, compiled):
    pipeline = _pipeline(bundle, compiled)
    pipeline.use_engines(EngineOptions('eager', directory=compiled))
    assert pipeline.engines.summary() == dict.fromkeys(GRAPHS, 'eager fp32')
    pipeline(_image())
    assert pipeline.eager_calls == dict.fromkeys(GRAPHS, 1)
