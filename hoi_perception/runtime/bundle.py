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
The model bundle: the directory that is the contract between trainer and robot.

`bundle.yaml` describes it, `detector.safetensors`, `clip.safetensors` and `heads/*.safetensors`
hold the weights, `CARD.md` tells people what it is. Every file is named with its SHA-256 in
`bundle.yaml` and checked when the bundle is opened. Pickle files are refused: loading one runs
code.
"""

from dataclasses import dataclass
import hashlib
from pathlib import Path
import shutil
import sysconfig
import tempfile
from typing import Any, Dict, Literal, Mapping, Optional, Tuple, Union

from hoi_perception.core.errors import BundleError
from hoi_perception.core.vocabulary import DEFAULT_TEMPLATE, Verb, Vocabulary
from hoi_perception.runtime.bundle_versions import migrated, SCHEMA_VERSION
from hoi_perception.runtime.int8_rows import unpacked
from pydantic import BaseModel, ConfigDict, Field, model_validator, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import Tensor
import yaml

MANIFEST = 'bundle.yaml'
PICKLES = ('.pt', '.pth', '.bin', '.pkl', '.pickle', '.ckpt')
DEFAULT_BUNDLE = 'synthetic_tiny'
DEFAULT_BACKGROUND = 'a photo of a person and {article} {object}'


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)


class ImageSpec(_Spec):
    """
    Network input: size in pixels, how the image gets there, and normalisation of 0..1 RGB.

    `shortest_edge` keeps the shape: the short side becomes `height`, unless the long one would
    then exceed `width` (DETR's rule, see `preprocess.shortest_edge_size`). Such images differ in
    size, so they run one by one in eager mode; an engine of fixed shape needs `letterbox`.
    `bicubic` is Pillow's, to the bit; `bilinear` is torch's and faster.
    """

    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)
    resize: Literal['stretch', 'letterbox', 'shortest_edge'] = 'stretch'
    interpolation: Literal['bilinear', 'bicubic'] = 'bilinear'
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: Tuple[float, float, float] = (1.0, 1.0, 1.0)


class DetectorSpec(_Spec):
    """
    The detector: `dense` (DenseDetectorConfig) or `transformers` (a Hugging Face configuration).

    classes: name of each class index, '' for an index that means nothing; empty = the
    vocabulary's objects in order. architecture: the transformers class (empty for `dense`).
    suppress: class-wise non-maximum suppression of a set predictor's boxes too (UPT, LAIN); a
    dense detector's are always thinned. clip_boxes: cut boxes to the image before the heads see
    them; those of a scene always are.
    """

    kind: Literal['dense', 'transformers']
    config: Dict[str, Any]
    preprocessing: ImageSpec
    architecture: str = ''
    classes: Tuple[str, ...] = ()
    top_k: int = Field(default=100, ge=1, le=1000)
    suppress: bool = False
    clip_boxes: bool = True


class ClipSpec(_Spec):
    """
    The CLIP model: an open_clip model configuration and its input.

    after_detector: the image is made from the one already resized for the detector (LAIN).
    """

    config: Dict[str, Any]
    preprocessing: ImageSpec
    after_detector: bool = False


class HeadSpec(_Spec):
    """
    An interaction head.

    kind: `region_readout` is DEFR's training-free read-out and has no file; the weights of others
    are in `heads/<name>.safetensors`, those of `defr` being a whole image tower; `seg2hoi` reads
    the detector's masks and predicts relations without pairs. config: the head's own
    configuration. text: `clip` encodes phrases with the bundle's CLIP; the others take
    the bundle's own phrases from `heads/<name>.text.safetensors`: `lain` as LAIN's released
    checkpoints need, `rows` the trained rows of `defr`. temperature: factor on the cosine, None =
    CLIP's own. The exponents weigh the detector's scores of human and object. triplet_threshold:
    from which score on its triplets count, None = that of the bundle.
    """

    kind: Literal['region_readout', 'defr', 'lain', 'rmlr', 'cl_hoi',
                  'seg2hoi'] = 'region_readout'
    config: Dict[str, Any] = {}
    text: Literal['clip', 'lain', 'rows'] = 'clip'
    activation: Literal['softmax', 'sigmoid'] = 'softmax'
    temperature: Optional[float] = Field(default=None, gt=0, le=1000)
    human_exponent: float = Field(default=1.0, ge=0, le=20)
    object_exponent: float = Field(default=1.0, ge=0, le=20)
    triplet_threshold: Optional[float] = Field(default=None, ge=0, le=1)

    @model_validator(mode='after')
    def _texts_fit(self) -> 'HeadSpec':
        if self.text != 'clip' and self.activation == 'softmax':
            raise ValueError(f'text {self.text} has no background phrases: activation must be '
                             'sigmoid')
        if (self.kind == 'defr') != (self.text == 'rows'):
            raise ValueError('kind defr and text rows need each other: the features of its tower '
                             'meet trained rows only')
        if self.kind == 'seg2hoi' and (self.text, self.activation) != ('clip', 'sigmoid'):
            raise ValueError('kind seg2hoi takes its verbs from text clip, with activation '
                             'sigmoid')
        return self

    @property
    def reads_objects(self) -> bool:
        """Return whether the head is told what its boxes hold, by text."""
        return self.kind == 'lain'

    def weight_files(self, name: str) -> Tuple[str, ...]:
        """Return the files of a head of that name, relative to the bundle."""
        files = [] if self.kind == 'region_readout' else [f'heads/{name}.safetensors']
        return tuple(files + [f'heads/{name}.text.safetensors'] * (self.text != 'clip'))


class VerbSpec(_Spec):
    """A verb, the form that goes into the prompt, and its valid objects (None = any)."""

    name: str
    phrase: str = ''
    objects: Optional[Tuple[str, ...]] = None


class VocabularySpec(_Spec):
    """Names; `background` is the phrase of a pair that does nothing together."""

    objects: Tuple[str, ...] = Field(min_length=1)
    verbs: Tuple[VerbSpec, ...] = Field(min_length=1)
    human: str = 'person'
    template: str = DEFAULT_TEMPLATE
    background: str = DEFAULT_BACKGROUND


class Thresholds(_Spec):
    """Scores in 0..1 and the overlap at which a detection repeats a better one."""

    instance: float = Field(default=0.2, ge=0, le=1)
    triplet: float = Field(default=0.1, ge=0, le=1)
    nms_iou: float = Field(default=0.5, gt=0, le=1)


class Buckets(_Spec):
    """Padded sizes: instances, candidate pairs and prompt rows per frame."""

    instances: Tuple[int, ...] = Field(default=(8, 16, 30, 200), min_length=1)
    pairs: Tuple[int, ...] = Field(default=(16, 64, 435), min_length=1)
    rows: Tuple[int, ...] = Field(default=(32, 128, 640), min_length=1)


class BundleSpec(_Spec):
    """`bundle.yaml` as it stands."""

    schema_version: Literal['1.0'] = SCHEMA_VERSION
    name: str = Field(min_length=1, max_length=100)
    licence: str = Field(min_length=1)
    provenance: str = Field(min_length=1)
    detector: DetectorSpec
    clip: ClipSpec
    heads: Dict[str, HeadSpec] = Field(min_length=1)
    vocabulary: VocabularySpec
    thresholds: Thresholds = Thresholds()
    buckets: Buckets = Buckets()
    metrics: Dict[str, Union[float, str]] = {}
    files: Dict[str, str] = {}

    def core_vocabulary(self) -> Vocabulary:
        """Return the vocabulary as the value every scene carries; raises `BundleError`."""
        names = self.vocabulary
        if names.human not in names.objects:
            raise BundleError(f'vocabulary.human {names.human!r} is not among the objects.')
        verbs = tuple(Verb(v.name, v.objects, v.phrase) for v in names.verbs)
        return Vocabulary(names.objects, verbs, names.template, names.objects.index(names.human))

    def thresholds_of(self, head: str) -> Thresholds:
        """Return the thresholds with a head's own where it has one."""
        own = self.heads[head].triplet_threshold
        return self.thresholds if own is None else self.thresholds.model_copy(
            update={'triplet': own})


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_spec(path: Path) -> BundleSpec:
    """Read `bundle.yaml` without looking at the files it names; raises `BundleError`."""
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise BundleError(f'{path} cannot be read as YAML: {reason}.') from error
    if not isinstance(content, dict):
        raise BundleError(f'{path} holds {type(content).__name__}, expected a mapping.')
    content = migrated(content, str(path))
    try:
        return BundleSpec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        raise BundleError(f'{path}: {where}: {first["msg"]} (got {first["input"]!r:.80}); '
                          f'{error.error_count()} problem(s) in all.') from error


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose files were checked; `path` is its directory."""

    path: Path
    spec: BundleSpec

    @staticmethod
    def open(path: Union[str, Path], verify: bool = True) -> 'Bundle':
        """
        Read and check a bundle directory.

        verify: also compare every file's SHA-256 (reads all of them). Raises `BundleError`.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise BundleError(f'{path} is not a model bundle: there is no {MANIFEST} in it. Give '
                              'the directory made by `hoi bundle build` or by the trainer.')
        spec = read_spec(path / MANIFEST)
        for found in sorted(path.rglob('*')):
            if found.suffix.lower() in PICKLES:
                raise BundleError(f'{found} is a pickle file, which can run code when loaded: '
                                  'remove it; bundles hold safetensors only.')
        needed = ['detector.safetensors', 'clip.safetensors']
        needed += [file for name, head in spec.heads.items() for file in head.weight_files(name)]
        for file in needed:
            if file not in spec.files:
                raise BundleError(f'{path / MANIFEST}: files does not name {file}.')
        for name, expected in spec.files.items():
            _check_file(path, name, expected if verify else None)
        spec.core_vocabulary()
        return Bundle(path, spec)

    @property
    def model_id(self) -> str:
        """The name and the first digits of the weights' hashes: what results are marked with."""
        joined = ''.join(f'{name}{digest}' for name, digest in sorted(self.spec.files.items()))
        return f'{self.spec.name}@{hashlib.sha256(joined.encode()).hexdigest()[:8]}'

    def tensors(self, name: str) -> Dict[str, Tensor]:
        """
        Load a file, in the shapes it has, as float32 (integers stay); refuses NaN, infinity.

        Matrices stored as int8 rows (`int8_rows`) come as float32 too. Raises `BundleError`.
        """
        try:
            state = unpacked(load_file(self.path / name), str(self.path / name))
        except (OSError, SafetensorError) as error:
            raise BundleError(f'{self.path / name} cannot be loaded: {error}.') from error
        for key, value in state.items():
            if value.is_floating_point():
                state[key] = value.float()
                if not torch.isfinite(state[key]).all():
                    raise BundleError(f'{self.path / name}: {key} holds NaN or infinity; the '
                                      'weights are damaged, build the bundle again.')
        return state


def _check_file(directory: Path, name: str, expected: Optional[str]) -> None:
    path = directory / name
    if Path(name).is_absolute() or '..' in Path(name).parts:
        raise BundleError(f'{directory / MANIFEST} names {name!r}, which lies outside the bundle.')
    if not path.is_file():
        raise BundleError(f'{path} is missing, although {MANIFEST} names it: copy the whole '
                          'bundle again.')
    if expected is not None and (got := sha256(path)) != expected:
        raise BundleError(f'{path} was changed: its SHA-256 is {got[:12]}..., {MANIFEST} says '
                          f'{expected[:12]}...; copy the bundle again.')


def write_bundle(directory: Union[str, Path], spec: BundleSpec,
                 tensors: Mapping[str, Mapping[str, Tensor]], card: str = '') -> Bundle:
    """
    Write a bundle and return it opened and verified.

    tensors: state dict of any shapes by file name (`detector.safetensors`,
    `heads/x.safetensors`). card: text of `CARD.md`. The directory appears whole or not at all; an
    older bundle there is replaced, anything else there is refused.
    """
    directory = Path(directory)
    if directory.exists() and any(directory.iterdir()) and not (directory / MANIFEST).is_file():
        raise BundleError(f'{directory} exists and is not a bundle: choose another directory.')
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{directory.name}-', dir=directory.parent))
    try:
        for name, state in tensors.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            save_file({key: value.detach().cpu().contiguous().clone()
                       for key, value in state.items()}, work / name)
        (work / 'CARD.md').write_text(card or f'# {spec.name}\n\n{spec.provenance}\n',
                                      encoding='utf-8')
        files = {str(file.relative_to(work)): sha256(file)
                 for file in sorted(work.rglob('*')) if file.is_file()}
        content = spec.model_copy(update={'files': files}).model_dump(mode='json')
        (work / MANIFEST).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
                                     encoding='utf-8')
        work.chmod(0o755)
        for file in work.rglob('*'):
            file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes for its owner only
        Bundle.open(work)
        old = work.with_name(f'{work.name}.old')
        if directory.exists():
            directory.rename(old)  # kept until the new one is in place
        work.rename(directory)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return Bundle.open(directory)


def resource_path(relative: str) -> Optional[Path]:
    """
    Return a file or directory that ships with the project, or None where it is not installed.

    relative: as in the checkout (`config/everyday_verbs.yaml`). Looked up beside the package (a
    checkout, an editable install), then in share/hoi_perception of the prefix (pip, colcon).
    """
    package = Path(__file__).resolve().parents[1]
    prefixes = [Path(sysconfig.get_path('data')), *package.parents]
    candidates = [package.parent / relative, package / relative]
    candidates += [prefix / 'share' / 'hoi_perception' / relative for prefix in prefixes]
    return next((path for path in candidates if path.exists()), None)


def default_bundle_path() -> Path:
    """Return the directory of the shipped bundle, or raise `BundleError` where there is none."""
    path = resource_path(f'models/{DEFAULT_BUNDLE}')
    if path is None or not (path / MANIFEST).is_file():
        raise BundleError(f'the shipped bundle {DEFAULT_BUNDLE} is not installed: give a bundle '
                          'directory (--bundle), or install the project again.')
    return path
