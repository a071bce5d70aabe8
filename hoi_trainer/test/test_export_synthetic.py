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

"""A bundle with a head of every kind, in the sizes of the shipped configurations."""

from importlib import import_module
import json
from pathlib import Path

from hoi_perception.cli import main as hoi
from hoi_perception.core.errors import BundleError
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
from hoi_trainer.cli import main
from hoi_trainer.image_classification.transfer import evaluations, open_pairs
from hoi_trainer.interaction.export import read_head
from hoi_trainer.interaction.scores import trained_scores
from hoi_trainer.score_fitting import fit_head
from hoi_trainer.training.weights import read_weights, update_config, write_weights
import numpy as np
from PIL import Image
import pytest
import torch
import yaml

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/synthetic'
TRAINED = ('lain', 'defr', 'seg2hoi', 'rmlr', 'cl_hoi')
HEADS = (*TRAINED, 'defr_training_free')
LARGEST = 20_000_000
IN_TRAINING_ONLY = ('teaching', 'losses', 'points')


@pytest.fixture(name='weights', scope='module')
def _weights(tmp_path_factory):
    """Write what the shipped configurations write, before any training; return the files."""
    directory = tmp_path_factory.mktemp('weights')

    def write(head):
        described = yaml.safe_load((CONFIGS / f'{head}.yaml').read_text())['model']
        settings = {name: value for name, value in described['init_args'].items()
                    if name not in IN_TRAINING_ONLY}
        where, _, name = described['class_path'].rpartition('.')
        module = getattr(import_module(where), name)(
            **{**settings, 'bundle': str(default_bundle_path())})
        path = directory / f'{head}.safetensors'
        write_weights(module.network, module.network_config, path)
        return path
    return {head: write(head) for head in TRAINED}


@pytest.fixture(name='bundle', scope='module')
def _bundle(weights, tmp_path_factory):
    source, path = default_bundle_path(), tmp_path_factory.mktemp('bundle') / 'synthetic_tiny'
    named = [word for head, file in weights.items() for word in ('--head', f'{head}={file}')]
    assert main(['export-synthetic', str(source / 'detector.safetensors'),
                 str(source / 'clip.safetensors'), str(path), *named]) == 0
    return Bundle.open(path)


@pytest.fixture(name='picture', scope='module')
def _picture(scenes):
    pixels = np.load(scenes / 'val/images.npy')[0]
    path = scenes / 'picture.png'
    Image.fromarray(pixels).save(path)
    return path


def test_all_heads_together_fit_into_the_repository(bundle):
    sizes = {file.relative_to(bundle.path).as_posix(): file.stat().st_size
             for file in bundle.path.rglob('*') if file.is_file()}
    assert sum(sizes.values()) < LARGEST, sizes


def test_all_heads_are_there_under_their_names_and_on_the_card(bundle):
    assert tuple(bundle.spec.heads) == HEADS
    card = (bundle.path / 'CARD.md').read_text()
    assert all(f'{head}: ' in card for head in HEADS)


@pytest.mark.parametrize('head', HEADS)
def test_every_head_answers_a_picture_and_takes_other_verbs(head, bundle, picture):
    pipeline = HoiPipeline(bundle, 'cpu', head, PipelineOptions(triplet_threshold=0.0),
                           EngineOptions('eager'))
    rgb, names = np.array(Image.open(picture)), pipeline.vocabulary.objects
    # Overlapping, because the counterparts of an untrained Seg2HOI begin at the own box.
    given = Instances([[50, 50, 200, 300], [60, 60, 220, 290]], [0.9, 0.8],
                      [names.index('person'), names.index('cup')])
    before = pipeline(rgb, given)
    assert before.model_id.endswith(f'/{head}')
    pipeline.prompts.activate(pipeline.prompts.prepare(['juggle', 'hold: cup']))
    after = pipeline(rgb, given)
    assert after.vocabulary.verb_names == ('juggle', 'hold')
    assert after.prompt_version == before.prompt_version + 1
    assert len(before.triplets) and len(after.triplets)
    assert set(after.triplets.verb.tolist()) <= {0, 1}


@pytest.mark.parametrize('head', ['defr_training_free', 'cl_hoi'])
def test_a_head_is_chosen_by_its_name(head, bundle, picture, scenes, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        hoi(['detect', str(picture), '--bundle', str(bundle.path), '--head', head, '--engine',
             'eager', '--json'])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])['frame']
    out = tmp_path / 'figures.json'
    assert main(['evaluate', 'bundle', str(bundle.path), str(scenes / 'val'), '--head', head,
                 '--limit', '1', '--output', str(out)]) == 0
    assert json.loads(out.read_text())['head'] == head


@pytest.mark.parametrize('head', ['lain', 'seg2hoi', 'rmlr', 'cl_hoi'])
def test_what_was_fitted_goes_into_the_description_of_the_head(head, weights, tmp_path):
    file = tmp_path / 'head.safetensors'
    file.write_bytes(weights[head].read_bytes())
    own = 0.0 if head == 'seg2hoi' else 1.0
    spec, state = read_head(file)
    assert (spec.kind, spec.human_exponent, spec.object_exponent) == (head, own, own)
    assert spec.triplet_threshold is None
    update_config(file, exponents=[0.5, 3.0], threshold=0.125)
    spec, again = read_head(file)
    assert (spec.human_exponent, spec.object_exponent, spec.triplet_threshold) == (0.5, 3, 0.125)
    assert all((state[name] == again[name]).all() for name in state) and len(state) == len(again)


@pytest.mark.parametrize('head', ['defr', 'detector'])
def test_what_is_no_head_is_refused_by_name(head, weights):
    path = weights.get(head, default_bundle_path() / f'{head}.safetensors')
    with pytest.raises(BundleError, match='one of configs/synthetic/{lain,rmlr,cl_hoi,seg2hoi}'):
        read_head(path)


@pytest.mark.parametrize('head', TRAINED)
def test_one_command_fits_the_scores_of_every_head_and_keeps_them(head, weights, scenes, tmp_path,
                                                                  capsys):
    file = tmp_path / 'head.safetensors'
    file.write_bytes(weights[head].read_bytes())
    assert main(['fit-exponents', str(file), str(default_bundle_path()), str(scenes / 'val'),
                 '--cache', str(scenes / 'cache')]) == 0
    said = capsys.readouterr().out
    config = read_weights(file)[0]
    human, thing = config['exponents']
    assert f'human {human:g}, object {thing:g}, threshold {config["threshold"]:.3g}' in said
    assert 0 <= config['threshold'] < 1
    before = read_weights(weights[head])[0]
    assert config == {**before, 'exponents': config['exponents'],
                      'threshold': config['threshold']}


def test_the_fitted_exponents_are_the_best_and_the_threshold_that_of_the_best_f1(weights, scenes):
    bundle = Bundle.open(default_bundle_path())
    split, rows = open_pairs(bundle, scenes / 'val', scenes / 'cache')
    score = trained_scores(weights['rmlr'], load_clip(bundle, torch.device('cpu'))[1], rows)
    found = fit_head(weights['rmlr'], bundle.path, scenes / 'val', scenes / 'cache')
    every = evaluations(score, split, bundle, rows, [found.exponents, (1.0, 1.0), (0.0, 6.0)])
    maps = {pair: evaluation.report().full for pair, evaluation in every.items()}
    assert found.triplet_map == maps[found.exponents] == max(maps.values())
    judged = every[found.exponents].judged()
    kept = judged.scores >= found.threshold
    right, truth = judged.right[kept].sum(), judged.positives.sum()
    assert found.f1 == pytest.approx(2 * right / (kept.sum() + truth))


def test_files_of_other_kinds_are_not_fitted(scenes, capsys):
    clip = default_bundle_path() / 'clip.safetensors'
    content = clip.read_bytes()
    assert main(['fit-exponents', str(clip), str(default_bundle_path()), str(scenes / 'val'),
                 '--cache', str(scenes / 'cache')]) == 2
    assert 'expected the weights of an interaction head' in capsys.readouterr().err
    assert clip.read_bytes() == content
