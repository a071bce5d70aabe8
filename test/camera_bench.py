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

"""Cameras of a node in the test process, with or without a worker, against real topics."""

from dataclasses import replace

from hoi_perception.core.scene import Scene
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.ros.cameras import Camera
from hoi_perception.ros.parameters import Settings
from hoi_perception.ros.statistics import Explainer
from hoi_perception.ros.worker import FrameWorker
from hoi_perception.runtime.bundle import Thresholds
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from ros_graph import free_domain, image, Peer

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
WORDS = Vocabulary(('person', 'cup'), (Verb('hold'),), 'a {verb} {article} {object}', 0)


class Bench:
    """Cameras of a node in this process, spun together with the peer."""

    def __init__(self):
        self.domain = free_domain()
        self.peer, self.stranger = Peer(self.domain), None
        self.node, self.cameras, self.said, self.taken = None, [], [], []
        self.explainer = Explainer(self.said.append)
        self.worker = None

    def start(self, names=('',), overrides=(), **settings):
        self.node = LifecycleNode(
            'hoi_node', context=self.peer.context, namespace='/hoi',
            parameter_overrides=[Parameter(name, value=value) for name, value in overrides])
        self.peer._executor.add_node(self.node)
        self.settings = replace(Settings(), cameras=names, **settings)
        self.cameras = [Camera(self.node, name, self.settings, self.explainer) for name in names]
        self.node.trigger_configure()
        self.node.trigger_activate()
        return self.cameras[0]

    def work(self, pipeline, clock=lambda: 0.0):
        """Let a worker answer the frames; the clock gives the node's time in seconds."""
        self.worker = FrameWorker(pipeline, None, self.cameras, lambda: self.settings, clock,
                                  self.explainer.explain)
        self.worker.start()

    def take(self):
        for camera in self.cameras:
            camera.start(lambda arrival, name=camera.name: self.taken.append((name, arrival)))

    def set(self, **values):
        self.settings = replace(self.settings, **values)
        for camera in self.cameras:
            camera.update(self.settings)

    def send(self, number, topic='image', kind=None):
        """Publish an image until the node's camera has counted it."""
        message = image(number) if kind is None else kind(header=image(number).header)
        camera = next(c for c in self.cameras if c.image_topic.endswith(f'/{topic}'))
        before = camera.statistics.snapshot().frames_in
        publisher = self.peer.publisher(type(message), topic)
        assert self.peer.spin(lambda: publisher.get_subscription_count() > 0)
        assert self.peer.publish_until(
            message, topic, lambda: camera.statistics.snapshot().frames_in > before)

    def heard(self, words):
        """Return whether exactly one sentence with these words is said in time."""
        return self.peer.spin(lambda: any(words in sentence for sentence in self.said)) and sum(
            words in sentence for sentence in self.said) == 1

    def close(self):
        if self.worker is not None:
            self.worker.stop(5.0)
        if self.node is not None:
            self.peer._executor.remove_node(self.node)
            self.node.destroy_node()
        if self.stranger is not None:
            self.stranger.close()
        self.peer.close()


class Blank:
    """A model that finds nothing, or fails as a device does."""

    thresholds, device = Thresholds(instance=0.5, triplet=0.1), 'cuda:0'

    def __init__(self):
        self.failures, self.calls = [], 0

    def run(self, images, instances=None):
        self.calls += 1
        if self.failures:
            raise self.failures.pop()
        height, width = images[0].shape[:2]

        class Result:
            scene = Scene(width, height, WORDS)
            stages = {'detect': 1.0}
        return [Result]
