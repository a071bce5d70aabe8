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

"""Start, transitions and end of the process."""

import os
from pathlib import Path
import signal
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import HoiDetections
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.srv import GetParameters
from ros_graph import image, NodeProcess, START_S
from sensor_msgs.msg import Image

pytestmark = pytest.mark.xdist_group('ros_lifecycle')
TROUBLED = str(Path(__file__).resolve().parents[1] / 'troubled_node.py')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['SIGINT', 'SIGTERM'])
def test_a_signal_under_load_ends_the_node_quietly_within_two_seconds(graph, number):
    node, peer = graph.node(), graph.peer()
    peer.listen(HoiDetections, 'detections')
    publisher = peer.publisher(Image, 'image')
    assert peer.answer(image(1)) is not None
    going = threading.Event()

    def flood():
        count = 10
        while not going.is_set():
            publisher.publish(image(count))
            count += 1
            time.sleep(0.002)
    thread = threading.Thread(target=flood)
    thread.start()
    time.sleep(0.5)
    code, seconds = node.end(number)
    going.set()
    thread.join()
    assert (code, seconds < 2.0) == (0, True), f'{seconds:.2f} s\n{node.log}'
    assert 'Traceback' not in node.log and 'rror' not in node.log, node.log


def test_a_second_signal_changes_nothing(graph):
    node = graph.node()
    node.process.send_signal(signal.SIGINT)
    node.process.send_signal(signal.SIGINT)
    code, seconds = node.end(signal.SIGTERM)
    assert code == 0 and seconds < 2.0
    assert 'Traceback' not in node.log


def test_a_signal_while_the_model_loads_ends_the_node(graph):
    node = graph.node(ready='')
    time.sleep(2.0)
    code, seconds = node.end(signal.SIGTERM)
    assert code == 0 and seconds < 2.0
    assert 'Traceback' not in node.log


def test_lifecycle_services_walk_through_all_states_and_back(graph):
    graph.node('autostart:=false', ready='')
    peer = graph.peer()
    assert peer.state() == 'unconfigured'
    assert not peer.change_state('activate'), 'an impossible transition is refused'
    assert peer.state() == 'unconfigured'
    assert peer.change_state('configure')
    assert peer.state() == 'inactive'
    results = peer.listen(HoiDetections, 'detections')
    for round_ in range(2):
        assert peer.change_state('activate')
        assert peer.state() == 'active'
        peer._publishers.clear()
        assert peer.answer(image(10 + round_)) is not None, graph.process.log
        assert peer.change_state('deactivate')
        assert peer.state() == 'inactive'
        count = len(results)
        publisher = next(iter(peer._publishers.values()))
        assert peer.spin(lambda: publisher.get_subscription_count() == 0)
        publisher.publish(image(20 + round_))
        peer.spin(lambda: False, 0.5)
        assert len(results) == count
    assert graph.process.log.count('is ready on') == 1, 'deactivate keeps the model'
    assert peer.change_state('cleanup')
    assert peer.state() == 'unconfigured'
    assert peer.change_state('configure') and peer.change_state('activate')
    assert peer.change_state('shutdown')
    assert peer.state() == 'finalized'
    code, _ = graph.process.end(signal.SIGINT)
    assert code == 0 and 'Traceback' not in graph.process.log


def test_while_the_model_loads_everything_else_is_answered(graph):
    node = graph.node('autostart:=false', ready='', program=(TROUBLED, 'slow'))
    peer = graph.peer()
    assert peer.state() == 'unconfigured'
    client = peer.node.create_client(ChangeState, 'hoi_node/change_state')
    assert peer.spin(client.service_is_ready)
    request = ChangeState.Request()
    request.transition.label = 'configure'
    configured = client.call_async(request)
    assert peer.spin(lambda: peer.state() == 'configuring')
    assert not peer.change_state('configure'), 'once is enough'
    assert peer.set_parameters(verbs=['juggle'], max_triplets=7)[0].successful
    assert peer.call(GetParameters, 'hoi_node/get_parameters', GetParameters.Request(
        names=['max_triplets'])).values[0].integer_value == 7
    assert not configured.done(), node.log
    assert peer.spin(configured.done, START_S) and configured.result().success, node.log
    assert node.log.count('still loading after') >= 2
    assert peer.state() == 'inactive' and peer.change_state('activate')
    peer.listen(HoiDetections, 'detections')
    answer = peer.answer(image(1))
    assert 0 < len(answer.triplets) <= 7
    assert {t.verb_name for t in answer.triplets} == {'juggle'}, 'what was set meanwhile holds'


def fail_all(graph):
    """Send frames to a node whose device is lost after the first one."""
    peer, node = graph.peer(), graph.process
    answers = peer.listen(HoiDetections, 'detections')
    assert peer.answer(image(1)) is not None, node.log
    for number in range(2, 30):
        if node.process.poll() is not None or 'is lost' in node.log:
            break
        peer.publisher(Image, 'image').publish(image(number))
        peer.spin(lambda: False, 0.3)
    assert 'the device cpu is lost, 3 frames in a row failed (RuntimeError: CUDA error: an ' \
        'illegal memory access' in node.log
    assert len(answers) == 1 and 'Traceback' not in node.log, node.log


def test_a_node_that_started_itself_ends_with_code_1_when_its_device_is_lost(graph):
    node = graph.node(program=(TROUBLED, 'lost'))
    fail_all(graph)
    assert node.process.wait(10) == 1
    assert node.log.count('is lost') == 1, 'one sentence'


def test_a_managed_node_goes_back_to_unconfigured_when_its_device_is_lost(graph):
    node = graph.node('autostart:=false', ready='', program=(TROUBLED, 'lost'))
    peer = graph.peer()
    assert peer.change_state('configure') and peer.change_state('activate')
    fail_all(graph)
    assert peer.spin(lambda: peer.state() == 'unconfigured'), node.log
    seen = peer.listen(DiagnosticArray, '/diagnostics')
    assert peer.spin(lambda: any('is lost' in s.message for m in seen for s in m.status))
    assert not peer.change_state('configure'), 'the device stays lost in this process'
    assert peer.state() == 'unconfigured' and node.process.poll() is None


def test_verbs_set_before_configure_hold_from_the_first_frame(graph):
    graph.node('autostart:=false', ready='')
    peer = graph.peer()
    assert peer.set_parameters(verbs=['juggle'])[0].successful
    assert peer.change_state('configure') and peer.change_state('activate')
    peer.listen(HoiDetections, 'detections')
    answer = peer.answer(image(1))
    assert answer.triplets and {t.verb_name for t in answer.triplets} == {'juggle'}


@pytest.mark.parametrize('parameters, arguments, code, sentence', [
    (['bundle:=/no/such/place'], [], 1, '/no/such/place'),
    (['verb:=x'], [], 1, "did you mean 'verbs'"),
    (['verbs:=[ride,ride]'], [], 1, 'twice'),
    (['image_transport:=theora'], [], 1, 'raw, compressed'),
    (["cameras:=['/front']"], [], 1, 'relative'),
    (['max_triplets:=many'], [], 1, 'max_triplets'),
    ([], ['--fast'], 2, "'--fast' is not known"),
])
def test_a_node_that_cannot_start_says_why_in_one_sentence(
        tmp_path, graph, parameters, arguments, code, sentence):
    node = graph.node(*parameters, arguments=arguments, ready='',
                      bundle=not any('bundle' in p for p in parameters))
    assert node.process.wait(60) == code, node.log
    errors = [line for line in node.log.splitlines() if 'loading' not in line]
    assert len(errors) == 1 and sentence in errors[0], node.log
    assert 'Traceback' not in node.log


def test_a_failed_configure_leaves_a_node_that_can_be_mended(graph):
    graph.node('autostart:=false', 'bundle:=/no/such/place', ready='', bundle=False)
    peer = graph.peer()
    assert not peer.change_state('configure')
    assert peer.state() == 'unconfigured'
    assert '/no/such/place' in graph.process.log


def test_without_built_messages_the_node_names_the_command(tmp_path):
    (tmp_path / 'hoi_msgs').mkdir()
    (tmp_path / 'hoi_msgs' / '__init__.py').write_text('')
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = str(tmp_path)
    try:
        node = NodeProcess(77, tmp_path)
    finally:
        if before is None:
            del os.environ['PYTHONPATH']
        else:
            os.environ['PYTHONPATH'] = before
    # The working directory comes first on the path of `python -m`, so shadowing needs this check.
    assert node.process.wait(60) == 1, node.log
    assert 'colcon build --base-paths' in node.log and 'Traceback' not in node.log
