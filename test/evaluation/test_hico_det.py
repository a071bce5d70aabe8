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

"""Both HICO-DET protocols on cases whose answer is known by hand."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.average_precision import RECALL_POINTS
from hoi_perception.evaluation.hico_det import (
    evaluate,
    HICO_OFFICIAL,
    known_object,
    LAIN,
    PROTOCOLS,
)
from hoi_perception.evaluation.pairs import BoxPairs, edges_of_pixels
from hoi_perception.evaluation.results import DEFAULT, KNOWN_OBJECT, MapResult, Subsets
from hoi_perception.evaluation.streaming import HicoDetEvaluator
import numpy as np
import pytest

BOTH = pytest.mark.parametrize('protocol', [HICO_OFFICIAL, LAIN], ids=lambda p: p.name)


def _pairs(*rows) -> BoxPairs:
    """Rows of (image, human x, object x, class, score); boxes are 10 x 10."""
    if not rows:
        return BoxPairs.empty()
    box, along = np.array([0., 0, 10, 10]), np.array([1, 0, 1, 0])
    images, humans, objects, classes, scores = (np.array(v) for v in zip(*rows))
    return BoxPairs(box + humans[:, None] * along, box + objects[:, None] * along, classes,
                    scores, images)


def _ap(protocol, found, truth, classes=1, images=4, **options):
    return evaluate(protocol, _pairs(*found), _pairs(*truth), classes, images, **options).ap


CASES = {
    'exact': ([(0, 0, 50, 0, .9)], [(0, 0, 50, 0, 0)], 1),
    'both boxes at 7/13': ([(0, 3, 53, 0, .9)], [(0, 0, 50, 0, 0)], 1),
    'the worse of the two counts, 6/14': ([(0, 4, 50, 0, .9)], [(0, 0, 50, 0, 0)], 0),
    'other class': ([(0, 0, 50, 1, .9)], [(0, 0, 50, 0, 0)], 0),
    'other image': ([(1, 0, 50, 0, .9)], [(0, 0, 50, 0, 0)], 0),
    'the better score takes the pair': (
        [(0, 0, 50, 0, .5), (0, 1, 50, 0, .9)], [(0, 0, 50, 0, 0)], 1),
    # The duplicate overlaps the free pair by 8/12 but is bound to the taken one.
    'a duplicate gets no second best': (
        [(0, 0, 50, 0, .9), (0, 0, 50, 0, .8)], [(0, 0, 50, 0, 0), (0, 2, 50, 0, 0)], 6 / 11),
    'a false alarm first': (
        [(0, 30, 50, 0, .9), (0, 0, 50, 0, .8)], [(0, 0, 50, 0, 0)], 1 / 2),
    'equal overlaps: the first pair of the truth is taken': (
        [(0, 2, 50, 0, .9), (0, 0, 50, 0, .8)], [(0, 0, 50, 0, 0), (0, 4, 50, 0, 0)], 6 / 11),
    'no detections': ([], [(0, 0, 50, 0, 0)], 0),
    'no ground truth': ([(0, 0, 50, 0, .9)], [], 0),
    'nothing at all': ([], [], 0)}


@BOTH
@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_matching_by_hand(protocol, case):
    found, truth, ap = case
    assert _ap(protocol, found, truth, classes=2)[0] == pytest.approx(ap, abs=1e-15)


@pytest.mark.parametrize(('protocol', 'ap'), [(HICO_OFFICIAL, 1), (LAIN, 0)])
def test_an_overlap_of_exactly_one_half_is_enough_only_for_the_official_protocol(protocol, ap):
    truth = BoxPairs([[0, 0, 10, 10]], [[50, 0, 60, 10]], [0])
    found = BoxPairs([[0, 0, 10, 5]], [[50, 0, 60, 10]], [0], [.9])
    assert evaluate(protocol, found, truth, 1, 1).ap[0] == pytest.approx(ap)


def test_pixel_boxes_are_one_pixel_wider_than_they_look():
    # 10 and 5 pixels high of the same 10 columns: 1/2 in pixels, 4/9 without the extra pixel.
    truth, found = np.array([[1, 1, 10, 10]]), np.array([[1, 1, 10, 5]])
    boxes = [edges_of_pixels(found), edges_of_pixels(truth)]
    for converted, ap in ((boxes, 1), ([found, truth], 0)):
        pairs = [BoxPairs(b, b, [0], [.5]) for b in converted]
        assert evaluate(HICO_OFFICIAL, *pairs, 1, 1).ap[0] == pytest.approx(ap)


@BOTH
@pytest.mark.parametrize(('first', 'ap'), [(0, 1), (1, 1 / 2)])
def test_tied_scores_keep_the_order_of_images_whatever_order_they_come_in(protocol, first, ap):
    right = (first, 0, 50, 0, .5)
    wrong = (1 - first, 30, 80, 0, .5)
    truth = [(first, 0, 50, 0, 0), (1 - first, 0, 50, 1, 0)]
    for found in ([right, wrong], [wrong, right]):
        assert _ap(protocol, found, truth, classes=2)[0] == pytest.approx(ap)


@pytest.mark.parametrize(('protocol', 'ap', 'images'), [(HICO_OFFICIAL, 1 / 2, 4), (LAIN, 1, 1)])
def test_images_without_ground_truth_are_skipped_only_by_lain(protocol, ap, images):
    result = evaluate(protocol, _pairs((1, 0, 50, 0, .9), (0, 0, 50, 0, .5)),
                      _pairs((0, 0, 50, 0, 0)), 1, 4)
    assert (result.ap[0], result.images) == (pytest.approx(ap), images)


def test_lain_compares_scores_in_single_precision():
    # In double precision the right detection is ahead; in single they tie and image 0 is first.
    found = [(0, 30, 50, 0, .5), (1, 0, 50, 0, .5 + 1e-12)]
    truth = [(0, 0, 50, 1, 0), (1, 0, 50, 0, 0)]
    assert _ap(LAIN, found, truth, 2)[0] == pytest.approx(1 / 2)
    assert _ap(HICO_OFFICIAL, found, truth, 2)[0] == pytest.approx(1)


@BOTH
def test_recall_points_are_those_of_matlab_not_of_numpy(protocol):
    # 3 of 5 found: recall 3/5 reaches 0.6 but not numpy's 0.6000000000000001.
    truth = [(0, 40 * i, 500, 0, 0) for i in range(5)]
    found = [(0, 40 * i, 500, 0, .9 - i / 10) for i in range(3)]
    assert _ap(protocol, found, truth)[0] == pytest.approx(7 / 11)
    assert np.linspace(0, 1, 11)[6] > 3 / 5 >= RECALL_POINTS[6]


@BOTH
def test_classes_without_ground_truth_have_ap_0_and_are_averaged(protocol):
    result = evaluate(protocol, _pairs((0, 0, 50, 0, .9), (0, 0, 50, 1, .9)),
                      _pairs((0, 0, 50, 0, 0)), 3, 1)
    np.testing.assert_allclose(result.ap, [1, 0, 0])
    np.testing.assert_array_equal(result.recall, [1, np.nan, 0])
    assert result.full == pytest.approx(1 / 3)


@BOTH
def test_boxes_without_area_or_inside_out_overlap_nothing(protocol):
    flat, turned = [[5, 5, 5, 5]], [[10, 10, 0, 0]]
    for box in (flat, turned):
        pairs = BoxPairs(box, box, [0])
        assert evaluate(protocol, pairs, pairs, 1, 1).ap[0] == 0


def test_known_object_drops_detections_on_other_images_and_keeps_the_truth():
    # Classes 0 and 1 share an object. Image 0: ambiguous label; 1: another class of the object.
    known = known_object(np.array([[0, -1, 1], [-1, 1, -1], [-1, -1, 1]]), [7, 7, 3])
    assert known.tolist() == [[False, False, False], [True, True, False], [True, True, True]]
    found = [(0, 0, 50, 0, .9), (1, 0, 50, 0, .8), (2, 0, 50, 0, .7)]
    truth = [(2, 0, 50, 0, 0)]
    results = [evaluate(HICO_OFFICIAL, _pairs(*found), _pairs(*truth), 3, 3, where)
               for where in (None, known)]
    assert [r.ap[0] for r in results] == [pytest.approx(1 / 3), pytest.approx(1 / 2)]
    assert [(r.setting, r.detections) for r in results] == [(DEFAULT, 3), (KNOWN_OBJECT, 2)]


def test_positives_may_be_counted_over_more_images_than_are_evaluated():
    found, truth = [(0, 0, 50, 0, .9)], [(0, 0, 50, 0, 0)]
    assert _ap(LAIN, found, truth, positives=np.array([2]))[0] == pytest.approx(6 / 11)


def test_subsets_are_averaged_apart_and_every_line_names_protocol_and_setting():
    result = MapResult('lain', DEFAULT, np.array([.2, .4, .6]), np.zeros(3), np.ones(3), 9, 8,
                       Subsets(rare=np.array([2]), unseen=np.array([0]), split='uv'))
    assert result.means() == pytest.approx({
        'full': .4, 'rare': .6, 'non_rare': .3, 'seen': .5, 'unseen': .2,
        'harmonic_mean': 2 * .5 * .2 / .7})
    for part in ('protocol lain', 'default setting', 'uv', 'harmonic mean 28.57', '9 images'):
        assert part in str(result)
    assert 'rare' not in str(MapResult('lain', DEFAULT, np.zeros(1), np.zeros(1), np.ones(1), 1,
                                       0))


def test_the_harmonic_mean_of_nothing_found_is_0():
    result = MapResult('lain', DEFAULT, np.zeros(2), np.zeros(2), np.ones(2), 1, 0,
                       Subsets(unseen=np.array([0])))
    assert result.harmonic_mean == 0


def test_protocols_are_found_by_their_names():
    assert {name: p.name for name, p in PROTOCOLS.items()} == {
        'hico_official': 'hico_official', 'lain': 'lain'}


def _brute(protocol, found, truth, classes):
    """Evaluate by plain loops, as the official codes are written."""
    ap = []
    for c in range(classes):
        rows = [i for i in np.argsort(-found.scores, kind='stable') if found.classes[i] == c]
        real = np.flatnonzero(truth.classes == c)
        used, hits = set(), []
        for i in rows:
            best, which = -1.0, None
            for j in (j for j in real if truth.images[j] == found.images[i]):
                ious = []
                for a, b in ((found.humans[i], truth.humans[j]),
                             (found.objects[i], truth.objects[j])):
                    w, h = (max(0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
                    total = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
                    ious.append(w * h / (total - w * h))
                if min(ious) > best:
                    best, which = min(ious), j
            enough = best > .5 if protocol.strict else best >= .5
            hits.append(enough and which not in used)
            used |= {which} if enough else set()
        hits = np.cumsum(hits)
        recall, precision = hits / max(len(real), 1), hits / np.arange(1, len(hits) + 1)
        points = [precision[recall >= t].max(initial=0) for t in RECALL_POINTS]
        ap.append(sum(points) / 11 if len(real) else 0)
    return ap


@BOTH
@pytest.mark.parametrize('seed', range(5))
def test_crowded_random_sets_equal_plain_loops(protocol, seed):
    rng = np.random.default_rng(seed)

    def drawn(count):
        rows = zip(np.sort(rng.integers(0, 6, count)), rng.integers(0, 12, count),
                   rng.integers(0, 12, count), rng.integers(0, 4, count),
                   rng.integers(1, 30, count) / 32)
        return _pairs(*rows)
    found, truth = drawn(300), drawn(90)
    result = evaluate(protocol, found, truth, 4, 6)
    np.testing.assert_allclose(result.ap, _brute(protocol, found, truth, 4), atol=1e-12)
    stream = HicoDetEvaluator(protocol, 4)
    for image in range(6):
        stream.add(found.take(found.images == image), truth.take(truth.images == image))
    np.testing.assert_array_equal(stream.result().ap, result.ap)


BAD = {
    'NaN score': (lambda: _pairs((0, 0, 50, 0, np.nan)), 'scores holds nan in row 0'),
    'infinite box': (
        lambda: BoxPairs([[0, 0, np.inf, 9]], [[0, 0, 9, 9]], [0]), 'humans holds inf in row 0'),
    'boxes of another number': (
        lambda: BoxPairs(np.zeros((2, 4)), np.zeros((2, 4)), [0]), 'expected (1, 4)'),
    'negative class': (lambda: _pairs((0, 0, 50, -1, .9)), 'classes holds -1'),
    'class beyond the last': (
        lambda: _ap(LAIN, [(0, 0, 50, 3, .9)], []), 'expected indices from 0 to 0'),
    'image beyond the last': (
        lambda: _ap(LAIN, [], [(4, 0, 50, 0, .9)]), 'truth.images holds 4'),
    'real class': (lambda: _pairs((0, 0, 50, .5, .9)), 'expected (1,) integers'),
    'fewer positives than truth': (
        lambda: _ap(LAIN, [], [(0, 0, 50, 0, 0)], positives=np.array([0])), 'positives'),
    'known of another shape': (
        lambda: _ap(HICO_OFFICIAL, [], [], known=np.ones((1, 1), bool)), '(images, classes)'),
    'unseen class beyond the last': (
        lambda: MapResult('lain', DEFAULT, np.zeros(2), np.zeros(2), np.ones(2), 1, 0,
                          Subsets(unseen=np.array([2]))).seen, 'class subset holds 2')}


@pytest.mark.parametrize('case', BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_a_sentence(case):
    make, part = case
    with pytest.raises(HoiError) as error:
        make()
    assert part in str(error.value)


def test_a_stream_refuses_known_object_without_its_knowledge_and_unknown_settings():
    stream = HicoDetEvaluator(HICO_OFFICIAL, 1)
    stream.add(_pairs((0, 0, 50, 0, .9)), _pairs((0, 0, 50, 0, 0)))
    for setting, part in ((KNOWN_OBJECT, '1 of 1 came without'), ('mine', "'mine'")):
        with pytest.raises(HoiError, match=part):
            stream.result(setting)
    with pytest.raises(HoiError, match='detections.classes'):
        stream.add(_pairs((0, 0, 50, 1, .9)), BoxPairs.empty())
    assert len(stream) == 1


def test_an_empty_stream_has_a_result():
    result = HicoDetEvaluator(LAIN, 3).result()
    assert (result.full, result.images, result.detections) == (0, 0, 0)
