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

"""Seg2HOI's decoder: null queries, order, frozen cost, ablations, resolution to instances."""

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.seg2hoi import (
    choose_queries,
    mask_logits,
    rows_of,
    Seg2Hoi,
    Seg2HoiConfig,
    Seg2HoiInputs,
)
from hoi_perception.networks.seg2hoi_instances import LEAST_IOU, resolve
from hoi_perception.networks.seg2hoi_layers import Attention, centre_size, corners
import pytest
import torch

TINY = Seg2HoiConfig(query_dim=12, pixel_dim=6, embed_dim=16, classes=4, human=0, layers=2,
                     width=16, heads=2, ffn=16, dropout=0.0)


def _network(**changes):
    torch.manual_seed(1)
    network = Seg2Hoi(Seg2HoiConfig(**{**TINY.to_mapping(), **changes})).eval()
    for layer in (network.self_box.layers[-1], network.pair_box.layers[-1]):
        torch.nn.init.normal_(layer.weight, std=0.3)  # as if trained: zero at the start
    return network


def _inputs(real=7, padding=0, batch=2, seed=0):
    torch.manual_seed(seed)
    corner = torch.rand(batch, real, 2) * 0.6
    boxes = torch.cat([corner, corner + 0.1 + torch.rand(batch, real, 2) * 0.3], -1)
    labels = torch.randint(1, 4, (batch, real))
    labels[:, :3] = 0
    given = Seg2HoiInputs(torch.randn(batch, real, 12), boxes, torch.rand(batch, real) * 0.8 + 0.1,
                          labels, torch.ones(batch, real, dtype=torch.bool),
                          torch.randn(batch, 6, 8, 12))

    def padded(values):
        more = values.new_zeros(batch, padding, *values.shape[2:])
        return torch.cat([values, more], 1)
    return Seg2HoiInputs(*map(padded, given[:5]), given.pixels)


def _run(network, inputs):
    with torch.no_grad():
        chosen, relations = network(inputs)
    return chosen, relations[-1]


def _by_instance(chosen, relations, image=0):
    """Return what the real queries say, by (branch, instance)."""
    found = {}
    for place, (index, real) in enumerate(zip(chosen.index[image], chosen.mask[image])):
        if real:
            found[place < chosen.humans, int(index)] = torch.cat(
                [part[image, place] for part in relations])
    return found


@pytest.mark.parametrize('relation', [True, False])
def test_null_queries_change_nothing(relation):
    network = _network(relation=relation)
    tight, loose = (_by_instance(*_run(network, _inputs(padding=padding)))
                    for padding in (0, 9))
    assert tight.keys() == loose.keys() and len(tight) == 3 + 7
    for key in tight:
        torch.testing.assert_close(tight[key], loose[key], atol=1e-5, rtol=1e-5)


def test_what_padding_holds_is_never_seen():
    network, inputs = _network(), _inputs(padding=3)
    dirty = inputs._replace(queries=inputs.queries.clone(), boxes=inputs.boxes.clone())
    dirty.queries[:, 7:] = 1e3
    dirty.boxes[:, 7:] = 0.7
    clean, other = (_by_instance(*_run(network, given)) for given in (inputs, dirty))
    assert all(torch.equal(clean[key], other[key]) for key in clean)


def test_the_order_of_instances_does_not_matter():
    network, inputs = _network(), _inputs()
    order = torch.tensor([4, 2, 6, 0, 1, 5, 3])
    swapped = Seg2HoiInputs(*(part[:, order] for part in inputs[:5]), inputs.pixels)
    expected, found = (_by_instance(*_run(network, given)) for given in (inputs, swapped))
    for (acts, index), values in found.items():
        torch.testing.assert_close(values, expected[acts, int(order[index])], atol=1e-5,
                                   rtol=1e-5)


def test_a_frame_without_people_or_without_anything_stays_finite():
    inputs = _inputs()
    for changed in (inputs._replace(labels=inputs.labels.clamp(min=1)),
                    inputs._replace(mask=torch.zeros_like(inputs.mask))):
        chosen, relations = _run(_network(), changed)
        assert not chosen.mask[:, :chosen.humans].any()
        assert all(torch.isfinite(part).all() for part in relations)
        assert not (resolve(changed, chosen, relations, 0).prior > 0).any()


@pytest.mark.parametrize('people', [2, 20, 90])
def test_the_work_does_not_grow_with_the_number_of_people(people):
    network = _network(human_queries=60, object_queries=60)
    inputs = _inputs(people, padding=100 - people, batch=1)
    inputs.labels[:] = 0
    chosen, relations = _run(network, inputs)
    assert relations.features.shape == (1, 120, 16)
    assert int(chosen.mask[:, :60].sum()) == min(people, 60)


def test_the_best_are_kept_where_there_are_more_than_places():
    inputs = _inputs(20, batch=1)
    inputs.labels[:] = 0
    chosen = choose_queries(inputs, 0, 5, 6)
    best = inputs.scores[0].argsort(descending=True)
    assert set(chosen.index[0, :5].tolist()) == set(best[:5].tolist())
    assert set(chosen.index[0, 5:].tolist()) == set(best[:6].tolist())


def test_attention_gives_masked_keys_no_weight_even_in_half_precision():
    attention = Attention(8, 2).half()
    x = torch.randn(1, 4, 8, dtype=torch.float16)
    mask = torch.tensor([[True, True, False, False]])
    torch.testing.assert_close(attention(x, x, x, mask), attention(x, x[:, :2], x[:, :2]))
    assert torch.isfinite(attention(x, x, x, torch.zeros_like(mask))).all()


def test_the_counterpart_s_state_is_read_before_it_changes_and_only_with_the_relation():
    with_relation, without = _network(), _network(relation=False)
    inputs = _inputs()
    changed = inputs._replace(queries=inputs.queries.clone())
    changed.queries[:, 6] += 5.0  # an object: the human branch can only hear of it from the other
    for network, heard in ((with_relation, True), (without, False)):
        before, after = (_by_instance(*_run(network, given)) for given in (inputs, changed))
        assert torch.equal(before[True, 0], after[True, 0]) != heard


def test_both_ablations_have_about_as_many_weights():
    counts = [sum(p.numel() for p in _network(relation=flag).parameters())
              for flag in (True, False)]
    assert abs(counts[0] - counts[1]) < 0.02 * counts[0]


def test_boxes_begin_at_the_query_s_own():
    network = Seg2Hoi(TINY).eval()
    inputs = _inputs()
    chosen, relations = _run(network, inputs)
    own = centre_size(rows_of(inputs.boxes, chosen.index))
    torch.testing.assert_close(relations.self_boxes[chosen.mask], own[chosen.mask], atol=1e-3,
                               rtol=1e-3)


def test_training_reads_every_layer_and_verbs_are_an_input():
    network, inputs = _network().train(), _inputs()
    _, relations = network(inputs)
    assert len(relations) == 2
    rows = torch.nn.functional.normalize(torch.randn(5, 16), dim=-1)
    logits = network.verb_logits(relations[-1].features, rows)
    assert logits.shape == (2, 14, 5)
    assert mask_logits(relations[-1].union, inputs.pixels).shape == (2, 14, 8, 12)


def test_resolution_picks_the_instance_under_the_box_and_drops_what_fits_nothing():
    inputs = _inputs(batch=1)
    chosen, relations = _run(_network(), inputs)
    boxes, logits = relations.pair_boxes.clone(), torch.zeros_like(relations.pair_logits)
    first_object = chosen.humans  # place of the first object query
    boxes[0, 0] = centre_size(inputs.boxes[0, 5])
    logits[0, 0, int(inputs.labels[0, 5])] = 9.0
    boxes[0, 1] = torch.tensor([0.999, 0.999, 0.001, 0.001])
    boxes[0, first_object] = centre_size(inputs.boxes[0, 5])  # no person there
    pairs = resolve(inputs, chosen, relations._replace(pair_boxes=boxes, pair_logits=logits), 0)
    assert int(pairs.human[0, 0]) == int(chosen.index[0, 0]) and int(pairs.object[0, 0]) == 5
    assert pairs.prior[0, 0] > 0 and pairs.prior[0, 1] == 0
    real = pairs.prior[0] > 0
    assert (inputs.labels[0][pairs.human[0][real]] == 0).all()
    assert (pairs.human[0][real] != pairs.object[0][real]).all() and 0 < LEAST_IOU < 1


def test_corners_undo_centre_size():
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9]])
    torch.testing.assert_close(corners(centre_size(boxes)), boxes)


@pytest.mark.parametrize('wrong', [{'width': 15}, {'layers': 0}, {'human': 9}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(BundleError, match='Seg2HOI'):
        Seg2HoiConfig(**{**TINY.to_mapping(), **wrong})
    with pytest.raises(BundleError, match='unknown'):
        Seg2HoiConfig.from_mapping({'depth': 1})
