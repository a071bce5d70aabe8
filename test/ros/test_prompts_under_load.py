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

"""Hundreds of changes of the verbs while frames are computed: no result mixes two versions."""

import pytest

pytest.importorskip('hoi_msgs.msg', reason='no ROS 2 is installed')
from benchmarks.soak_checks import names_fault
from builtin_interfaces.msg import Time
from hoi_msgs.msg import HoiDetections, Vocabulary
from hoi_perception.core.scene import Instances
from hoi_perception.ros import conversion
from hoi_perception.ros.verbs import VerbChanger
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from ros_graph import image, picture
from sensor_msgs.msg import Image
from std_msgs.msg import Header

pytestmark = pytest.mark.xdist_group('ros_prompts')

# The same index means another verb in each list, and lists differ in length.
LISTS = (('ride', 'hold', 'push'), ('hold: cup', 'ride: bicycle'), ('push', 'ride', 'hold', 'eat'),
         ('wave at',), ('fly', 'cut: cup, bicycle', 'ride', 'wash', 'sit on'))
FRAMES, EVERY = 2000, 5
BOXES = Instances(np.array([[4.0, 4, 40, 60], [30, 10, 90, 60], [20, 20, 50, 50]]),
                  np.array([0.9, 0.8, 0.7]), np.array([0, 1, 2]))


def scores(scene):
    """Return verb by name, person and object with their scores, in order."""
    triplets = scene.triplets
    names = scene.vocabulary.verb_names
    return {(names[verb], human, thing): score for verb, human, thing, score in zip(
        triplets.verb.tolist(), triplets.human.tolist(), triplets.object.tolist(),
        triplets.scores.tolist())}


def test_thousands_of_frames_and_hundreds_of_changes_agree_with_their_versions(bundle):
    pipeline = HoiPipeline(bundle, 'cpu', engines=EngineOptions('eager'))
    rgb, versions, published = picture(), {}, {}
    alone = {}
    for verbs in LISTS:
        pipeline.prompts.activate(pipeline.prompts.prepare(verbs))
        alone[pipeline.vocabulary.verb_names] = scores(pipeline(rgb, BOXES))
    assert len({tuple(sorted(found.values())) for found in alone.values()}) == len(LISTS)

    def on_active(prompts):
        versions[prompts.version] = prompts.vocabulary.verb_names
        published[prompts.version] = conversion.vocabulary(
            prompts.vocabulary, prompts.version, pipeline.model_id, Time())
    on_active(pipeline.prompts.current)
    changer, refused, seen = None, [], set()
    try:
        changer = VerbChanger(pipeline.prompts, on_active, refused.append)
        for number in range(FRAMES):
            if number % EVERY == 0:
                changer.request(LISTS[number // EVERY % len(LISTS)], '')
            scene = pipeline.run([rgb], [BOXES])[0].scene
            expected = alone[scene.vocabulary.verb_names]
            assert scores(scene) == pytest.approx(expected, abs=1e-6)
            seen.add((scene.prompt_version, scene.vocabulary.verb_names))
            message = conversion.detections(scene, Header(), number)
            assert names_fault(message, published.get(
                scene.prompt_version) or wait_for(published, scene.prompt_version)) == ''
    finally:
        changer.close()
    assert refused == []
    assert {version: versions[version] for version, _ in seen} == dict(seen)
    assert len(seen) > 200


def wait_for(published, version):
    """Return a vocabulary that is told a moment after its version became active."""
    import time
    deadline = time.monotonic() + 10
    while version not in published:
        assert time.monotonic() < deadline, f'version {version} was never told'
        time.sleep(0.001)
    return published[version]


def test_a_running_node_under_full_load_never_mixes_versions(graph):
    node, peer = graph.node(), graph.peer()
    results = peer.listen(HoiDetections, 'detections')
    words = peer.listen(Vocabulary, 'vocabulary', QoSProfile(
        depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL))
    images = peer.publisher(Image, 'image')
    changes = frames = 0
    while len(results) < 150 or changes < 25:
        if len(results) >= 6 * changes:
            assert peer.set_parameters(verbs=list(LISTS[changes % len(LISTS)]))[0].successful
            changes += 1
        frames += 1
        assert frames < 5000, node.log
        images.publish(image(frames))
        peer.spin(lambda: False, 0.005)
    known = {message.version: message for message in words}
    told = [message for message in results if message.prompt_version in known]
    # The latched topic keeps one vocabulary: a machine that is busy may miss some.
    assert len(told) > len(results) / 2
    assert len({message.prompt_version for message in told}) > 10
    for message in told:
        assert names_fault(message, known[message.prompt_version]) == ''
    assert [m.frame_seq for m in results] == sorted(m.frame_seq for m in results)
    for message in results:
        assert message.header == image(message.header.stamp.sec - 1000).header
