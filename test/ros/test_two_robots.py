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

"""Two nodes in one DDS domain, each in the namespace of its robot: neither notices the other."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('hoi_msgs', reason='hoi_msgs is not built')

from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import HoiDetections, Vocabulary
from hoi_msgs.srv import SetVerbs
from ros_graph import free_domain, image, LATCHED, NodeProcess, Peer

ROBOTS = ('robot1', 'robot2')
pytestmark = [pytest.mark.xdist_group('two_robots'), pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def robots(bundle, tmp_path_factory):
    """Two nodes, and a peer in each namespace, all in one domain."""
    domain, directory = free_domain(), tmp_path_factory.mktemp('robots')
    nodes = []
    for name in ROBOTS:  # one after the other: two that load at once take longer than twice
        nodes.append(NodeProcess(domain, directory, [f'bundle:={bundle.path}'],
                                 namespace=f'{name}/hoi'))
        nodes[-1].wait_for_log('waiting for images', 180.0)
    peers = [Peer(domain, namespace=f'{name}/hoi') for name in ROBOTS]
    yield peers
    for peer in peers:
        peer.close()
    for node in nodes:
        node.end()


def test_each_answers_the_frames_of_its_own_camera_only(robots):
    for number, peer in enumerate(robots):
        detections = peer.listen(HoiDetections, 'detections')
        sent = image(10 + number)
        sent.header.frame_id = f'{ROBOTS[number]}_camera'
        peer.publish_until(sent, 'image', lambda got=detections: bool(got))
    for number, peer in enumerate(robots):
        frames = {message.header.frame_id for message in peer.received['detections']}
        assert frames == {f'{ROBOTS[number]}_camera'}
        assert peer.node.count_publishers(f'/{ROBOTS[number]}/hoi/detections') == 1


def test_verbs_of_one_do_not_change_those_of_the_other(robots):
    vocabularies = [peer.listen(Vocabulary, 'vocabulary', LATCHED) for peer in robots]
    for peer, got in zip(robots, vocabularies):
        assert peer.spin(lambda got=got: bool(got))
    answer = robots[0].call(SetVerbs, 'hoi_node/set_verbs', SetVerbs.Request(verbs=['hold: cup']))
    assert answer.success and answer.version == 2
    assert robots[0].spin(lambda: vocabularies[0][-1].version == 2)
    assert list(vocabularies[0][-1].verbs) == ['hold']
    detections = robots[1].listen(HoiDetections, 'detections')
    stamp = image(20).header.stamp
    robots[1].publish_until(image(20), 'image', lambda: bool(detections) and
                            detections[-1].header.stamp == stamp)
    assert detections[-1].prompt_version == 1
    assert [message.version for message in vocabularies[1]] == [1]


def test_diagnostics_are_shared_and_name_the_robot(robots):
    heard = robots[0].listen(DiagnosticArray, '/diagnostics')

    def names():
        return ' '.join(status.name for message in heard for status in message.status)
    assert robots[0].spin(lambda: all(f'{name}/hoi' in names() for name in ROBOTS)), names()
