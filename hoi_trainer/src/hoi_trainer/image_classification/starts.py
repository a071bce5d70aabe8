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

"""What the rows of the classifier begin as: text of the classes, or a control."""

from pathlib import Path
from typing import List, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.networks.clip import encode_text
from hoi_perception.networks.cosine_classifier import fold_projection, GAMMA
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.prompts import fill, NO_INTERACTION
from hoi_trainer.image_classification.backbones import Opened
import torch
from torch import Tensor
from torch.nn.functional import normalize

STARTS = ('clip', 'bert', 'random', 'shuffled')


def class_phrases(names: HoiNames, bundle: Bundle) -> List[str]:
    """Return one phrase per HOI class of a data set, as the bundle words its prompts."""
    words = bundle.spec.vocabulary
    templates = {verb: words.background if names.verbs[verb] == NO_INTERACTION else words.template
                 for verb in range(len(names.verbs))}
    return [fill(templates[verb], names.phrases[verb], names.objects[thing])
            for verb, thing in names.combinations.tolist()]


@torch.no_grad()
def bert_rows(directory: str, phrases: Sequence[str]) -> Tensor:
    """
    Return (n, D) unit-norm first-token states of a BERT-type model in a local directory.

    Raises `HoiError` where there is none; nothing is downloaded.
    """
    from transformers import AutoModel, AutoTokenizer
    if not Path(directory).is_dir():
        raise HoiError(f'start bert needs a local directory of a transformers model, got '
                       f'{directory!r}.')
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = AutoModel.from_pretrained(directory, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise HoiError(f'{directory} holds no text model that transformers can load: '
                       f'{" ".join(str(error).split())[:300]}') from error
    tokens = tokenizer(list(phrases), padding=True, truncation=True, return_tensors='pt')
    return normalize(model.eval()(**tokens).last_hidden_state[:, 0], dim=-1)


def clip_rows(opened: Opened, bundle: Bundle, phrases: Sequence[str]) -> Tensor:
    """
    Return (n, width) rows from the backbone's own CLIP, else the bundle's, folded if need be.

    A backbone that is no CLIP takes them through the bundle's projection, as DEFR does.
    """
    if opened.clip is not None:
        clip, projection = opened.clip, opened.backbone.projection
    else:
        clip, trunk = load_clip(bundle, torch.device('cpu'))
        projection = trunk.proj
    text = encode_text(clip.eval(), phrases)
    return text if projection is None else fold_projection(text, projection.detach())


def own_gamma(opened: Opened) -> float:
    """
    Return the factor on the cosine that suits a backbone: exp(logit_scale) of its CLIP.

    DEFR's 100.48 is that of OpenAI's CLIP, whose cosines lie close together. A CLIP with another
    temperature spreads them otherwise, and 100 would make its logits too steep to learn from. A
    backbone without CLIP gets DEFR's value.
    """
    return GAMMA if opened.clip is None else float(opened.clip.logit_scale.detach().exp())


def start_rows(start: str, opened: Opened, bundle: Bundle, phrases: Sequence[str],
               seed: int, directory: str = '') -> Tensor:
    """
    Return the (n, width) rows to begin with.

    start: `clip`; `bert`, of the model in `directory`; `random`, normal of standard deviation
    width ** -0.5; `shuffled`, CLIP's rows dealt to other classes, a control. seed: of the last
    two. Raises `HoiError`.
    """
    if start not in STARTS:
        raise HoiError(f'start {start!r} of the classifier is not known; choose '
                       f'{", ".join(STARTS)}.')
    width, dice = opened.backbone.width, torch.Generator().manual_seed(seed)
    if start == 'random':
        return torch.randn(len(phrases), width, generator=dice) * width ** -0.5
    rows = bert_rows(directory, phrases) if start == 'bert' else clip_rows(opened, bundle, phrases)
    if rows.shape[1] != width:
        raise HoiError(f'start {start} gives rows of length {rows.shape[1]}, features have length '
                       f'{width}: choose a text model and a backbone of one width, or start '
                       'random.')
    if start == 'shuffled':
        return rows[torch.randperm(len(rows), generator=dice)]
    return rows
