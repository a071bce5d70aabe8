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

"""The report of a replay, parsed as a browser does and compared with the evaluators."""

from html.parser import HTMLParser
import json
import re

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.replay.report import write_report
from hoi_perception.replay.report.charts import Axis, line_chart, Series, ticks
from hoi_perception.replay.report.figures import figure, said
import numpy as np
import pytest
from replays import pixels, Story, truth_of, write_replay

HOSTILE = '<script>alert("1")</script>'
EVENTFUL = Story(frames=30, missed=(3, 4, 5), wrong=(9, 10), dropped=(7, 8), bad=(20,), masks=True)
SECTIONS = ('accuracy', 'curves', 'confusion', 'calibration', 'masks', 'events', 'latency',
            'losses', 'worst', 'best', 'run')


class Page(HTMLParser):
    """What a page holds: sections with their text, addresses it names, pictures and scripts."""

    VOID = ('meta', 'img', 'link', 'br', 'input', 'hr')

    def __init__(self, html):
        super().__init__()
        self.sections, self.addresses, self.images, self.scripts = {}, [], [], 0
        self.tags, self._open = [], []
        self.feed(html)
        self.close()
        assert self._open == []  # every tag is closed

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.scripts += tag == 'script'
        if tag == 'img':
            self.images.append(values)
        self.addresses += [values[name] for name in ('src', 'href', 'data', 'action')
                           if name in values]
        if tag not in self.VOID:
            self._open.append((tag, values.get('id') if tag == 'section' else None))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, section in self._open:
            if section:
                self.sections[section] = self.sections.get(section, '') + data


@pytest.fixture(scope='module')
def judged(tmp_path_factory):
    directory = write_replay(tmp_path_factory.mktemp('judged') / 'out', EVENTFUL)
    report = write_report(directory, truth_of(EVENTFUL), pixels)
    return directory, report, (directory / 'report.html').read_text()


@pytest.fixture(scope='module')
def unknown(tmp_path_factory):
    directory = write_replay(tmp_path_factory.mktemp('unknown') / 'out', EVENTFUL)
    return write_report(directory, None, pixels), (directory / 'report.html').read_text()


def test_page_has_every_section_and_loads_nothing(judged):
    page = Page(judged[2])
    assert tuple(page.sections) == SECTIONS
    assert all(address.startswith(('#', 'data:image/jpeg;base64,')) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address[0] == '#'} == {'main', *SECTIONS}
    assert 'link' not in page.tags and not re.search(r'@import|url\(|https?://', judged[2])


def test_json_says_what_the_function_returned_and_what_the_evaluator_finds(judged):
    directory, report, _ = judged
    assert json.loads((directory / 'report.json').read_text()) == report
    answered = [i for i in range(30) if EVENTFUL.outcome(i)[0] == 'answered']
    again = evaluate_scenes([(EVENTFUL.seen_at(i), EVENTFUL.truth_at(i)) for i in answered])
    full = report['accuracy']['full']
    assert full['value'] == pytest.approx(again.full, abs=1e-9)
    assert (full['count'], full['protocol']) == (27, again.protocol)
    assert full['low'] <= full['value'] <= full['high']
    assert {row['name']: row['positives'] for row in report['accuracy']['classes']} == {
        ' '.join(name): count for name, count in again.positives.items()}
    assert [row['ap']['value'] for row in report['accuracy']['classes']] == pytest.approx(
        [again.per_class[name] for name in sorted(again.per_class)], abs=1e-9)


def test_frames_without_an_answer_lower_the_second_mean(judged):
    rows = dict(judged[1]['accuracy']['rows'])
    second = next(rows[name] for name in rows if 'all annotated' in name)
    assert second['count'] == 30 and second['value'] < judged[1]['accuracy']['full']['value']


def test_numbers_of_the_page_are_those_of_the_json_with_count_and_protocol(judged):
    _, report, html = judged
    text = ' '.join(Page(html).sections['accuracy'].split())
    assert f'{report["accuracy"]["full"]["value"]:.3f}' in text
    assert '27 frames; hico_official' in text
    assert '25.' in Page(html).sections['latency'] or '24.' in Page(html).sections['latency']


def test_losses_are_told_by_cause_and_time(judged):
    losses = judged[1]['losses']
    assert losses['causes'] == {'overrun': 2, 'bad frame': 1}
    lost = {row['first']: row['causes'] for row in losses['timeline'] if row['causes']}
    assert lost == {7: {'overrun': 1}, 8: {'overrun': 1}, 20: {'bad frame': 1}}
    assert losses['bad'][0]['reason'] == 'no JPEG <b>at all</b>'
    assert 'no JPEG <b>at all</b>' in Page(judged[2]).sections['losses']


def test_worst_frames_are_those_that_went_wrong_and_no_two_are_neighbours(judged):
    pictures = judged[1]['pictures']
    worst = [row['index'] for row in pictures['worst']]
    assert worst[0] in (9, 10) and {3, 4, 5} & set(worst)
    for kind in ('worst', 'best'):
        times = sorted(row['at_s'] for row in pictures[kind])
        assert min(np.diff(times)) >= .5 and len(times) <= 20
    shown = [row['value'] for row in pictures['best']]
    assert shown == sorted(shown, reverse=True) and shown[0] > pictures['worst'][0]['value']
    images = Page(judged[2]).images
    assert len(images) == 2 * (len(pictures['worst']) + len(pictures['best']))
    assert all(image['alt'] for image in images)


def test_confusion_masks_events_and_calibration_are_measured(judged):
    report = judged[1]
    table = report['confusion']
    row = table['counts'][table['rows'].index('kick')]
    assert row[table['columns'].index('ride')] == 2 and sum(row) == 27
    assert report['masks']['mean']['value'] == pytest.approx(.5, abs=.05)
    assert report['events']['figures']['recall']['count'] == 2
    assert 0 <= report['calibration']['ece']['value'] <= 1
    assert sum(row['triplets'] for row in report['calibration']['bins']) == 2 * 27 - 2


def test_without_truth_everything_else_is_there_and_the_rest_is_not_measured(unknown):
    report, html = unknown
    page = Page(html)
    assert tuple(page.sections) == SECTIONS
    for name in ('accuracy', 'curves', 'confusion', 'calibration', 'masks'):
        assert 'Not measured: there is no ground truth' in page.sections[name]
    assert report['accuracy']['full']['value'] is None and report['truth'] is None
    assert report['latency']['total']['p50']['value'] > 0
    assert len(page.images) == sum(len(report['pictures'][kind]) for kind in ('best', 'worst'))
    assert min(len(report['pictures'][kind]) for kind in ('best', 'worst')) >= 2
    assert 'interactions that began' in page.sections['events']


def test_hostile_names_are_text(tmp_path):
    story = Story(frames=8, verbs=(HOSTILE, '"><img src=x onerror=alert(2)>'), bad=(3,))
    directory = write_replay(tmp_path / 'out', story)
    write_report(directory, truth_of(story), pixels)
    html = (directory / 'report.html').read_text()
    page = Page(html)
    assert page.scripts == 1 and all('src' in i and i['src'][:5] == 'data:' for i in page.images)
    assert HOSTILE in page.sections['accuracy'] and HOSTILE not in html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html).group(1)
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_frames_whose_picture_is_gone_are_named_without_it(tmp_path):
    directory = write_replay(tmp_path / 'out', Story(frames=6))
    write_report(directory, None, lambda key: None)
    html = (directory / 'report.html').read_text()
    assert Page(html).images == [] and 'the picture could not be read' in html


def test_verbs_that_were_not_asked_for_do_not_count_and_are_named(tmp_path):
    story = Story(frames=6, asked=('ride',))
    report = write_report(write_replay(tmp_path / 'out', story), truth_of(story), pixels)
    assert [row['name'] for row in report['accuracy']['classes']] == ['ride bicycle']
    assert any('6 true triplets' in text and 'kick (6)' in text
               for text in report['accuracy']['left_out'])


def test_a_replay_without_any_answer_is_reported_too(tmp_path):
    story = Story(frames=3, dropped=(0, 1, 2))
    report = write_report(write_replay(tmp_path / 'out', story), truth_of(story), pixels)
    assert report['frames']['answered'] == 0 and report['accuracy']['full']['value'] is None
    html = (tmp_path / 'out' / 'report.html').read_text()
    assert 'no frame was answered' in Page(html).sections['latency']


def test_a_directory_that_is_no_replay_is_refused(tmp_path):
    with pytest.raises(HoiError, match='not the output of `hoi replay`'):
        write_report(demo_bag(tmp_path / 'bag', 1), None, pixels)


@pytest.mark.parametrize('low, high', [(0, 1), (0, 7), (23.5, 27.2), (0, 2010), (-3, 3)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 7 and low - 1e-9 <= found[0] and found[-1] <= high + 1e-9
    assert len({f'{value:g}' for value in found}) == len(found)


def test_charts_of_nothing_and_of_one_point_are_drawn():
    for points in (np.zeros((0, 2)), np.array([[3., 5.]])):
        chart = line_chart('t', [Series(HOSTILE, points)], Axis('x'), Axis('y'))
        assert chart.startswith('<svg') and '<script' not in chart and 'nan' not in chart


def test_a_figure_that_is_not_measured_never_says_zero():
    assert said(figure(float('nan'), 0, 'frames', 'p')) == 'not measured'
    assert said(figure(0.25, 4, 'frames', 'p', .1, .5)) == '0.250 (0.100 to 0.500)'
