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

"""Whose decisions count: those on real frames, or those on the random example."""

from hoi_perception.runtime.engines.judge import ENOUGH, judge
import pytest
from tiny_engines import frames, tiny_graph
import torch

TRIPLETS = ('scores', 'pair', 'row')


def _triplets(count=30, best=0.9, worst=0.05):
    """Return a list of falling scores; its first `count` entries are no padding."""
    scores = torch.zeros(1, 30)
    scores[0, :count] = torch.linspace(best, worst, count)
    return scores, torch.arange(30)[None] % 7, torch.arange(30)[None] // 7


def _ties():
    """Return entries 0.02 apart as logits, like those of random inputs."""
    return _triplets(best=0.55, worst=0.40)


def _reordered(outputs):
    """Exchange each entry with the next, scores staying where they are."""
    scores, pair, row = outputs
    order = torch.arange(30).view(-1, 2).flip(1).flatten()
    return scores, pair[:, order], row[:, order]


def _swapped(outputs):
    scores, pair, row = outputs
    return scores, row, pair


def _judge(example, recorded, change_example=None, change_recorded=None, precision='fp32'):
    def changed(outputs, change):
        return change(outputs) if change else outputs
    return judge(TRIPLETS, [example, *recorded],
                 [changed(example, change_example),
                  *(changed(outputs, change_recorded) for outputs in recorded)], precision)


def test_an_engine_that_orders_only_the_near_ties_of_the_example_otherwise_is_accepted():
    verdict = _judge(_ties(), [_triplets()] * 2, change_example=_reordered)
    assert not verdict.failure and verdict.judged == 'recorded frames'
    assert verdict.parity.inputs == 2 and verdict.inputs == 3
    assert verdict.example.max_error['pair'] > 0, 'the errors of the example are told'


@pytest.mark.parametrize(('change', 'precision'), [
    (_reordered, 'fp32'), (_swapped, 'fp32'), (_swapped, 'bf16'), (_swapped, 'fp16')])
def test_an_engine_that_decides_otherwise_on_recorded_frames_is_refused(change, precision):
    verdict = _judge(_ties(), [_triplets()] * 2, change_recorded=change, precision=precision)
    assert verdict.failure.startswith('recorded image 1: pair')
    assert not verdict.to_dict()['ok']


@pytest.mark.parametrize(('recorded', 'judged'), [
    ([], 'example'),
    # Three boxes of either side are no reason to trust an engine.
    ([_triplets(3)], 'recorded frames and example'),
    ([_triplets(0)] * 6, 'recorded frames and example')], ids=['none', 'few', 'empty'])
def test_the_example_is_judged_where_recorded_frames_give_too_few_decisions(recorded, judged):
    verdict = _judge(_ties(), recorded, change_example=_reordered)
    assert verdict.judged == judged
    assert verdict.failure.startswith('example image 1: pair')
    assert not _judge(_ties(), recorded).failure


def test_ten_entries_on_either_side_are_enough():
    assert ENOUGH == 20
    assert _judge(_ties(), [_triplets(5)] * 2).judged == 'recorded frames'
    assert _judge(_ties(), [_triplets(5), _triplets(4)]).judged == 'recorded frames and example'


@pytest.mark.parametrize(('change', 'words'), [
    (_swapped, 'judged otherwise'),
    (lambda outputs: (outputs[0] * 0.8, *outputs[1:]), 'score 1 is'),
    (lambda outputs: (outputs[0] * float('nan'), *outputs[1:]), 'NaN'),
    (lambda outputs: tuple(tensor[:, 1:] for tensor in outputs), 'eager gives')],
    ids=['swapped', 'scores', 'nan', 'shape'])
def test_gross_errors_of_the_example_refuse_an_engine_that_is_right_on_recorded_frames(
        change, words):
    verdict = _judge(_triplets(), [_triplets()], change_example=change)
    assert verdict.judged == 'recorded frames'
    assert verdict.failure.startswith('grossly, example image 1') and words in verdict.failure


@pytest.mark.parametrize('count', [0, 3], ids=['example', 'recorded'])
@pytest.mark.parametrize('wrong', ['weights', 'outputs'])
@torch.inference_mode()
def test_a_wrong_engine_is_refused_whatever_is_judged(wrong, count):
    graph, engine = tiny_graph(), tiny_graph().module
    if wrong == 'weights':
        generator = torch.Generator().manual_seed(1)
        for parameter in engine.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)

    def run(*inputs):
        boxes, *others = engine(*inputs)
        return (boxes if wrong == 'weights' else boxes[..., [1, 0, 3, 2]], *others)

    inputs = [tuple(graph.inputs.values()), *frames(count)]
    eager = [graph.module(*frame) for frame in inputs]
    verdict = judge(graph.outputs, eager, [run(*frame) for frame in inputs], 'fp32')
    assert verdict.failure
    assert verdict.judged == ('recorded frames' if count else 'example')
    assert not judge(graph.outputs, eager, eager, 'fp32').failure
