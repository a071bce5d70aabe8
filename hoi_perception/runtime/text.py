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

"""Where prompt embeddings come from: CLIP as it is, learned text of LAIN, trained rows of DEFR."""

from pathlib import Path
import threading
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from hoi_perception.core.errors import BundleError, VocabularyError
from hoi_perception.networks.clip import encode_text
from hoi_perception.networks.cosine_classifier import fold_projection
from hoi_perception.networks.lain_text import (
    new_verb_features,
    plain_features,
    TextTower,
    VerbPrompts,
)
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.prompts import lay_out_rows, object_phrases, TextEncoder
from hoi_perception.runtime.text_cache import TextCache
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

_CACHE_LIMIT = 8192


class KeepText(NamedTuple):
    """Keep embeddings on disk in this directory; report: gets sentences about trouble with it."""

    directory: Path
    report: Callable[[str], None]


class _Cache:
    """Embeddings by phrase, also on disk where wanted; one thread encodes at a time."""

    def __init__(self, encode: Any, disk: Optional[TextCache] = None) -> None:
        self._encode, self._disk, self._lock = encode, disk, threading.Lock()
        self._known: Dict[str, Tensor] = {}

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        with self._lock:
            new = [p for p in dict.fromkeys(phrases) if p not in self._known]
            if len(self._known) + len(new) > _CACHE_LIMIT:
                self._known.clear()
                new = list(dict.fromkeys(phrases))
            if new and self._disk is not None:
                self._known.update(self._disk.load(new))
                new = [p for p in new if p not in self._known]
            if new:
                encoded = dict(zip(new, self._encode(new)))
                self._known.update(encoded)
                if self._disk is not None:
                    self._disk.store(encoded)
            return torch.stack([self._known[p] for p in phrases])


class ClipText:
    """CLIP's own text encoder: any phrase, nothing approximated."""

    def __init__(self, clip: nn.Module, disk: Optional[TextCache] = None) -> None:
        self._encode = _Cache(lambda phrases: encode_text(clip, phrases), disk)

    def verbs(self, phrases: Sequence[str]) -> Tensor:
        """Return the (n, D) unit-norm embeddings of phrases."""
        return self._encode(phrases)

    def objects(self, names: Sequence[str]) -> Tensor:
        """Return the (n + 1, D) embeddings of objects, the last for no object."""
        return self._encode(object_phrases(names))

    def verb_is_approximate(self, phrase: str) -> bool:
        """Return False: CLIP reads any phrase."""
        return False

    def object_is_approximate(self, name: str) -> bool:
        """Return False: CLIP reads any name."""
        return False


class LainText:
    """
    The text of a released LAIN checkpoint: its own verbs exactly, others by its mean context.

    tensors: `verbs` (V, D) unit-norm rows of the bundle's verbs, `objects` (O + 1, D) embeddings
    of its objects as the checkpoint holds them, and, only where the bundle's CLIP has its text
    tower, `context` (C, W) shared or (V, C, W) per verb, the learned vectors before each phrase.
    phrases, objects: what the rows of `verbs` and `objects` stand for.
    """

    def __init__(self, tensors: Dict[str, Tensor], phrases: Sequence[str],
                 objects: Sequence[str], clip: Any) -> None:
        self._verbs = dict(zip(phrases, tensors['verbs']))
        self._objects = dict(zip(objects, tensors['objects']))
        self._nothing = tensors['objects'][-1]
        self._unknown_object = tensors['objects'][:-1].mean(0)
        self.context = tensors.get('context')
        if self.context is not None:
            tower, words = lain_tower(clip), clip.token_embedding.weight
            none = self.context.new_zeros(0, 1, self.context.shape[-1])
            prompts = VerbPrompts(self.context, none, none, none[:, 0, 0])
            self._new_verbs = _Cache(lambda new: _in_parts(
                lambda part: new_verb_features(tower, prompts, words, part), new))
            self._new_objects = _Cache(lambda new: _in_parts(
                lambda part: plain_features(tower, words, part), new))

    def verbs(self, phrases: Sequence[str]) -> Tensor:
        """Return the (n, D) unit-norm rows of phrases; raises `VocabularyError` (see above)."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._verbs]
        if new and self.context is None:
            raise VocabularyError(
                f'prompt {new[0]!r} is none of the {len(self._verbs)} that this head was trained '
                'with, and the bundle cannot encode others: LAIN checkpoints hold no token '
                'embedding. Import the checkpoint again with --clip, which supplies it.')
        rows = {**self._verbs, **dict(zip(new, self._new_verbs(new) if new else ()))}
        return torch.stack([rows[phrase] for phrase in phrases])

    def objects(self, names: Sequence[str]) -> Tensor:
        """Return the (n + 1, D) embeddings of objects, the last for no object."""
        new = [name for name in dict.fromkeys(names) if name not in self._objects]
        rows = dict(self._objects)
        if new and self.context is not None:
            rows.update(zip(new, self._new_objects(object_phrases(new)[:-1])))
        return torch.stack([rows.get(name, self._unknown_object) for name in names]
                           + [self._nothing])

    def verb_is_approximate(self, phrase: str) -> bool:
        """Return whether the phrase had no learned context in training."""
        shared = self.context is not None and self.context.ndim == 2
        return phrase not in self._verbs and not shared

    def object_is_approximate(self, name: str) -> bool:
        """Return whether the mean of the known objects stands for it."""
        return name not in self._objects and self.context is None


class RowText:
    """
    The rows of a trained classifier by phrase; any other phrase gets the row it would begin with.

    rows: (n, width) of the phrases.
    """

    def __init__(self, rows: Tensor, phrases: Sequence[str], clip: Any) -> None:
        self._rows = dict(zip(phrases, normalize(rows, dim=-1)))
        self._new = _Cache(lambda new: normalize(fold_projection(
            encode_text(clip, new), clip.visual.proj), dim=-1))

    def verbs(self, phrases: Sequence[str]) -> Tensor:
        """Return the (n, width) unit-norm rows of phrases."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._rows]
        rows = {**self._rows, **dict(zip(new, self._new(new) if new else ()))}
        return torch.stack([rows[phrase] for phrase in phrases])

    def objects(self, names: Sequence[str]) -> Tensor:
        """Raise `VocabularyError`: the head takes no objects, so there is no (n, D)."""
        raise VocabularyError('a DEFR head is not told what its boxes hold.')

    def verb_is_approximate(self, phrase: str) -> bool:
        """Return whether the phrase has no trained row."""
        return phrase not in self._rows

    def object_is_approximate(self, name: str) -> bool:
        """Return False: the head takes no objects."""
        return False


def lain_tower(clip: Any) -> TextTower:
    """Return CLIP's text tower as LAIN reads it, without a causal mask; weights are shared."""
    width, embed_dim = clip.text_projection.shape
    tower = TextTower(width, len(clip.transformer.resblocks), embed_dim, clip.context_length)
    state = clip.state_dict()
    tower.load_state_dict({key: state[key] for key in tower.state_dict()}, assign=True)
    return tower.requires_grad_(False).eval()


@torch.no_grad()
def _in_parts(encode: Callable[[Sequence[str]], Tensor], phrases: Sequence[str],
              size: int = 32) -> Tensor:
    try:
        return torch.cat([encode(phrases[i:i + size]) for i in range(0, len(phrases), size)])
    except ValueError as error:
        raise VocabularyError(str(error)) from error


def text_encoder(bundle: Bundle, head: str, clip: Any,
                 keep: Optional[KeepText] = None) -> TextEncoder:
    """
    Return the head's text encoder on CLIP's device; raises `BundleError`.

    keep: CLIP's own embeddings are also kept on disk, by the hash of its weights. LAIN's few new
    phrases are not. An embedding from disk may differ in the last bits from one encoded together
    with other phrases.
    """
    if bundle.spec.heads[head].text == 'clip':
        device = next(clip.parameters()).device
        return ClipText(clip, None if keep is None else TextCache(
            keep.directory, (bundle.spec.files['clip.safetensors'], str(bundle.spec.clip.config)),
            device, keep.report))
    name = f'heads/{head}.text.safetensors'
    device = next(clip.parameters()).device
    tensors = {key: value.to(device) for key, value in bundle.tensors(name).items()}
    vocabulary = bundle.spec.core_vocabulary()
    phrases, _, _ = lay_out_rows(vocabulary, bundle.spec.vocabulary.background)
    if bundle.spec.heads[head].text == 'rows':
        expected = (len(phrases), clip.visual.proj.shape[0])
        rows = tensors.get('rows', torch.zeros(0))
        if rows.shape != expected:
            raise BundleError(f'{bundle.path / name} holds rows of shape {tuple(rows.shape)}, '
                              f'expected {expected}: one per phrase of the vocabulary.')
        return RowText(rows, phrases, clip)
    counts = [len(tensors.get(key, ())) for key in ('verbs', 'objects')]
    if counts != [len(phrases), len(vocabulary.objects) + 1]:
        raise BundleError(
            f'{bundle.path / name} holds {counts[0]} verbs and {counts[1]} objects, expected '
            f'{len(phrases)} and {len(vocabulary.objects) + 1} for the vocabulary in the bundle.')
    return LainText(tensors, phrases, vocabulary.objects, clip)
