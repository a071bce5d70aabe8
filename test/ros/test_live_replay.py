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

"""`hoi replay --live`: the bag again, through the real node."""

import json

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.inputs import Selection
from hoi_perception.replay.options import ReplayOptions
from hoi_perception.replay_cli import replay_app
from hoi_perception.ros.live_replay import check_live
import pytest
from typer.testing import CliRunner

pytestmark = pytest.mark.xdist_group('demo')


def test_the_node_says_live_what_the_replay_says(bundle, tmp_path):
    bag = demo_bag(tmp_path / 'bag', frames=10, period_ns=500_000_000)
    out = tmp_path / 'out'
    answer = CliRunner().invoke(replay_app, [
        'run', str(bag), '--out', str(out), '--bundle', str(bundle.path), '--live', '--no-report',
        '--verbs', 'ride', '--verbs', 'push: cup', '--device', 'cpu'])
    assert answer.exit_code == 0, answer.output
    found = json.loads((out / 'live.json').read_text())
    assert found['frames'] == 10 and 1 <= found['answered'] == found['agreeing']
    assert 'say what the replay says' in answer.output


@pytest.mark.parametrize('changes, words', [
    ({'bags': 2}, '--live plays one bag, 2 were given'),
    ({'selection': Selection(stride=2)}, 'leave out --start'),
    ({'instances': '/boxes'}, 'leave out --instances')])
def test_what_cannot_be_played_live_is_refused_before_the_work(tmp_path, changes, words):
    bag = demo_bag(tmp_path / 'bag', frames=1)
    options = ReplayOptions((bag,) * changes.pop('bags', 1), tmp_path / 'out', **changes)
    with pytest.raises(HoiError, match=words):
        check_live(options)
