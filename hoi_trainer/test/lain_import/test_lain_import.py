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

"""Importing released LAIN checkpoints: every key, what is refused, and bundles that run."""

from collections import Counter
import json
from pathlib import Path

from hoi_perception.core.errors import BundleError, VocabularyError
from hoi_perception.core.scene import Instances
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import Lain
from hoi_perception.networks.lain_text import (
    new_verb_features,
    prompt_tokens,
    TextTower,
    verb_features,
    VerbPrompts,
)
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_trainer.cli import main
from hoi_trainer.lain_import.bundle import (
    check_checkpoint,
    expected_keys,
    import_lain,
    ImportRequest,
    networks_of,
    vocabulary_spec,
)
from hoi_trainer.lain_import.checkpoint import read_checkpoint, SETTINGS, sizes_of
from hoi_trainer.lain_import.keys import source_of, TEXT, translate
from lain_checkpoints import random_checkpoint, save, SMALL, WORDS
import numpy as np
import pytest
from safetensors.torch import save_file
from shared_data import require_shared
import torch

TEXT_WIDTH = SMALL.clip['text_cfg']['width']
GIVEN = Instances([[5, 4, 30, 40], [20, 10, 60, 44], [-3, 20, 25, 50], [40, 5, 62, 30]],
                  [0.9, 0.8, 0.7, 0.6], [0, 1, 0, 41])
IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def checkpoint():
    return random_checkpoint()


@pytest.fixture(scope='module')
def words(checkpoint):
    """Token embedding that gives the checkpoint's own prompts."""
    table = torch.randn(WORDS, TEXT_WIDTH) * 0.3
    tokens = prompt_tokens(_phrases(), SMALL.context)
    checkpoint[TEXT['prefix']] = table[tokens[:, :1]]
    checkpoint[TEXT['suffix']] = table[tokens[:, 1 + SMALL.context:]]
    return table


@pytest.fixture(scope='module')
def files(checkpoint, words, tmp_path_factory):
    directory = tmp_path_factory.mktemp('released')
    save_file({'token_embedding.weight': words}, directory / 'clip.safetensors')
    return save(checkpoint, directory / 'lain.pth'), directory / 'clip.safetensors'


@pytest.fixture(scope='module')
def closed(files, tmp_path_factory):
    """A bundle that was imported without --clip."""
    return import_lain(ImportRequest(files[0], 'rf_uc'), tmp_path_factory.mktemp('b') / 'closed')


@pytest.fixture(scope='module')
def opened(files, tmp_path_factory):
    """A bundle that can encode new verbs."""
    return import_lain(ImportRequest(files[0], 'rf_uc', str(files[1])),
                       tmp_path_factory.mktemp('b') / 'opened')


def _phrases():
    phrases = [f'a photo of a person is {verb.phrase} the object'
               for verb in vocabulary_spec().verbs]
    phrases[57] = 'a photo of a person and the object with no interaction'
    return phrases


def _pipeline(imported):
    return HoiPipeline(imported.bundle, 'cpu', options=PipelineOptions(triplet_threshold=0.0))


def _released_shapes(setting):
    listed = json.loads(require_shared('golden/lain/state_dict_keys.json').read_text())
    keys = next(value for name, value in listed.items() if name.startswith('keys_'))
    variants = {name.partition(' (')[0]: shapes
                for name, shapes in listed['variant_shapes'].items()}
    name = setting.upper().replace('_', '-')
    return {**keys, **next(shapes for names, shapes in variants.items()
                           if name in names.split(', '))}


@pytest.mark.parametrize('setting', SETTINGS)
def test_every_released_key_at_full_size_has_exactly_one_place(setting):
    shapes = _released_shapes(setting)
    state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    sizes, networks = check_checkpoint(state, setting)  # refuses missing and unexpected keys
    used = Counter(source_of(name, table) for table, tensors in networks.names().items()
                   for name in tensors)
    assert set(used.values()) == {1}
    packed = {source.key for source in used if source.part is not None}
    assert all({source.part for source in used if source.key == key} == {0, 1, 2}
               for key in packed)
    assert {source.key for source in used} | set(TEXT.values()) == set(shapes)
    assert len(shapes) == 1506
    assert (sizes.clip['vision_cfg']['layers'], sizes.lain.adapter_dim) == (12, 32)


def test_networks_hold_the_released_tensors(checkpoint, closed):
    found = closed.bundle.tensors('detector.safetensors')
    packed = checkpoint['detector.transformer.decoder.layers.1.multihead_attn.in_proj_weight']
    parts = [found[f'model.model.decoder.layers.1.encoder_attn.{x}_proj.weight'] for x in 'qkv']
    assert torch.equal(torch.cat(parts), packed)
    head = closed.bundle.tensors('heads/lain.safetensors')
    assert torch.equal(head['logit_scale'], checkpoint['logit_scale_text'])
    assert torch.equal(head['adapters.1.up_proj2.weight'], checkpoint[
        'clip_head.image_encoder.transformer.resblocks.1.adaptermlp.up_proj2.weight'])
    assert closed.bundle.spec.heads['lain'].temperature == pytest.approx(
        float(checkpoint['logit_scale_text'].exp()))


def test_the_detector_is_detr_with_the_decoders_states_as_queries(checkpoint, closed):
    transformer = {key.partition('detector.')[2]: value for key, value in checkpoint.items()
                   if key.startswith('detector.')}
    pipeline = _pipeline(closed)
    model = pipeline._detect.network.model
    with torch.no_grad():
        output = model(pixel_values=torch.rand(1, 3, 64, 64))
        logits = output.last_hidden_state @ transformer['class_embed.weight'].T
        found = pipeline._detect.network(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(output.logits, logits + transformer['class_embed.bias'])
    assert found.queries.shape == (1, 24, 32) == output.last_hidden_state.shape


def test_an_imported_bundle_opens_runs_and_names_hico_det(closed):
    pipeline = _pipeline(closed)
    assert Bundle.open(closed.bundle.path).spec.heads['lain'].human_exponent == 2.8
    assert len(pipeline(IMAGE).instances) > 0
    scene = pipeline(IMAGE, GIVEN)
    assert np.isfinite(scene.triplets.scores).all() and len(scene.triplets) > 0
    valid = scene.vocabulary.validity[scene.triplets.verb,
                                      scene.instances.labels[scene.triplets.object]]
    assert valid.all()
    assert len(scene.vocabulary.verbs) == 117 and scene.vocabulary.validity.sum() == 600


def test_scores_are_those_of_the_head_and_the_released_text(checkpoint, closed):
    """The same numbers from the networks put together by hand."""
    sizes = sizes_of(checkpoint)
    prompts = VerbPrompts(checkpoint[TEXT['ctx']], checkpoint[TEXT['prefix']],
                          checkpoint[TEXT['suffix']],
                          prompt_tokens(_phrases(), SMALL.context).argmax(-1))
    pipeline = _pipeline(closed)
    with torch.no_grad():
        text = verb_features(_tower(checkpoint, sizes), prompts)
    now = pipeline.prompts.current
    assert list(now.phrases) == _phrases()
    torch.testing.assert_close(now.embeddings[:117], text)
    assert torch.equal(now.object_embeddings[[*range(80), -1]], checkpoint[TEXT['objects']])


def _tower(checkpoint, sizes):
    text = sizes.clip['text_cfg']
    tower = TextTower(text['width'], text['layers'], sizes.clip['embed_dim']).eval()
    tower.load_state_dict(translate(tower.state_dict(), 'clip', checkpoint))
    return tower


def test_without_clip_other_verbs_are_refused_with_the_reason(closed):
    pipeline = _pipeline(closed)
    assert 'token embedding' in closed.notes[0]
    with pytest.raises(VocabularyError, match='no token embedding.*--clip'):
        pipeline.prompts.prepare(['juggle'])
    known = pipeline.prompts.prepare(['ride: bicycle', 'brush with', 'no_interaction'])
    assert known.phrases == ('a photo of a person is riding the object',
                             'a photo of a person is brushing with the object',
                             'a photo of a person and the object with no interaction')
    assert known.approximate == ()
    assert known.vocabulary.validity[0].sum() == 1 and known.vocabulary.validity[1].all()


def test_new_verbs_use_the_mean_context_and_say_so(checkpoint, words, opened):
    prompts = _pipeline(opened).prompts.prepare(['ride', 'juggle', 'repair it all day'])
    assert prompts.approximate == ('juggle', 'repair it all day')
    learned = VerbPrompts(checkpoint[TEXT['ctx']], checkpoint[TEXT['prefix']],
                          checkpoint[TEXT['suffix']], torch.zeros(117))
    with torch.no_grad():
        expected = new_verb_features(_tower(checkpoint, sizes_of(checkpoint)), learned, words,
                                     ['a photo of a person is juggle the object'])
    torch.testing.assert_close(prompts.embeddings[1:2], expected)


def test_a_shared_context_makes_new_verbs_no_approximation(checkpoint, words, files, tmp_path):
    state = random_checkpoint(SETTINGS['uv'], seed=1)
    imported = import_lain(ImportRequest(save(state, tmp_path / 'uv.pth'), 'uv', str(files[1])),
                           tmp_path / 'uv')
    assert _pipeline(imported).prompts.prepare(['juggle']).approximate == ()
    assert 'differs' in imported.notes[0]  # random suffixes are those of no token embedding


@pytest.mark.parametrize('kind', ['closed', 'opened'])
def test_objects_of_another_detector_take_part(kind, request):
    pipeline = _pipeline(request.getfixturevalue(kind))
    prompts = pipeline.prompts.prepare(['hold', 'ride: bicycle'], objects=['robot_arm'])
    assert prompts.object_embeddings.shape == (97, 32)
    assert prompts.approximate == (('robot_arm',) if kind == 'closed' else ())
    pipeline.prompts.activate(prompts)
    labels = [0, prompts.vocabulary.objects.index('robot_arm'), 0, 1]
    scene = pipeline(IMAGE, Instances(GIVEN.boxes, GIVEN.scores, labels))
    phrases = scene.phrases()
    assert any('robot_arm' in p and 'hold' in p for p in phrases)
    assert not any('robot_arm' in p and 'ride' in p for p in phrases)


def test_the_image_of_clip_comes_from_the_detectors(closed):
    pipeline = _pipeline(closed)
    resized = pipeline._detect.transform.resize(IMAGE)
    assert resized.shape == (800, 1066, 3) and pipeline._interact.after_detector


def _bad(change):
    def made(state, path):
        # Expanded zeros have the shapes, and a file of a few kilobytes.
        thin = {key: torch.zeros(()).expand(value.shape) for key, value in state.items()}
        return save(change(thin), path)
    return made


def _without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(('make', 'setting', 'message'), [
    (_bad(lambda s: s), 'nf_uc', 'that is rf_uc'), (_bad(lambda s: s), 'uv', 'shared by all'),
    (_bad(lambda s: s), 'full', 'unknown setting'),
    (_bad(_without('query_proj.layers.1.bias')), 'rf_uc', 'missing, among them query_proj'),
    (_bad(_without('detector.class_embed.weight')), 'rf_uc', 'no detector.class_embed.weight'),
    (_bad(_without(TEXT['ctx'])), 'rf_uc', 'ctx'),
    (_bad(lambda s: {**s, 'module.extra': torch.zeros(1)}), 'rf_uc', 'unexpected, among them mod'),
    (_bad(lambda s: {**s, 'logit_scale_text': torch.zeros(2)}), 'rf_uc', 'shapes differ'),
    (_bad(lambda s: {**s, 'detector.class_embed.weight': torch.zeros(92, 32)}), 'rf_uc',
     '91 objects, expected'),
    (_bad(lambda s: {**s, 'query_proj.layers.0.weight': torch.zeros(3)}), 'rf_uc', 'dimensions'),
    (_bad(lambda s: {**s, 'logit_scale_text': torch.tensor(torch.nan)}), 'rf_uc', 'NaN'),
    (_bad(lambda s: {**s, 'logit_scale_text': torch.tensor(9.0)}), 'rf_uc', 'temperature'),
    (lambda s, p: _saved({'state_dict': {}}, p), 'rf_uc', 'no model_state_dict'),
    (lambda s, p: _saved([1, 2], p), 'rf_uc', 'found list'),
    (lambda s, p: _saved({'model_state_dict': Path('x')}, p), 'rf_uc', 'without running code'),
    (lambda s, p: p.write_bytes(b'not a checkpoint'), 'rf_uc', 'without running code'),
    (lambda s, p: p.write_bytes(b''), 'rf_uc', 'not a checkpoint'),
    (lambda s, p: p.mkdir(), 'rf_uc', 'not a checkpoint'),
    (lambda s, p: None, 'rf_uc', 'does not exist')])
def test_what_is_no_such_checkpoint_is_refused_with_a_sentence(
        checkpoint, make, setting, message, tmp_path, capsys):
    make(checkpoint, tmp_path / 'lain.pth')
    code = main(['import-lain', str(tmp_path / 'lain.pth'), '--setting', setting, '--out',
                 str(tmp_path / 'out')])
    error = ' '.join(capsys.readouterr().err.split())
    assert code == 2 and message in error and 'Traceback' not in error
    assert not (tmp_path / 'out').exists()


def _saved(content, path):
    torch.save(content, path)


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('clip.pt', {'visual.proj': torch.zeros(1)}, 'no token_embedding.weight'),
    ('clip.pt', {'token_embedding.weight': torch.zeros(WORDS, 3)}, 'width 3'),
    ('clip.pt', {'state_dict': Path('x')}, 'run code'), ('nothing', None, 'neither a file nor')])
def test_unusable_clip_weights_are_refused_with_a_sentence(files, name, content, message,
                                                                 tmp_path):
    if content is not None:
        torch.save(content, tmp_path / name)
    with pytest.raises(BundleError, match=message):
        import_lain(ImportRequest(files[0], 'rf_uc', str(tmp_path / name)), tmp_path / 'out')


@pytest.mark.filterwarnings('ignore:.torch.jit:FutureWarning')
def test_openais_archive_gives_the_token_embedding(tmp_path):
    class Clip(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding = torch.nn.Embedding(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.token_embedding(x)

    from hoi_trainer.lain_import.clip_tokens import token_embedding
    module = Clip()
    torch.jit.script(module).save(str(tmp_path / 'ViT-B-16.pt'))
    assert torch.equal(token_embedding(str(tmp_path / 'ViT-B-16.pt')),
                       module.token_embedding.weight)


def test_the_command_writes_a_bundle_that_verifies(files, tmp_path, capsys):
    out = tmp_path / 'lain'
    assert main(['import-lain', str(files[0]), '--setting', 'rf_uc', '--out', str(out)]) == 0
    captured = capsys.readouterr()
    assert str(out) in captured.out and 'note: Without --clip' in captured.err
    assert set(Bundle.open(out).spec.files) == {
        'CARD.md', 'clip.safetensors', 'detector.safetensors', 'heads/lain.safetensors',
        'heads/lain.text.safetensors'}


def test_counters_of_batch_normalisation_are_left_out(checkpoint):
    extra = {'detector.backbone.0.body.bn1.num_batches_tracked': torch.tensor(7)}
    sizes, networks = check_checkpoint({**checkpoint, **extra}, 'rf_uc')
    assert not any(name.endswith('tracked') for name in networks.names()['detector'])


def test_a_checkpoint_in_half_precision_is_read(checkpoint, tmp_path):
    state = {key: value.half() for key, value in checkpoint.items()}
    read = read_checkpoint(save(state, tmp_path / 'half.pth'))
    sizes, networks = check_checkpoint(read, 'rf_uc')
    head = translate(networks.names()['head'], 'head', read)
    Lain(ClipTrunk(networks.clip.visual), sizes.lain).load_state_dict(head, assign=True)
    assert len(expected_keys(sizes, networks_of(sizes))) + 1 == len(read)
