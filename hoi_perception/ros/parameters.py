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
The parameters of the node: one table drives declaration, descriptor, range, check and reference.

Each field of `Settings` is one parameter; its default gives the type. A parameter is either live
(a change holds from the next frame on) or read only after start.
`python -m hoi_perception.ros.parameters` prints the reference.
"""

from dataclasses import dataclass, field, fields, replace
import difflib
from typing import Any, Callable, Dict, Iterable, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.vocabulary import check_template, parse_verbs, same_name
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name

_FOREIGN = ('use_sim_time', 'qos_overrides.', 'start_type_description_service')
_TYPES = {bool: Parameter.Type.BOOL, int: Parameter.Type.INTEGER, float: Parameter.Type.DOUBLE,
          str: Parameter.Type.STRING, tuple: Parameter.Type.STRING_ARRAY}


class ParameterError(HoiError):
    """A parameter that cannot be used: name, value and rule."""


def _check_verbs(value: Tuple[str, ...]) -> None:
    if value != ('',):
        parse_verbs(value)


def _check_template(value: str) -> None:
    if value:
        check_template(value)


def _check_cameras(value: Tuple[str, ...]) -> None:
    if value == ('',):
        return
    if not value or len(set(value)) != len(value):
        raise HoiError("give each camera once, or [''] for a single one on the topic 'image'.")
    for name in value:
        if not name or name.startswith(('/', '~')) or '{' in name:
            raise HoiError(f'camera {name!r} must be a relative name such as front or arm/wrist.')
        try:
            validate_topic_name(name)
        except NameValidationException as error:
            raise HoiError(f'camera {name!r} is no ROS name: {str(error).splitlines()[0]}') \
                from error


def _check_names(value: Tuple[str, ...]) -> None:
    if value != ('',) and (not value or not all(name.strip() for name in value)):
        raise HoiError("name at least one and leave none empty; [''] alone means all.")


@dataclass(frozen=True)
class Row:
    """What the table says about a parameter beside its name and default."""

    description: str
    live: bool = False
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    choices: Tuple[str, ...] = ()
    check: Optional[Callable[[Any], None]] = None


def _parameter(default, description: str, **rest) -> Any:
    return field(default=default, metadata={'row': Row(description, **rest)})


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one time."""

    bundle: str = _parameter(
        '', 'Directory of the model bundle; empty = the one that ships with the package.')
    head: str = _parameter('', "Interaction head of the bundle; empty = the bundle's default.")
    device: str = _parameter('auto', 'Where the networks run: auto, cpu, cuda or cuda:1.')
    engine: str = _parameter(
        'auto', 'What runs the networks. auto: the fastest engine that was built for this machine '
        'and decides as eager does, else eager (plain PyTorch).',
        choices=('auto', 'eager', 'aoti', 'openvino', 'tensorrt'))
    precision: str = _parameter(
        'auto', 'Arithmetic of the engines; auto = the fastest one built.',
        choices=('auto', 'fp32', 'bf16', 'fp16'))
    engine_build: bool = _parameter(
        False, 'Build engines that are missing while configuring, which takes minutes; false = '
        'only `hoi engine build` builds.')
    autostart: bool = _parameter(
        True, 'Configure and activate at start; false leaves that to lifecycle services.')
    cameras: Tuple[str, ...] = _parameter(
        ('',), "Camera names, each with topics <name>/image, <name>/detections, ...; [''] = one "
        'camera on image, detections, ...', check=_check_cameras)
    image_transport: str = _parameter(
        'raw', "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on the image "
        "topic's name with /compressed added.", choices=('raw', 'compressed'))
    compressed_cameras: Tuple[str, ...] = _parameter(
        ('',), "Cameras that send compressed images although image_transport is raw; [''] = none.")
    batch: int = _parameter(
        1, 'At most this many cameras are computed in one call, as far as frames of theirs wait; '
        'engines must have been built for it (hoi engine build --batch), else eager runs.',
        live=True, minimum=1, maximum=8)
    instances_source: str = _parameter(
        'detector', "detector: the bundle's own detector finds people and objects; topic: boxes "
        "come from the robot's detector on the topic instances (hoi_msgs/Instances) or, where "
        "vision_msgs is installed, instances_vision (Detection2DArray), with the image's stamp.",
        choices=('detector', 'topic'))
    instances_buffer: int = _parameter(
        8, 'How many frames, and how many instances messages, wait for their counterpart.',
        minimum=1, maximum=256)
    max_pixels: int = _parameter(
        33177600, 'Compressed images with more pixels than this are refused undecoded.',
        live=True, minimum=1, maximum=268435456)
    verbs: Tuple[str, ...] = _parameter(
        ('',), "Verbs to look for, such as ['ride', 'push: cart, stroller']; [''] = the bundle's.",
        live=True, check=_check_verbs)
    template: str = _parameter(
        '', "Prompt sentence with {verb}, {article}, {object}; empty = the bundle's.",
        live=True, check=_check_template)
    class_filter: Tuple[str, ...] = _parameter(
        ('',), "Only objects of these classes are published and paired with people, who are "
        "always published themselves; [''] = all.", live=True, check=_check_names)
    verb_filter: Tuple[str, ...] = _parameter(
        ('',), "Only interactions with these of the active verbs are published; [''] = all. "
        'Scores stay as they are; to look for other verbs set verbs.',
        live=True, check=_check_names)
    instance_threshold: float = _parameter(
        -1.0, "Least score of an instance, 0..1; -1 = the bundle's.",
        live=True, minimum=-1.0, maximum=1.0)
    triplet_threshold: float = _parameter(
        -1.0, "Least score of a triplet, 0..1; -1 = the bundle's.",
        live=True, minimum=-1.0, maximum=1.0)
    max_triplets: int = _parameter(
        50, 'At most this many triplets per frame, the best ones.',
        live=True, minimum=1, maximum=200)
    pair_budget: int = _parameter(
        0, "At most this many human-object pairs are scored per frame, the best ones; 0 = the "
        "bundle's largest bucket.", live=True, minimum=0, maximum=10000)
    max_humans: int = _parameter(
        15, 'At most this many people per frame, the best ones.',
        live=True, minimum=1, maximum=100)
    max_objects: int = _parameter(
        15, 'At most this many objects per frame, the best ones.',
        live=True, minimum=1, maximum=100)
    enabled: bool = _parameter(
        True, 'False pauses all cameras: they are not even subscribed to.', live=True)
    disabled_cameras: Tuple[str, ...] = _parameter(
        ('',), "Cameras that are paused and not subscribed to; [''] = none.", live=True)
    lazy: bool = _parameter(
        False, 'Subscribe to a camera only while someone listens to one of its results; ~/query '
        'then answers from the last frame there was.', live=True)
    max_rate: float = _parameter(
        0.0, 'At most this many frames per second and camera are computed; 0 = as many as can be.',
        live=True, minimum=0.0, maximum=1000.0)
    max_age: float = _parameter(
        0.0, 'Frames that are older than this many seconds when their turn comes are dropped and '
        'counted, by the stamp and the clock of the node; 0 = none.',
        live=True, minimum=0.0, maximum=3600.0)
    track: bool = _parameter(
        True, 'Give instances and interactions ids, and publish events; false ends the events '
        'under way.', live=True)
    track_max_age: float = _parameter(
        2.0, 'Seconds out of sight after which an identity and its interactions are given up; '
        'must be longer than the time between two frames.', live=True, minimum=0.0, maximum=60.0)
    event_on: float = _parameter(
        -1.0, 'Smoothed score from which an interaction can begin, 0..1; -1 = the triplet '
        'threshold, at least 0.05.', live=True, minimum=-1.0, maximum=1.0)
    event_off: float = _parameter(
        -1.0, 'Smoothed score below which an interaction can end, 0..1, at most event_on; -1 = '
        'half of event_on.', live=True, minimum=-1.0, maximum=1.0)
    event_on_time: float = _parameter(
        0.3, 'Seconds for which the score must reach event_on before an interaction begins.',
        live=True, minimum=0.0, maximum=60.0)
    event_off_time: float = _parameter(
        0.5, 'Seconds for which the score must stay below event_off before an interaction ends.',
        live=True, minimum=0.0, maximum=60.0)
    event_smoothing: float = _parameter(
        0.2, 'Time constant in seconds of the smoothing of interaction scores; 0 = none.',
        live=True, minimum=0.0, maximum=60.0)
    masks: bool = _parameter(
        True, 'Compute and publish masks, where the bundle has them.', live=True)
    overlay: bool = _parameter(
        True, 'Draw results on the frame, on the topic overlay, while someone listens.',
        live=True)
    depth: bool = _parameter(
        False, 'Subscribe to depth (aligned to the image, 16UC1 in mm or 32FC1 in m) and '
        'camera_info, and give instances their position and extent.')
    depth_tolerance: float = _parameter(
        0.02, 'Seconds by which the stamps of an image and its depth image may differ.',
        live=True, minimum=0.0, maximum=1.0)
    detections_2d: bool = _parameter(
        False, 'Publish the instances also as vision_msgs/Detection2DArray on detections_2d, '
        'where vision_msgs is installed.')


ROWS: Dict[str, Row] = {f.name: f.metadata['row'] for f in fields(Settings)}
DEFAULTS: Dict[str, Any] = {f.name: f.default for f in fields(Settings)}


def descriptor(name: str) -> ParameterDescriptor:
    """Return the descriptor of a parameter of the table."""
    row, default = ROWS[name], DEFAULTS[name]
    text = row.description
    if row.choices:
        text += f' One of: {", ".join(row.choices)}.'
    message = ParameterDescriptor(
        name=name, type=_TYPES[type(default)].value, description=text, read_only=not row.live,
        additional_constraints='' if row.live else 'Read only after start.')
    if row.minimum is not None and isinstance(default, float):
        message.floating_point_range = [
            FloatingPointRange(from_value=row.minimum, to_value=row.maximum)]
    elif row.minimum is not None:
        message.integer_range = [
            IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum))]
    return message


def declare(node: Node) -> None:
    """Declare every parameter; an override the node does not know is an error, not silence."""
    unknown = [name for name in node._parameter_overrides
               if name not in ROWS and not name.startswith(_FOREIGN)]
    if unknown:
        close = difflib.get_close_matches(unknown[0], ROWS, 1)
        hint = f'did you mean {close[0]!r}?' if close else f'known are {", ".join(ROWS)}.'
        raise ParameterError(f'parameter {unknown[0]!r} does not exist: {hint}')
    for name, default in DEFAULTS.items():
        node.declare_parameter(
            name, list(default) if isinstance(default, tuple) else default, descriptor(name))


def check(name: str, value: Any) -> None:
    """Raise `ParameterError` unless the value is one the parameter may have."""
    row = ROWS[name]
    shown = repr(value) if len(repr(value)) < 80 else f'{repr(value)[:76]}...'
    if row.choices and value not in row.choices:
        raise ParameterError(
            f'{name} cannot be {shown}: it must be one of {", ".join(row.choices)}.')
    if isinstance(value, float) and value != value:
        raise ParameterError(f'{name} cannot be {shown}: it must be a number.')
    if row.check is not None:
        try:
            row.check(value)
        except HoiError as error:
            raise ParameterError(f'{name} cannot be {shown}: {error}') from error


def unknown_name(name: str, value: Iterable[str], known: Sequence[str]) -> str:
    """Return why a filter cannot have this value with the names there are, or an empty string."""
    there = {same_name(word) for word in known}
    for wanted in value or ():
        if wanted and same_name(wanted) not in there:
            close = difflib.get_close_matches(wanted, known, 1)
            hint = f'did you mean {close[0]!r}?' if close else (
                f'known are {", ".join(known[:20])}{", ..." if len(known) > 20 else "."}')
            return f'{name} cannot name {wanted!r}, which is not looked for: {hint}'
    return ''


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _check_together(settings: Settings) -> None:
    if 0 <= settings.event_on < settings.event_off:
        raise ParameterError(
            f'event_off cannot be {settings.event_off} with event_on at {settings.event_on}: an '
            'interaction must not end at a score at which it can begin.')
    for name in ('compressed_cameras', 'disabled_cameras'):
        for camera in getattr(settings, name):
            if camera and camera not in settings.cameras:
                raise ParameterError(
                    f'{name} cannot be {list(getattr(settings, name))}: {camera!r} is none of the '
                    f'cameras {list(settings.cameras)}.')


def refusal(parameters: Iterable[Parameter], now: Settings) -> str:
    """Return why these parameters may not be set together, or an empty string."""
    values = {p.name: _plain(p.value) for p in parameters
              if p.name in ROWS and p.value is not None}  # rclpy refuses to undeclare
    try:
        for name, value in values.items():
            check(name, value)
        _check_together(replace(now, **values))
    except ParameterError as error:
        return str(error)
    return ''


def read(node: Node) -> Settings:
    """Return all parameters as they are; raises `ParameterError` where one may not be so."""
    values = {name: _plain(node.get_parameter(name).value) for name in ROWS}
    for name, value in values.items():
        check(name, value)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def reference() -> str:
    """Return the table as Markdown, for the documentation."""
    lines = ['| parameter | type | default | range | live | meaning |',
             '|---|---|---|---|---|---|']
    for name, row in ROWS.items():
        default = DEFAULTS[name]
        span = f'{row.minimum:g} .. {row.maximum:g}' if row.minimum is not None \
            else ', '.join(row.choices)
        shown = str(list(default)) if isinstance(default, tuple) else repr(default)
        kind = _TYPES[type(default)].name.lower().replace('_array', '[]')
        lines.append(f'| `{name}` | {kind} | `{shown}` | {span} | '
                     f'{"yes" if row.live else "no"} | {row.description} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(reference())
