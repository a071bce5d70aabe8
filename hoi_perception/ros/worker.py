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

"""The one thread that owns the device: takes frames, computes, publishes."""

import threading
import time
from typing import Any, Callable, List, NamedTuple, Optional

from hoi_perception.core.errors import FrameError
from hoi_perception.core.scene import Instances, Scene
from hoi_perception.replay import given_boxes
from hoi_perception.replay.instances import of_vision
from hoi_perception.ros import conversion, images
from hoi_perception.ros.cameras import Arrival, Camera, Seen
from hoi_perception.ros.detections_2d import detections_2d
from hoi_perception.ros.events import follow
from hoi_perception.ros.mailbox import Mailbox
from hoi_perception.ros.markers import markers
from hoi_perception.ros.pacing import age_s, FUTURE_S
from hoi_perception.ros.parameters import Settings
from hoi_perception.ros.questions import Question, Questions
from hoi_perception.ros.troubles import in_the_future, too_old
from hoi_perception.ros.verbs import VerbChanger
from hoi_perception.runtime.device_faults import device_failed, free_cache, out_of_memory
from hoi_perception.runtime.overlay import draw_overlay, status_line
import numpy as np

_FAILURES_OF_A_LOST_DEVICE = 3
"""So many frames in a row; a single failed launch may leave the device usable."""


class _Job(NamedTuple):
    """A decoded frame on its way into the pipeline; boxes: of another detector."""

    camera: Camera
    arrival: Arrival
    rgb: np.ndarray
    boxes: Optional[Instances]
    started: float
    decoded: float


class FrameWorker:
    """
    Frames of all cameras, one after the other or, with the parameter `batch`, side by side.

    pipeline: a `HoiPipeline`. settings: returns the parameters as they are now. clock_s: returns
    the node's time in seconds. on_failure: is told about a frame that made the pipeline fail.
    `lost` says why the device is given up, and then no frame is computed any more.
    """

    def __init__(self, pipeline: Any, changer: VerbChanger, cameras: List[Camera],
                 settings: Callable[[], Settings], clock_s: Callable[[], float],
                 on_failure: Callable[[str, str], None]) -> None:
        self._pipeline, self._changer, self._cameras = pipeline, changer, cameras
        self._settings, self._clock_s, self._on_failure = settings, clock_s, on_failure
        self.lost = ''
        self._device_failures, self._cache_freed = 0, False
        # The last slot says that questions wait; they take turns with the cameras.
        self._mailbox, self._questions = Mailbox(len(cameras) + 1), Questions()
        self._stopping = threading.Event()
        # Held while publishing: after `stop` has had it, nothing is published any more.
        self._publishing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name='frames', daemon=True)

    def start(self) -> None:
        """Start the thread and subscribe."""
        self._thread.start()
        for index, camera in enumerate(self._cameras):
            camera.start(lambda arrival, index=index: self._accept(index, arrival))

    def stop(self, timeout_s: float) -> bool:
        """Unsubscribe, publish nothing any more, and return whether the thread has ended."""
        for camera in self._cameras:
            camera.stop()
        self._stopping.set()
        self._questions.close('the node was deactivated before the question was answered.')
        for camera in (self._cameras[i] for i in self._mailbox.close() if i < len(self._cameras)):
            camera.statistics.dropped('deactivated')
        with self._publishing:
            pass
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def ask(self, question: Question) -> None:
        """Have a question answered between two frames."""
        self._questions.put(question)
        self._mailbox.put(len(self._cameras), self._questions)

    def _accept(self, index: int, arrival: Arrival) -> None:
        if self._mailbox.put(index, arrival):
            self._cameras[index].statistics.dropped('overrun')

    def _run(self) -> None:
        while not (self._stopping.is_set() or self.lost):
            taken = self._mailbox.take_some(self._settings().batch)
            if not taken:
                return
            arrived = [(number, item) for number, item in taken if number < len(self._cameras)]
            jobs = [job for number, arrival in arrived
                    if (job := self._guarded(self._cameras[number], arrival, self._prepare))]
            if jobs:
                self._compute(jobs)
            if len(arrived) < len(taken) and self._questions.answer_next(self._pipeline):
                self._mailbox.put(len(self._cameras), self._questions)
        self._questions.close(self.lost or 'the node was deactivated.')

    def _guarded(self, camera: Camera, arrival: Arrival,
                 call: Callable[[Camera, Arrival], Optional[_Job]]) -> Optional[_Job]:
        """Call for one frame; what goes wrong is counted and explained, and None is returned."""
        try:
            return call(camera, arrival)
        except FrameError as error:
            camera.statistics.bad(error.kind)
            camera.explain(error.kind, f'frame not used ({error.kind}): {error}')
        except Exception as error:  # one frame must never take the node down
            self._failed(camera, arrival, error)
        return None

    def _prepare(self, camera: Camera, arrival: Arrival) -> Optional[_Job]:
        if not self._in_time(camera, arrival):
            return None
        started = time.perf_counter()
        rgb = images.decode(arrival.message, self._settings().max_pixels)
        boxes = None if arrival.boxes is None else self._boxes(camera, arrival.boxes)
        return _Job(camera, arrival, rgb, boxes, started, time.perf_counter())

    def _compute(self, jobs: List[_Job]) -> None:
        """Run the pipeline on one frame each of some cameras, and answer them."""
        results: List[Any] = [None] * len(jobs)
        if len(jobs) > 1:
            try:
                results = self._run_on(jobs)
            except Exception:  # one frame must not cost the others: alone, each tells its fault
                pass
        for job, result in zip(jobs, results):
            self._guarded(job.camera, job.arrival, lambda *_, job=job, result=result: (
                self._answer(job, result or self._run_on([job])[0])))

    def _run_on(self, jobs: List[_Job]) -> List[Any]:
        boxes = [job.boxes for job in jobs]
        given = None if all(item is None for item in boxes) else boxes
        results = self._pipeline.run([job.rgb for job in jobs], instances=given)
        self._device_failures, self._cache_freed = 0, False
        return results

    def _failed(self, camera: Camera, arrival: Arrival, error: Exception) -> None:
        """Count and explain a frame that failed; give up a device that fails every time."""
        camera.statistics.bad('failed')
        what, hint = f'{type(error).__name__}: {error}', ''
        if device_failed(error):
            self._device_failures += 1
        if out_of_memory(error):
            hint = ('; memory is short: end other programs on the device, or set max_humans, '
                    'max_objects or masks lower')
            if not self._cache_freed:  # once: it stops the device, and a second time frees nothing
                free_cache()
                self._cache_freed = True
        if self._device_failures == _FAILURES_OF_A_LOST_DEVICE:
            self.lost = (f'the device {self._pipeline.device} is lost, {self._device_failures} '
                         f'frames in a row failed ({" ".join(what.split())[:200]}): nothing in '
                         'this process can use it any more, start the process again (launch does '
                         'that with respawn:=true).')
        self._on_failure(f'{camera.name} {type(error).__name__}',
                         f'{camera.image_topic}: frame {arrival.frame_seq} failed: {what}{hint}')

    def _in_time(self, camera: Camera, arrival: Arrival) -> bool:
        """Count and explain a frame that is too old, or whose stamp is ahead of the clock."""
        age, limit = self._age_s(arrival.message.header.stamp), self._settings().max_age
        if limit and age > limit:
            camera.statistics.dropped('too_old')
            camera.explain('too_old', too_old(age, limit))
            return False
        if age < -FUTURE_S:
            camera.statistics.odd_stamp('future')
            camera.explain('future', in_the_future(age))
        return True

    def _answer(self, job: _Job, result: Any) -> None:
        """Follow, convert and publish what the pipeline says about a frame."""
        camera, arrival = job.camera, job.arrival
        settings, header = self._settings(), arrival.message.header
        computed = time.perf_counter()
        scene, events = follow(camera, result.scene, header, arrival.frame_seq, settings,
                               self._pipeline.thresholds)
        followed = time.perf_counter()
        scene = self._place(camera, settings, header, scene)
        placed = time.perf_counter()
        detections = conversion.detections(scene, header, arrival.frame_seq)
        masks = conversion.masks(scene, header, arrival.frame_seq) if settings.masks else None
        boxes_2d = None if camera.detections_2d is None else detections_2d(scene, header)
        converted = time.perf_counter()
        with self._publishing:
            if self._stopping.is_set():
                camera.statistics.dropped('deactivated')
                return
            camera.newest = Seen(scene, header, arrival.frame_seq, arrival.arrived, job.rgb,
                                 job.boxes)
            camera.detections.publish(detections)
            if masks is not None:
                camera.masks.publish(masks)
            if boxes_2d is not None:
                camera.detections_2d.publish(boxes_2d)
            for event in events:
                camera.events.publish(event)
            published = time.perf_counter()
            stages = {'decode': 1e3 * (job.decoded - job.started), **result.stages,
                      'track': 1e3 * (followed - computed),
                      **({'depth': 1e3 * (placed - followed)} if camera.depth else {}),
                      'convert': 1e3 * (converted - placed),
                      'publish': 1e3 * (published - converted)}
            total = 1e3 * (time.monotonic() - arrival.arrived)
            age = 1e3 * self._age_s(header.stamp)
            camera.statistics.answered(stages, total, age)
            camera.latency.publish(conversion.latencies(
                stages, total, age, header, arrival.frame_seq))
        try:
            self._show(camera, settings, header, job.rgb, scene,
                       status_line(stages, total, scene.prompt_version))
        except Exception as error:  # the frame is answered, and counted so
            self._on_failure(f'{camera.name} picture {type(error).__name__}', (
                f'{camera.image_topic}: frame {arrival.frame_seq} is answered but cannot be '
                f'drawn: {type(error).__name__}: {error}'))

    def _boxes(self, camera: Camera, message) -> Instances:
        message = message if hasattr(message, 'instances') else of_vision(message)
        known = self._changer.learn(given_boxes.class_names(message))
        found, faults = given_boxes.instances(message, known.objects)
        if faults:
            camera.statistics.bad_boxes(len(faults))
            camera.explain('bad_boxes', f'{len(faults)} of {len(message.instances)} given '
                           f'instances are not used: {faults[0]}')
        return found

    def _place(self, camera: Camera, settings: Settings, header, scene: Scene) -> Scene:
        """Give instances their position, if there is depth; without it they are as good."""
        if camera.depth is None:
            return scene
        try:
            return camera.depth.place(scene, header.stamp, settings.depth_tolerance)
        except FrameError as error:
            camera.explain(error.kind, f'positions are unknown ({error.kind}): {error}')
            return scene

    def _show(self, camera: Camera, settings: Settings, header, rgb: np.ndarray,
              scene: Scene, status: str) -> None:
        """Publish pictures for those who look at them, on the very frame computed."""
        shown: List[Any] = []
        if settings.overlay and camera.overlay.get_subscription_count():
            shown.append((camera.overlay, images.encode(
                draw_overlay(rgb, scene, status=status), 'rgb8', header)))
        if camera.label_image.get_subscription_count():
            labels = conversion.label_image(scene)
            shown.append((camera.label_image, images.encode(
                labels, 'mono8' if labels.itemsize == 1 else 'mono16', header)))
        if camera.markers.get_subscription_count():
            if camera.depth is None:
                camera.explain('markers', 'markers are drawn where instances have a position, '
                               'and that needs depth: start the node with depth:=true.')
            shown.append((camera.markers, markers(scene, header)))
        for publisher, message in shown:
            with self._publishing:
                if self._stopping.is_set():
                    return
                publisher.publish(message)

    def _age_s(self, stamp) -> float:
        return age_s(stamp.sec, stamp.nanosec, self._clock_s())
