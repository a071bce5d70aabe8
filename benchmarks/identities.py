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

"""
How well identities and events hold on the shipped demo, against its ground truth.

    python -m benchmarks.identities [--bundle DIRECTORY] [--every 1] [--write FILE]

Every frame of the shipped bag goes through the pipeline and, with the node's default parameters,
through tracking and events. The bag shows one synthetic sequence after another without a pause;
true ids are those of a sequence, so each sequence is judged on its own. A true instance is
detected when an instance of its class overlaps it with an IoU of at least 0.5, tracked when that
one has an id. Synthetic pictures: nothing here says how real ones would do.
"""

import argparse
import json
from pathlib import Path
import time

from benchmarks.machine import machine
from hoi_perception.core.boxes import iou
import numpy as np
from scipy.optimize import linear_sum_assignment


def sequences(truth) -> list:
    """Return the number of the sequence of each true scene: ids change their class or place."""
    numbers, last = [0], truth[0].instances
    for scene in truth[1:]:
        now = scene.instances
        a, b = np.nonzero(last.track_ids[:, None] == now.track_ids[None, :])
        same = (last.labels[a] == now.labels[b]) & (iou(last.boxes, now.boxes)[a, b] > 0.1)
        numbers.append(numbers[-1] + int(same.mean() < 0.5))
        last = now
    return numbers


def matches(found, true):
    """Return the rows of instances and of the true instances they show."""
    names, true_names = (np.array(scene.vocabulary.objects)[scene.instances.labels]
                         for scene in (found, true))
    overlap = np.where(names[:, None] == true_names[None, :],
                       iou(found.instances.boxes, true.instances.boxes), 0)
    i, j = linear_sum_assignment(overlap, maximize=True)
    good = overlap[i, j] >= 0.5
    return i[good], j[good]


class Identities:
    """Counts of true instances: seen, tracked, switched, interrupted."""

    def __init__(self) -> None:
        self.true = self.detected = self.tracked = self.spurious = 0
        self.switches = self.fragmentations = 0
        self.ids, self._last, self._lost = set(), {}, set()
        self.true_of = {}

    def add(self, sequence: int, found, true) -> None:
        """Count a frame."""
        i, j = matches(found, true)
        ids = found.instances.track_ids[i]
        self.true += len(true.instances)
        self.detected += len(i)
        self.tracked += int((ids > 0).sum())
        self.spurious += int((found.instances.track_ids > 0).sum() - (ids > 0).sum())
        self.ids |= set(found.instances.track_ids.tolist()) - {0}
        present = {}
        for track, row in zip(ids.tolist(), j.tolist()):
            if track:
                present[sequence, int(true.instances.track_ids[row])] = track
                self.true_of[track] = int(true.instances.track_ids[row])
        for key, track in present.items():
            self.switches += self._last.get(key, track) != track
            self.fragmentations += key in self._lost
            self._last[key] = track
        here = {(sequence, int(k)) for k in true.instances.track_ids}
        self._lost = (self._lost | (self._last.keys() & here)) - present.keys()

    def report(self, true_ids: int) -> dict:
        """Return the counts."""
        return {'true_sightings': self.true, 'detected': self.detected, 'tracked': self.tracked,
                'id_switches': self.switches, 'fragmentations': self.fragmentations,
                'tracked_but_not_true': self.spurious, 'true_identities': true_ids,
                'identities': len(self.ids)}


def true_interactions(times, numbers, truth) -> list:
    """Return (key, first second, last second, cut off by the end of the sequence)."""
    runs, under_way = [], {}
    for k, (now, number, scene) in enumerate(zip(times, numbers, truth)):
        ids, t = scene.instances.track_ids, scene.triplets
        held = {(number, int(ids[h]), scene.vocabulary.verb_names[v], int(ids[o]))
                for h, v, o in zip(t.human, t.verb, t.object)}
        for key in under_way.keys() - held:
            runs.append((key, under_way.pop(key), times[k - 1], number != numbers[k - 1]))
        for key in held:
            under_way.setdefault(key, now)
    return runs + [(key, since, times[-1], True) for key, since in under_way.items()]


def compare(events, runs) -> dict:
    """Return how the events of interactions (key, start, noticed, end) fit the true runs."""
    starts, noticed, ends, hit, correct = [], [], [], set(), 0
    for key, start, told, end in sorted(events, key=lambda event: event[2]):
        found = [n for n, (name, first, last, _) in enumerate(runs)
                 if name == key and min(end, last) > max(start, first)]
        correct += bool(found)
        if found and found[0] not in hit:
            _, first, last, cut = runs[found[0]]
            starts.append(start - first)
            noticed.append(told - first)
            if not cut:
                ends.append(end - last)
        hit |= set(found)
    return {'true': len(runs), 'found': len(hit), 'events': len(events), 'correct': correct,
            'start_error_s': spread(starts), 'told_after_s': spread(noticed),
            'end_error_s': spread(ends)}


def spread(values) -> dict:
    """Return count, median and mean absolute value."""
    if not values:
        return {'count': 0}
    return {'count': len(values), 'median': round(float(np.median(values)), 2),
            'mean_absolute': round(float(np.mean(np.abs(values))), 2)}


def demo(bundle, every: int):
    """Return pipeline, stamps in nanoseconds, found and true scenes of the shipped bag."""
    from hoi_perception.replay.bag_reader import BagReader
    from hoi_perception.replay.sample_frames import shipped_bag
    from hoi_perception.replay.scenes import scene_of, vocabulary_of
    from hoi_perception.runtime.bundle import default_bundle_path
    from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
    pipeline = HoiPipeline(bundle or default_bundle_path(), 'cpu',
                           options=PipelineOptions(masks=False))
    with BagReader(shipped_bag()) as bag:
        messages = bag.ground_truth()
        names = vocabulary_of(messages.values())
        frames = [frame for frame in bag.frames() if frame.key in messages][::every]
        found = [pipeline(frame.rgb()) for frame in frames]
    return (pipeline, [frame.key[0] * 10 ** 9 + frame.key[1] for frame in frames], found,
            [scene_of(messages[frame.key], names) for frame in frames])


def main(arguments=None) -> dict:
    """Parse arguments, measure, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--bundle')
    parser.add_argument('--every', type=int, default=1, help='use every n-th frame only')
    parser.add_argument('--write', type=Path, help='write the report to this JSON file')
    options = parser.parse_args(arguments)
    from hoi_perception.ros.events import rule
    from hoi_perception.ros.parameters import Settings
    from hoi_perception.runtime.events import EventKind, Timeline
    pipeline, stamps, scenes, truth = demo(options.bundle, options.every)
    numbers, identities, timeline = sequences(truth), Identities(), Timeline()
    events, took = {}, []
    for stamp, found, true, number in zip(stamps, scenes, truth, numbers):
        begun = time.perf_counter()
        moment = timeline.update(found, stamp, *rule(Settings(), pipeline.thresholds))
        took.append(1e3 * (time.perf_counter() - begun))
        identities.add(number, moment.scene, true)
        for event in moment.events:
            if event.kind == EventKind.STARTED:
                human, thing = (identities.true_of.get(track, 0) for track in (
                    event.human_track, event.object_track))
                events[event.interaction_id] = [(number, human, event.verb_name, thing),
                                                1e-9 * event.start_ns, 1e-9 * stamp]
            else:
                events[event.interaction_id].append(
                    1e-9 * (event.start_ns + event.duration_ns))
    for event in timeline.reset():
        events[event.interaction_id].append(1e-9 * (event.start_ns + event.duration_ns))
    runs = true_interactions([1e-9 * stamp for stamp in stamps], numbers, truth)
    true_ids = {(n, int(i)) for n, scene in zip(numbers, truth)
                for i in scene.instances.track_ids}
    report = {'machine': machine(), 'model': pipeline.model_id, 'frames': len(stamps),
              'sequences': numbers[-1] + 1, 'identities': identities.report(len(true_ids)),
              'interactions': compare(events.values(), runs),
              'milliseconds_per_frame': {'p50': round(float(np.median(took)), 2),
                                         'p95': round(float(np.percentile(took, 95)), 2)}}
    print(json.dumps(report, indent=2))
    if options.write:
        options.write.write_text(json.dumps(report, indent=2) + '\n')
    return report


if __name__ == '__main__':
    main()
