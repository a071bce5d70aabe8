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
Replay bags: every frame, or those a robot had time for, to a results bag and records.

The network runs once per frame, whatever happens: an interrupted replay goes on from its journal.
"""

from dataclasses import replace
from pathlib import Path
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, TextIO, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.answer import Answerer, NoBoxes
from hoi_perception.replay.bag_reader import FrameKey
from hoi_perception.replay.inputs import InputFrame, Inputs
from hoi_perception.replay.instances import open_instances
from hoi_perception.replay.latency_profile import LatencyProfile, read_profile, work_ms
from hoi_perception.replay.modes import every_frame, real_time
from hoi_perception.replay.options import REAL_TIME, ReplayOptions, Watch
from hoi_perception.replay.records import (
    BAGS,
    frame_line,
    FrameRecord,
    FRAMES,
    read_frames,
    read_run,
    RESULTS,
    RUN,
    RunInfo,
    VERSION,
    write_run,
)
from hoi_perception.replay.results_bag import ResultsBag
from hoi_perception.replay.resume import check_same, Entry, JOURNAL, Journal
from hoi_perception.replay.summary import machine
from hoi_perception.runtime.bundle import Bundle, default_bundle_path, MANIFEST, sha256
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.stage_engines import EngineOptions
from hoi_perception.runtime.warm_up import warm_up
import torch

_NOBODY = Watch()


class Finished(NamedTuple):
    """
    A replay that came to its end.

    counts: frames by outcome. bad_reasons: the first sentences about bad frames. troubles: a
    sentence for every bag that is damaged or has no images. report: what `report.json` holds.
    """

    info: RunInfo
    counts: Dict[str, int]
    bad_reasons: Tuple[str, ...]
    troubles: Tuple[str, ...]
    report: Optional[Dict[str, Any]]


def replay(options: ReplayOptions, watch: Watch = _NOBODY) -> Finished:
    """
    Replay the bags and write everything into `options.out`.

    An interrupted replay of the same bags with the same options is taken up where it ended.
    Raises `HoiError` for bad input; of damaged bags what can be read is replayed, and then
    `Finished.troubles` says so. KeyboardInterrupt passes through, and leaves what is needed to go
    on.
    """
    profile = read_profile(options.latency_profile) if options.latency_profile else None
    with Inputs(options.bags, options.selection) as inputs:
        truth = _truth(options, inputs)
        pipeline = _pipeline(options, watch)
        boxes = open_instances(options.instances, inputs.readers) if options.instances else None
        warm_up(pipeline, boxes_given=boxes is not None)
        answerer = Answerer(pipeline, boxes)
        info = _info(options, inputs, pipeline, profile)
        info = _prepare(options, info)
        with Journal(options.out / JOURNAL) as journal, \
                ResultsBag(options.out / RESULTS, inputs.bags[0].reader.storage) as bag, \
                (options.out / FRAMES).open('w', encoding='utf-8', buffering=1) as lines:
            run = _Run(answerer, journal, bag, lines, profile, watch)
            try:
                info = _play(options, inputs, run, info, watch)
            except OSError as error:  # a full disk, a drive that is gone
                raise HoiError(f'the replay into {options.out} stopped: {error}. When that is '
                               'mended, the same command goes on from there.') from error
        for sentence in pipeline.engine_failures:
            watch.say(sentence)
        judged = options.report and any(run.counts.values())
        report = _report(options, inputs, truth, watch) if judged else None
        # Not before: whoever interrupts the report must not pay for the frames again.
        (options.out / JOURNAL).unlink()
    return Finished(info, run.counts, tuple(run.bad_reasons), tuple(inputs.troubles), report)


def _play(options: ReplayOptions, inputs: Inputs, run: '_Run', info: RunInfo,
          watch: Watch) -> RunInfo:
    """Send the frames through, and write down how long that took, also when it is cut short."""
    started = time.perf_counter()
    watch.begin(inputs.count)
    done = False
    try:
        if options.mode == REAL_TIME:
            real_time(inputs.frames(), run.work, run.drop)
        else:
            every_frame(inputs.frames(), run.work)
        done = True
    finally:
        info = replace(info, prompts=dict(run.answerer.prompts),
                       wall_seconds=info.wall_seconds + time.perf_counter() - started,
                       complete=done and not inputs.cut)
        write_run(options.out, info)
    return info


class _Run:
    """Answers frames, or remembers what they were answered, and writes everything down."""

    def __init__(self, answerer: Answerer, journal: Journal, bag: ResultsBag, lines: TextIO,
                 profile: Optional[LatencyProfile], watch: Watch) -> None:
        self.answerer, self.counts = answerer, dict.fromkeys(('answered', 'dropped', 'bad'), 0)
        self.bad_reasons: List[str] = []
        self._journal, self._bag, self._lines = journal, bag, lines
        self._profile, self._watch = profile, watch
        self._known = journal.count
        self._old: Iterator[Entry] = journal.entries()

    def work(self, item: InputFrame, waited_ms: float) -> float:
        """Answer a frame and return the milliseconds that took, here or by the profile."""
        if item.index < self._known:
            return work_ms(self._again(item).stages)
        try:
            answer = self.answerer(item)
        except NoBoxes as error:
            self._write(Entry(_record(item, 'dropped', str(error))))
            return 0.0
        stages = answer.stages
        if self._profile is not None:
            stages = {} if answer.fault else self._profile.draw(item.index)
        record = _record(item, 'bad' if answer.fault else 'answered', answer.fault, stages,
                         waited_ms + work_ms(stages))
        self._write(Entry(record, answer.messages, answer.own_ids))
        return work_ms(stages)

    def drop(self, item: InputFrame) -> None:
        """Write down a frame that a newer one has pushed out."""
        if item.index < self._known:
            self._again(item)
        else:
            self._write(Entry(_record(item, 'dropped', 'overrun')))

    def _again(self, item: InputFrame) -> FrameRecord:
        """Take a frame from the journal, and take up tracking with it."""
        entry = next(self._old)
        if (entry.record.index, entry.record.key) != (item.index, _key(item)):
            raise HoiError('the journal does not fit the bags: add --restart.')
        if entry.messages:
            self.answerer.recall(entry.messages, entry.own_ids)
        self._note(entry, again=True)
        return entry.record

    def _write(self, entry: Entry) -> None:
        self._journal.append(entry)
        self._note(entry, again=False)

    def _note(self, entry: Entry, again: bool) -> None:
        record = entry.record
        self._bag.write(record.log_time, entry.messages)
        self._lines.write(frame_line(record))
        self.counts[record.outcome] += 1
        if record.outcome == 'bad' and record.reason not in self.bad_reasons:
            self.bad_reasons = [*self.bad_reasons, record.reason][:5]
        self._watch.frame(record, again)


def _record(item: InputFrame, outcome: str, reason: str = '',
            stages: Optional[Dict[str, float]] = None, total: float = 0.0) -> FrameRecord:
    return FrameRecord(item.index, item.bag.name, item.bag.topic.name, item.frame.log_time,
                       _key(item), outcome, reason, stages or {}, total)


def _key(item: InputFrame) -> FrameKey:
    try:
        return item.frame.key
    except HoiError:  # not even a header can be read
        return 0, 0, ''


def _pipeline(options: ReplayOptions, watch: Watch) -> HoiPipeline:
    # Text embeddings are not kept: results shall depend on nothing that ran before.
    pipeline = HoiPipeline(Bundle.open(options.bundle or default_bundle_path()), options.device,
                           options.head, engines=EngineOptions(options.engine))
    for sentence in pipeline.engines.warnings:
        watch.say(sentence)
    if options.verbs or options.template:
        prompts = pipeline.prompts.prepare(list(options.verbs) or None, options.template or None)
        for name in prompts.unknown_objects:
            watch.say(f'the detector does not know {name!r}; it will not be found.')
        for name in prompts.approximate:
            watch.say(f'the head was not trained with {name!r}; its text is an approximation.')
        pipeline.prompts.activate(prompts)
    return pipeline


def _info(options: ReplayOptions, inputs: Inputs, pipeline: HoiPipeline,
          profile: Optional[LatencyProfile]) -> RunInfo:
    chosen, bundle = options.selection, pipeline.bundle
    device = torch.cuda.get_device_name(pipeline.device) if pipeline.device.type == 'cuda' \
        else torch.backends.cpu.get_cpu_capability()
    return RunInfo(
        version=VERSION, mode=options.mode, bundle=str(bundle.path),
        model_id=pipeline.model_id, head=pipeline.head, engines=pipeline.engines.summary(),
        prompts={},
        options={
            'verbs': list(options.verbs), 'template': options.template,
            'image_topic': chosen.image_topic, 'start': chosen.start, 'end': chosen.end,
            'stride': chosen.stride, 'instances': options.instances, 'engine': options.engine,
            'device': str(pipeline.device), 'threads': torch.get_num_threads(),
            MANIFEST: sha256(bundle.path / MANIFEST),
            'latency_profile': profile.digest if profile else None,
            'boxes': _digest(options.instances),
            BAGS: [str(path.expanduser().absolute()) for path in options.bags]},
        inputs=inputs.digests(),
        machine={**machine(), 'device': device, 'torch': torch.__version__},
        latency_source=f'profile {profile.name}' if profile else 'measured on this machine',
        wall_seconds=0.0, complete=False)


def _digest(source: Optional[str]) -> Optional[str]:
    """Return the sha256 of the boxes where they come from a file."""
    path = Path(source).expanduser() if source else None
    return sha256(path) if path is not None and path.is_file() else None


def _prepare(options: ReplayOptions, info: RunInfo) -> RunInfo:
    """Make the directory ready, for a new replay or to go on with the one that is in it."""
    out = options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        if (out / JOURNAL).exists() and not options.restart:
            before = read_run(out)
            check_same(before, info)
            info = replace(info, wall_seconds=before.wall_seconds)
        else:
            for name in (JOURNAL, FRAMES, RUN):
                (out / name).unlink(missing_ok=True)
        for name in ('report.json', 'report.html', 'matches.npz'):  # of what was here before
            (out / name).unlink(missing_ok=True)
        write_run(out, info)
    except OSError as error:
        raise HoiError(f'cannot write to --out {out}: {error.strerror or error}.') from error
    return info


def _truth(options: ReplayOptions, inputs: Inputs) -> Any:
    """Open the ground truth before the long work, so that it is refused before it."""
    if not options.report:
        return None
    from hoi_perception.replay.truth import open_truth
    try:
        return open_truth(options.ground_truth, inputs.readers)
    except HoiError as error:
        if options.ground_truth is not None:
            raise
        # What the bag itself brings may be damaged like the bag: the frames still count.
        inputs.troubles.append(f'no ground truth is used: {error}')
        return None


def _report(options: ReplayOptions, inputs: Inputs, truth: Any, watch: Watch) -> Dict[str, Any]:
    from hoi_perception.replay.report import write_report
    watch.say(f'writing {options.out / "report.html"} ...')
    return write_report(options.out, truth, inputs.pixels_by_key(read_frames(options.out)))
