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

"""Verbs change while the node runs, set from another process through standard services."""

from pathlib import Path

from hoi_msgs.msg import HoiDetections, Vocabulary
from hoi_msgs.srv import SetVerbs
import pytest
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from ros_graph import image, LATCHED

pytestmark = pytest.mark.xdist_group('ros_verbs')

TROUBLED = str(Path(__file__).resolve().parents[1] / 'troubled_node.py')
CHANGES = ['vacuum', 'repair: bicycle', 'wave at']


@pytest.fixture
def words(running):
    """The vocabulary messages; the bundle's own verbs are active at the start of each test."""
    messages = running.peer().listen(Vocabulary, 'vocabulary', LATCHED)
    assert running.peer().set_parameters(verbs=[''], template='')[0].successful
    assert running.peer().spin(
        lambda: messages and list(messages[-1].verbs) == ['ride', 'hold', 'push']
        and 'a photo' in messages[-1].prompt_template)
    settle(running)
    return messages


def settle(running):
    """Wait until no change is under way any more."""
    running.peer().call(SetVerbs, 'hoi_node/set_verbs', SetVerbs.Request(verbs=['']))


def parameter(running, name):
    response = running.peer().call(GetParameters, 'hoi_node/get_parameters',
                                   GetParameters.Request(names=[name]))
    return response.values[0]


def test_next_results_carry_new_names_and_a_higher_version(running, words):
    peer = running.peer()
    before = peer.answer(image(1))
    assert before.triplets and {t.verb_name for t in before.triplets} <= {'ride', 'hold', 'push'}
    assert peer.set_parameters(verbs=CHANGES)[0].successful
    assert peer.spin(lambda: list(words[-1].verbs) == ['vacuum', 'repair', 'wave at'])
    after = peer.answer(image(2))
    assert after.prompt_version == words[-1].version > before.prompt_version
    assert after.triplets
    names = ['vacuum', 'repair', 'wave at']
    for triplet in after.triplets:
        assert triplet.verb_name == names[triplet.verb]
        if triplet.verb_name == 'repair':
            assert after.instances[triplet.object].class_name == 'bicycle'


def test_an_empty_string_alone_resets_to_the_bundle(running, words):
    peer = running.peer()
    assert peer.set_parameters(verbs=CHANGES)[0].successful
    assert peer.spin(lambda: words[-1].verbs[0] == 'vacuum')
    assert peer.set_parameters(verbs=[''])[0].successful
    assert peer.spin(lambda: list(words[-1].verbs) == ['ride', 'hold', 'push'])


def array(kind, **value):
    return ParameterValue(type=kind, **value)


@pytest.mark.parametrize('value, reason', [
    (['ride', ''], 'empty'),
    (['ride', '   '], 'empty'),
    ([], 'empty'),
    (['ride', 'Ride'], 'twice'),
    ([f'verb{i}' for i in range(10000)], '10000'),
    (['ri\x07de'], 'control'),
    (['ri\u200bde'], 'invisible'),
    (['x' * 65], 'characters'),
    (['hold:'], 'empty'),
    ('ride', 'type'),
    (3, 'type'),
    (array(ParameterType.PARAMETER_NOT_SET), 'undeclared'),
    (array(ParameterType.PARAMETER_BYTE_ARRAY), 'type'),
    (array(ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=[1.0]), 'type'),
], ids=['one empty', 'only spaces', 'no entry', 'twice', '10,000', 'control', 'invisible', 'long',
        'no object', 'string', 'integer', 'not set', 'bytes', 'doubles'])
def test_bad_verbs_are_refused_with_a_reason_and_change_nothing(running, words, value, reason):
    peer = running.peer()
    version, count = peer.answer(image(10)).prompt_version, len(words)
    result = peer.set_parameters(verbs=value)[0]
    assert not result.successful
    assert reason in result.reason.lower(), result.reason
    assert parameter(running, 'verbs').string_array_value == ['']
    assert peer.answer(image(11)).prompt_version == version
    assert len(words) == count


@pytest.mark.parametrize('name, value, reason', [
    ('template', 'a person', '{verb}'),
    ('template', 'a {verb} {colour}', 'colour'),
    ('triplet_threshold', 1.5, 'range'),
    ('triplet_threshold', float('nan'), 'nan'),
    ('max_triplets', 0, 'range'),
    ('max_pixels', 10 ** 12, 'range'),
    ('bundle', '/elsewhere', 'read-only'),
    ('cameras', ['front'], 'read-only'),
    ('no_such_parameter', 1, 'declared'),
])
def test_other_bad_values_are_refused_with_a_reason(running, words, name, value, reason):
    result = running.peer().set_parameters(**{name: value})[0]
    assert not result.successful
    assert reason in result.reason.lower(), result.reason


def test_several_parameters_change_together_or_not_at_all(running, words):
    peer = running.peer()
    result = peer.set_parameters(atomically=True, max_triplets=3, verbs=['ride', 'ride'])[0]
    assert not result.successful
    assert parameter(running, 'max_triplets').integer_value == 50
    assert peer.set_parameters(atomically=True, max_triplets=3, verbs=['jump'])[0].successful
    assert peer.spin(lambda: list(words[-1].verbs) == ['jump'])
    assert len(peer.answer(image(20)).triplets) <= 3
    assert peer.set_parameters(max_triplets=50)[0].successful


def test_the_service_answers_when_the_verbs_are_active(running, words):
    peer = running.peer()
    answer = peer.call(SetVerbs, 'hoi_node/set_verbs', SetVerbs.Request(
        verbs=['paint', 'lift'], prompt_template='someone is {verb} {article} {object}'))
    assert answer.success, answer.message
    result = peer.answer(image(30))
    assert result.prompt_version == answer.version
    assert {t.verb_name for t in result.triplets} <= {'paint', 'lift'}
    assert parameter(running, 'verbs').string_array_value == ['paint', 'lift']
    assert parameter(running, 'template').string_value.startswith('someone')


def test_while_text_is_encoded_frames_and_calls_are_answered(graph):
    graph.node(program=(TROUBLED, 'wordy'))
    peer = graph.peer()
    peer.listen(HoiDetections, 'detections')
    before = peer.answer(image(1)).prompt_version
    client = peer.node.create_client(SetVerbs, 'hoi_node/set_verbs')
    assert peer.spin(client.service_is_ready)
    changed = client.call_async(SetVerbs.Request(verbs=['juggle']))
    assert peer.spin(lambda: parameter(graph, 'verbs').string_array_value == ['juggle'])
    assert peer.answer(image(2)).prompt_version == before
    assert peer.state() == 'active'
    assert not changed.done(), 'all of that came before the answer'
    assert peer.spin(changed.done) and changed.result().success
    after = peer.answer(image(3))
    assert after.prompt_version == changed.result().version > before
    assert {t.verb_name for t in after.triplets} == {'juggle'}


def test_the_service_refuses_with_the_same_reason_as_the_parameter(running, words):
    peer = running.peer()
    version = peer.answer(image(40)).prompt_version
    answer = peer.call(SetVerbs, 'hoi_node/set_verbs', SetVerbs.Request(verbs=['a', 'a']))
    assert (answer.success, answer.version) == (False, version)
    assert answer.message == peer.set_parameters(verbs=['a', 'a'])[0].reason


def test_no_result_mixes_names_of_two_versions(running, words):
    peer = running.peer()
    names = {}
    lists = [['ride', 'hold'], ['eat', 'cut', 'fly'], ['sit on']]
    for round_ in range(12):
        chosen = lists[round_ % 3]
        assert peer.set_parameters(verbs=chosen)[0].successful
        for number in range(3):
            assert peer.answer(image(1000 + 10 * round_ + number)) is not None
    settle(running)
    peer.spin(lambda: False, 0.3)
    for message in words:
        names[message.version] = list(message.verbs)
    seen = set()
    for result in peer.received['detections']:
        if result.header.stamp.sec < 2000:
            continue
        # The latched topic keeps only the newest: a version may be missing in this list.
        if result.prompt_version in names:
            seen.add(result.prompt_version)
            for triplet in result.triplets:
                assert names[result.prompt_version][triplet.verb] == triplet.verb_name
    assert len(seen) >= 3


def test_every_parameter_describes_itself(running):
    peer = running.peer()
    names = peer.call(ListParameters, 'hoi_node/list_parameters',
                      ListParameters.Request()).result.names
    from hoi_perception.ros.parameters import ROWS
    assert set(ROWS) <= set(names)
    described = peer.call(DescribeParameters, 'hoi_node/describe_parameters',
                          DescribeParameters.Request(names=list(ROWS))).descriptors
    for description in described:
        assert len(description.description) > 20, description.name
        assert description.read_only != ROWS[description.name].live
