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
LAIN's text side: learned context in front of a verb's words, read without a causal mask.

Source: the released code of arXiv 2505.19503 (a CoOp prompt learner, arXiv:2109.01134). CLIP's
causal mask is built there but never used, so every position sees all others, the padding behind
the end token included. Features of stock CLIP do not match, and prompts cannot be cut at their
end token.

Keys of the released checkpoints: `clip_head.text_encoder.X` is `TextTower` X (OpenAI's names),
`clip_head.prompt_learner.X` is `VerbPrompts` X. The end positions are not stored there; they are
`prompt_tokens(phrases, context).argmax(-1)`.
"""

from functools import lru_cache
from typing import List, Sequence

import open_clip
from open_clip.transformer import LayerNorm, QuickGELU, Transformer
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

POSITIONS = 77
CHANNELS_PER_HEAD = 64


class TextTower(nn.Module):
    """CLIP's text transformer, every position attending to every position."""

    def __init__(self, width: int, layers: int, embed_dim: int,
                 positions: int = POSITIONS) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions, width) * 0.01)
        self.transformer = Transformer(width, layers, max(1, width // CHANNELS_PER_HEAD),
                                       act_layer=QuickGELU)
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, embed_dim) * width ** -0.5)

    def forward(self, embeddings: Tensor, end: Tensor) -> Tensor:
        """
        Return the (K, embed_dim) features at the end tokens, not normalised.

        embeddings: (K, positions, width) of all tokens, padding included. end: (K,) int64.
        """
        x = self.transformer(embeddings + self.positional_embedding)
        x = x[torch.arange(len(x), device=x.device), end]
        return self.ln_final(x) @ self.text_projection


class VerbPrompts(nn.Module):
    """
    K prompts [start, learned context, words and padding].

    ctx: (K, C, width) per verb or (C, width) for all, trained. token_prefix (K, 1, width),
    token_suffix (K, positions - 1 - C, width): embeddings of the other tokens, fixed. end: (K,)
    position of each end token.
    """

    def __init__(self, context: Tensor, prefix: Tensor, suffix: Tensor, end: Tensor) -> None:
        super().__init__()
        self.ctx = nn.Parameter(context.clone())
        self.register_buffer('token_prefix', prefix)
        self.register_buffer('token_suffix', suffix)
        self.register_buffer('end', end.long(), persistent=False)

    @property
    def mean_context(self) -> Tensor:
        """The (C, width) context for verbs that were not trained: the mean over the verbs."""
        return self.ctx if self.ctx.dim() == 2 else self.ctx.mean(0)

    def forward(self) -> Tensor:
        """Return the (K, positions, width) token embeddings."""
        return join_context(self.token_prefix, self.ctx, self.token_suffix)


def join_context(prefix: Tensor, context: Tensor, suffix: Tensor) -> Tensor:
    """Return (K, positions, width) embeddings of prompts; context per prompt or shared."""
    return torch.cat([prefix, context.expand(len(prefix), -1, -1), suffix], 1)


def verb_features(tower: TextTower, prompts: VerbPrompts) -> Tensor:
    """Return the (K, embed_dim) unit-norm features of the trained verbs."""
    return normalize(tower(prompts(), prompts.end), dim=-1)


def new_verb_features(tower: TextTower, prompts: VerbPrompts, token_embedding: Tensor,
                      phrases: Sequence[str]) -> Tensor:
    """
    Return the (n, embed_dim) unit-norm features of other phrases, with the mean context.

    An approximation: no context was trained for them. token_embedding: (vocabulary, width).
    phrases: without the final full stop ('a photo of a person is juggling the object').
    """
    context = prompts.mean_context
    count = len(context)
    tokens = prompt_tokens(phrases, count, len(tower.positional_embedding))
    tokens = tokens.to(token_embedding.device)
    words = token_embedding[tokens]
    embeddings = join_context(words[:, :1], context, words[:, 1 + count:])
    return normalize(tower(embeddings, tokens.argmax(-1)), dim=-1)


def plain_features(tower: TextTower, token_embedding: Tensor, phrases: Sequence[str]) -> Tensor:
    """
    Return the (n, embed_dim) features of phrases without learned context, not normalised.

    These are LAIN's object embeddings, for phrases such as 'a photo of a cup' (no full stop).
    """
    tokens = tokenize(phrases, len(tower.positional_embedding)).to(token_embedding.device)
    return tower(token_embedding[tokens], tokens.argmax(-1))


def prompt_tokens(phrases: Sequence[str], context: int, positions: int = POSITIONS) -> Tensor:
    """Return (n, positions) token ids with `context` placeholders and a final full stop."""
    placeholder = ' '.join(['X'] * context)
    return tokenize([f'{placeholder} {phrase}.' for phrase in phrases], positions)


def tokenize(texts: Sequence[str], positions: int = POSITIONS) -> Tensor:
    """
    Return (n, positions) int64 token ids; the end token has the largest id of its row.

    Raises ValueError where a text does not fit.
    """
    tokenizer = _tokenizer()
    rows: List[List[int]] = [[tokenizer.sot_token_id, *tokenizer.encode(text),
                              tokenizer.eot_token_id] for text in texts]
    for text, row in zip(texts, rows):
        if len(row) > positions:
            raise ValueError(f'the prompt {text!r} has {len(row)} tokens with its context, more '
                             f'than {positions}; use a shorter phrase.')
    return torch.tensor([row + [0] * (positions - len(row)) for row in rows],
                        dtype=torch.long).view(-1, positions)


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()
