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

"""`~/query` reaches the head for what the published scene does not hold, on a real node."""

from dataclasses import replace
from typing import NamedTuple

from bundles import SEG2HOI_HEAD, tiny_bundle, tiny_spec
from hoi_msgs.msg import HoiDetections
from hoi_msgs.srv import Query
from hoi_perception.core.scene import Scene
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.query import instance_for, is_seen
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
import pytest
from ros_graph import image, picture

pytestmark = [pytest.mark.xdist_group('ros_prompted'), pytest.mark.timeout(400)]

SECRETIVE = PipelineOptions(triplet_threshold=0.0, instance_threshold=1.0, max_triplets=1)
"""Only the two instances of the best triplet are published."""


@pytest.fixture(name='bundle', scope='module')
def _bundle(tmp_path_factory):
    """A bundle whose default is the read-out; the node asks for the others by name."""
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny',
                       heads={**tiny_spec().heads, 'seg2hoi': SEG2HOI_HEAD})


@pytest.fixture(name='asked', scope='module', params=['seg2hoi', 'defr'])
def _asked(request, bundle, open_graph):
    """Return graph, published message, and what is there: see `Look`."""
    pipeline = HoiPipeline(bundle, 'cpu', request.param, SECRETIVE, EngineOptions('eager'))
    looks = (look(pipeline, picture(200, 120, seed)) for seed in range(50))
    there = next(found for found in looks if found.gone() and found.hidden())
    graph = open_graph()
    graph.node(f'head:={request.param}', 'triplet_threshold:=0.0', 'instance_threshold:=1.0',
               'max_triplets:=1', 'event_on:=0.0', 'event_off:=0.0',
               ready='').wait_for_log('waiting for images', 300.0)
    peer = graph.peer()
    peer.listen(HoiDetections, 'detections')
    published = peer.answer(image(1, there.rgb))
    assert published is not None and published.model_id.endswith(f'/{request.param}')
    return graph, published, there


class Look(NamedTuple):
    """A picture, the scene that is published of it, all its triplets, and all its instances."""

    rgb: np.ndarray
    shown: Scene
    triplets: Scene
    instances: Scene

    def gone(self):
        """Return the classes that are found and that the published scene does not hold."""
        return sorted(set(self.instances.instances.labels.tolist())
                      - set(self.shown.instances.labels.tolist()))

    def hidden(self):
        """Return the boxes with triplets that the published scene does not hold."""
        t, found, every = self.triplets.triplets, self.triplets.instances, self.instances.instances
        boxes = found.boxes[np.unique(np.concatenate([t.human, t.object]))]
        return [box for box in boxes if not is_seen(self.shown, box)
                and (every.boxes[instance_for(every, box)] == box).all()
                and (every.boxes == box).all(1).sum() == 1]


def look(pipeline, rgb):
    scenes = []
    for changes in ({}, {'max_triplets': 200}, {'instance_threshold': 0.0}):
        pipeline.options = replace(SECRETIVE, **changes)
        scenes.append(pipeline(rgb))
    return Look(rgb, *scenes)


def query(graph, **question):
    return graph.peer().call(Query, 'hoi_node/query', Query.Request(**question))


def boxes_of(message):
    return np.array([[i.x1, i.y1, i.x2, i.y2] for i in message.instances])


def test_a_box_brings_what_was_not_published_with_its_triplets(asked):
    graph, published, there = asked
    assert len(published.instances) == 2 and len(published.triplets) == 1
    for box in there.hidden()[:3]:
        answer = query(graph, kind=Query.Request.BOX, **dict(zip(
            ('x1', 'y1', 'x2', 'y2'), map(float, box))))
        found = answer.detections
        assert answer.success and found.header == published.header, answer.message
        assert found.frame_seq == published.frame_seq and len(found.triplets) == 1
        place = int(np.abs(boxes_of(found) - box).sum(1).argmin())
        np.testing.assert_allclose(boxes_of(found)[place], box, atol=1e-3)
        assert place in (found.triplets[0].human, found.triplets[0].object)
        assert ' is ' in answer.message


def test_a_point_brings_what_was_not_published(asked):
    graph, _, there = asked
    grid = [(x + 0.5, y + 0.5) for y in range(0, 120, 4) for x in range(0, 200, 4)]
    boxes = np.array(there.hidden())
    free = [p for p in grid if not is_seen(there.shown, p)
            and ((boxes[:, :2] <= p) & (boxes[:, 2:] >= p)).all(1).any()]
    if not free:
        pytest.skip('the published boxes of this head cover all others')
    answer = query(graph, kind=Query.Request.POINT, x1=free[0][0], y1=free[0][1])
    assert answer.success and not answer.message.startswith('nothing is at'), answer.message
    assert len(answer.detections.instances) >= 1


def test_a_phrase_brings_an_object_that_was_not_published(asked):
    graph, _, there = asked
    thing = there.gone()[0]
    answer = query(graph, kind=Query.Request.PHRASE, phrase=there.shown.vocabulary.objects[thing])
    assert answer.success and thing in {i.label for i in answer.detections.instances}
    for triplet in answer.detections.triplets:
        assert answer.detections.instances[triplet.object].label == thing


def test_known_instances_keep_their_identity_in_the_answer(asked):
    graph, published, there = asked
    box = there.hidden()[0]
    found = query(graph, kind=Query.Request.BOX, **dict(zip(
        ('x1', 'y1', 'x2', 'y2'), map(float, box)))).detections
    before = {tuple(map(int, b)): i.track_id for b, i in zip(boxes_of(published),
                                                             published.instances)}
    for row, instance in zip(boxes_of(found), found.instances):
        assert instance.track_id == before.get(tuple(map(int, row)), 0)


@pytest.mark.parametrize('question, reason', [
    ({'kind': Query.Request.BOX, 'x1': 9.0, 'x2': 3.0}, 'expected finite pixels'),
    ({'kind': Query.Request.POINT, 'x1': float('nan')}, 'not in the image'),
    ({'kind': Query.Request.POINT, 'x1': 5000.0, 'y1': 5.0}, 'not in the image'),
    ({'kind': Query.Request.PHRASE, 'phrase': 'juggle cup'}, 'begins with no verb'),
    ({'kind': 9}, 'kind 9 is unknown')])
def test_bad_prompts_are_answered_with_a_sentence(asked, question, reason):
    answer = query(asked[0], **question)
    assert not answer.success and reason in answer.message


def test_frames_are_answered_while_many_ask(asked):
    graph, _, there = asked
    peer, box = graph.peer(), there.hidden()[0]
    client = peer.node.create_client(Query, 'hoi_node/query')
    assert peer.spin(client.service_is_ready)
    request = Query.Request(kind=Query.Request.BOX, **dict(zip(
        ('x1', 'y1', 'x2', 'y2'), map(float, box))))
    asked_for = [client.call_async(request) for _ in range(6)]
    for number in (2, 3, 4):
        assert peer.answer(image(number)) is not None
    assert peer.spin(lambda: all(future.done() for future in asked_for))
    assert all(future.result().success for future in asked_for)
    peer.node.destroy_client(client)


def test_a_node_that_is_not_active_says_so(asked):
    graph = asked[0]
    assert graph.peer().change_state('deactivate')
    answer = query(graph, kind=Query.Request.PHRASE, phrase='cup')
    assert not answer.success and 'activate it' in answer.message
    assert graph.peer().change_state('activate')
