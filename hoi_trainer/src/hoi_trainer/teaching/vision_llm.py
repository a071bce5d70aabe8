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

"""An image-text-to-text model of `transformers` as a describer: hub id or local directory."""

from typing import Any, List, Optional, Sequence

from hoi_perception.core.errors import HoiError
import numpy as np
from PIL import Image
import torch

NEW_TOKENS = 96


class VisionLlm:
    """
    A chat model that sees images (Qwen-VL, LLaVA, SmolVLM, Idefics, InternVL, ...).

    It answers greedily, so that the same image always gets the same words. device: 'cpu', 'cuda',
    ... Raises `HoiError` where the model cannot be loaded or has no chat template.
    """

    def __init__(self, model: str, device: str = 'cpu', new_tokens: int = NEW_TOKENS) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor
        try:
            self._processor: Any = AutoProcessor.from_pretrained(model)
            self._model = AutoModelForImageTextToText.from_pretrained(model, dtype='auto')
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise HoiError(
                f'teacher {model!r} is no image-text-to-text model that transformers can load: '
                f'{" ".join(str(error).split()):.300}') from error
        if getattr(self._processor, 'chat_template', None) is None:
            raise HoiError(f'teacher {model!r} has no chat template, so it cannot be asked: '
                           'choose a model trained on instructions, such as '
                           'Qwen/Qwen2.5-VL-3B-Instruct.')
        self.name, self._new_tokens = model, new_tokens
        try:
            self._model = self._model.eval().requires_grad_(False).to(device)
        except (RuntimeError, AssertionError) as error:
            raise HoiError(f'device {device!r} cannot hold teacher {model!r}: '
                           f'{" ".join(str(error).split()):.200}') from error
        tokenizer = self._processor.tokenizer
        tokenizer.padding_side = 'left'  # answers follow the last token of every row
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def about_images(self, images: Sequence[np.ndarray], prompt: str) -> List[str]:
        """Return an answer per (H, W, 3) uint8 RGB image."""
        chat = self._chat([{'type': 'image'}, {'type': 'text', 'text': prompt}])
        return self._answers([chat] * len(images),
                             [[Image.fromarray(image)] for image in images])

    def about_texts(self, texts: Sequence[str], prompt: str) -> List[str]:
        """Return an answer per text, given after the prompt."""
        return self._answers([self._chat([{'type': 'text', 'text': f'{prompt}\n{text}'}])
                              for text in texts], None)

    def _chat(self, content: List[dict]) -> str:
        return self._processor.apply_chat_template(
            [{'role': 'user', 'content': content}], add_generation_prompt=True)

    @torch.inference_mode()
    def _answers(self, texts: List[str], images: Optional[List[list]]) -> List[str]:
        inputs = self._processor(text=texts, images=images, padding=True, return_tensors='pt')
        inputs = inputs.to(self._model.device, self._model.dtype)
        given = inputs['input_ids'].shape[1]
        tokens = self._model.generate(
            **inputs, max_new_tokens=self._new_tokens, do_sample=False,
            pad_token_id=self._processor.tokenizer.pad_token_id)
        return [text.strip() for text in self._processor.batch_decode(
            tokens[:, given:], skip_special_tokens=True)]
