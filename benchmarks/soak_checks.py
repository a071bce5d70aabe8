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
Judge whether each result is that of its frame, its camera and its verbs (process).

Also keeps the counters that the nodes publish on /diagnostics. Reports as JSON lines once a
second; the line `finish` ends it.
"""

import argparse
from collections import Counter, deque
import sys
import time
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple

from benchmarks.soak_world import (
    boxes_message,
    CAMERAS,
    DETECTING,
    GIVEN,
    image_messages,
    Name,
    picture_size,
    read_name,
    read_nameless,
    SoakCamera,
)
from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import HoiDetections, HoiMasks, Vocabulary
from hoi_perception.ros.player import LATCHED, Orders, say
import numpy as np
import rclpy
from rclpy.qos import QoSProfile

SAME_PX = 0.5
"""Engines round differently; the boxes of two pictures differ by far more."""
VOCABULARY_S = 10.0
"""How long a result waits for the vocabulary it was computed with."""
KEPT_VERSIONS = 300
MAX_PIXELS = 1 << 26


class _Waiting(NamedTuple):
    since: float
    camera: SoakCamera
    message: HoiDetections


class Judge:
    """
    Compares results with what was sent.

    boxes: by transport, one (n, 4) array per picture with all boxes that may be in a result.
    """

    def __init__(self, boxes: Dict[str, List[np.ndarray]]) -> None:
        self._boxes = boxes
        self._words: Dict[Tuple[str, int], Vocabulary] = {}
        self._waiting: Deque[_Waiting] = deque()
        self._last: Dict[str, int] = {}
        self.count: Counter = Counter()
        self.examples: List[str] = []

    def vocabulary(self, node: str, message: Vocabulary) -> None:
        """Keep what the verbs and objects of a version are."""
        self._words[node, message.version] = message
        if len(self._words) > KEPT_VERSIONS:
            self._words.pop(next(iter(self._words)))

    def detections(self, camera: SoakCamera, message: HoiDetections) -> None:
        """Judge a result now, or when its vocabulary has come."""
        self.count['results'] += 1
        fault = self._frame_fault(camera, message)
        last = self._last.get(camera.prefix, 0)
        if not fault and message.frame_seq <= last:
            fault = f'frame_seq {message.frame_seq} after {last}'
        self._last[camera.prefix] = message.frame_seq
        if fault:
            self._mislabelled(camera, fault)
        elif (camera.node, message.prompt_version) in self._words:
            self._judge_names(camera, message)
        else:
            self._waiting.append(_Waiting(time.monotonic(), camera, message))

    def masks(self, camera: SoakCamera, message: HoiMasks) -> None:
        """Judge header and size of masks."""
        self.count['masks'] += 1
        fault = self._header_fault(camera, message)[1]
        if fault:
            self._mislabelled(camera, f'masks: {fault}')

    def settle(self, patience_s: float = VOCABULARY_S) -> None:
        """Judge what waited for a vocabulary; give up what has waited too long."""
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            if (waiting.camera.node, waiting.message.prompt_version) in self._words:
                self._judge_names(waiting.camera, waiting.message)
            elif time.monotonic() - waiting.since > patience_s:
                self.count['without_vocabulary'] += 1
            else:
                self._waiting.append(waiting)

    def _mislabelled(self, camera: SoakCamera, fault: str) -> None:
        self.count['mislabelled'] += 1
        self.examples = [*self.examples, f'{camera.prefix}: {fault}'][:20]

    def _header_fault(self, camera: SoakCamera, message: Any) -> Tuple[Optional[Name], str]:
        """Compare camera, stamp and size with what the header says."""
        header = message.header
        try:
            name = read_name(header) if header.frame_id else read_nameless(header)
        except ValueError as error:
            return None, str(error)[:200]
        if name.camera != camera.prefix:
            return name, f'a frame of {name.camera}'
        size = name.size if name.picture is None else picture_size(name.picture)
        if size is not None and size != (message.width, message.height):
            return name, f'{message.width}x{message.height} pixels for a frame of {size}'
        return name, ''

    def _frame_fault(self, camera: SoakCamera, message: HoiDetections) -> str:
        name, fault = self._header_fault(camera, message)
        if fault or name is None or name.picture is None:
            return fault
        found = np.array([(i.x1, i.y1, i.x2, i.y2) for i in message.instances]).reshape(-1, 4)
        known = self._boxes['given' if camera.extra == 'boxes' else camera.transport][name.picture]
        if name.serial < 0 and camera.extra == 'boxes':
            return ''  # its boxes may have been spoilt as well
        apart = np.abs(found[:, None] - known[None]).max(2).min(1, initial=np.inf)
        self.count['boxes_checked'] += len(found)
        if (apart > SAME_PX).any():
            return (f'box {found[apart.argmax()].round(1).tolist()} is none of picture '
                    f'{name.picture}, the nearest is {apart.max():.1f} px away')
        return ''

    def _judge_names(self, camera: SoakCamera, message: HoiDetections) -> None:
        words = self._words[camera.node, message.prompt_version]
        fault = names_fault(message, words)
        self.count['names_checked'] += len(message.triplets) + len(message.instances)
        if fault:
            self._mislabelled(camera, f'prompt version {words.version}: {fault}')


def names_fault(message: HoiDetections, words: Vocabulary) -> str:
    """Return what in a result does not belong to the vocabulary of its version, or nothing."""
    if message.model_id != words.model_id:
        return f'model {message.model_id} with a vocabulary of {words.model_id}'
    objects = len(words.objects)
    for instance in message.instances:
        if not (-1 <= instance.label < objects):
            return f'label {instance.label} of {objects} objects'
        if instance.label >= 0 and words.objects[instance.label] != instance.class_name:
            return f'{instance.class_name!r} for {words.objects[instance.label]!r}'
    for triplet in message.triplets:
        if not 0 <= triplet.verb < len(words.verbs):
            return f'verb {triplet.verb} of {len(words.verbs)} verbs'
        if words.verbs[triplet.verb] != triplet.verb_name:
            return f'{triplet.verb_name!r} for {words.verbs[triplet.verb]!r}'
        if not 0 <= triplet.human < len(message.instances):
            return f'human {triplet.human} of {len(message.instances)} instances'
        if not -1 <= triplet.object < len(message.instances):
            return f'object {triplet.object} of {len(message.instances)} instances'
        thing = message.instances[triplet.object].label
        if triplet.object >= 0 and not words.validity[triplet.verb * objects + thing]:
            return f'{triplet.verb_name!r} may not go with {words.objects[thing]!r}'
    return ''


def expected_boxes(path: str) -> Dict[str, List[np.ndarray]]:
    """Return all boxes that the detector has for each picture, and those that are given."""
    from hoi_perception.core.boxes import clip
    from hoi_perception.ros.images import decode
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    from hoi_perception.runtime.detect_stage import DetectStage
    import torch
    stage = DetectStage(Bundle.open(path or default_bundle_path()), torch.device('cpu'))

    @torch.inference_mode()
    def boxes(message: Any) -> np.ndarray:
        rgb = decode(message, MAX_PIXELS)
        height, width = rgb.shape[:2]
        host = stage.detect(stage.prepare([stage.transform.resize(rgb)]))[1]
        place = stage.transform.place(height, width)
        return clip(stage.find(host[0], place, width, height).instances.boxes, width, height)
    found = {transport: [boxes(message) for message in image_messages(transport)]
             for transport in ('raw', 'compressed')}
    found['given'] = [np.array([(i.x1, i.y1, i.x2, i.y2) for i in boxes_message(n).instances])
                      for n in range(len(found['raw']))]
    return found


class Counters:
    """What the nodes count, camera by camera, as they publish it."""

    def __init__(self) -> None:
        self.cameras: Dict[str, Dict[str, Any]] = {}
        self.messages: Counter = Counter()

    def diagnostics(self, message: DiagnosticArray) -> None:
        """Keep the newest counters of each camera."""
        topics = {camera.topic: camera.prefix for camera in CAMERAS}
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            prefix = topics.get(values.get('topic', ''))
            if prefix is None:
                continue
            self.messages[prefix] += 1
            groups: Dict[str, Dict[str, int]] = {'dropped': {}, 'bad': {}, 'stamp': {}}
            for key, value in values.items():
                group, _, kind = key.partition('.')
                if kind and group in groups:
                    groups[group][kind] = int(value)
            self.cameras[prefix] = {
                'frames_in': int(values['frames_in']), 'frames_out': int(values['frames_out']),
                'bad_boxes': int(values['bad_boxes']),
                'lost_by_middleware': int(values['lost_by_middleware']), **groups}


def main(argv: List[str] = None) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--bundle', default='')
    args, orders = parser.parse_args(argv), Orders()
    judge, counters = Judge(expected_boxes(args.bundle)), Counters()
    rclpy.init(args=[])
    node = rclpy.create_node('soak_checks')
    deep = QoSProfile(depth=200)

    def listen(kind: Any, topic: str, judged: Callable, of: Any, profile: QoSProfile) -> None:
        node.create_subscription(kind, topic, lambda message: judged(of, message), profile)
    for name in (DETECTING, GIVEN):
        listen(Vocabulary, f'{name}/vocabulary', judge.vocabulary, name, LATCHED)
    for camera in CAMERAS:
        listen(HoiDetections, f'{camera.prefix}/detections', judge.detections, camera, deep)
    listen(HoiMasks, f'{CAMERAS[0].prefix}/masks', judge.masks, CAMERAS[0], deep)
    node.create_subscription(DiagnosticArray, '/diagnostics', counters.diagnostics, 50)
    say('ready')

    def report() -> None:
        say('checked', **judge.count, examples=judge.examples, cameras=counters.cameras,
            diagnostics=dict(counters.messages))
    reported = time.monotonic()
    try:
        while 'finish' not in orders.words and not orders.gone.is_set():
            rclpy.spin_once(node, timeout_sec=0.1)
            if time.monotonic() > reported + 1:
                judge.settle()
                report()
                reported = time.monotonic()
        judge.settle(patience_s=0.0)
        report()
        say('finished')
        orders.gone.wait()
    except KeyboardInterrupt:
        pass
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
