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

"""Small random models saved exactly as the libraries save trained ones."""

import json
from pathlib import Path

from bundles import CLIP_CONFIG
from hoi_perception.networks.clip import build_clip
from safetensors.torch import save_file
import torch
import transformers

LABELS = {0: 'person', 1: 'bicycle', 2: 'N/A', 3: 'cup'}
_WIDTHS = {'hidden_sizes': [8, 16, 16, 24], 'depths': [1, 1, 1, 1], 'embedding_size': 8,
           'layer_type': 'basic'}


def _detr() -> transformers.DetrConfig:
    backbone = transformers.ResNetConfig(**_WIDTHS, out_features=['stage4'])
    return transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False,
        backbone_config=backbone, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, num_queries=12)


_HYBRID = dict(  # noqa: C408
    encoder_hidden_dim=16, encoder_in_channels=[16, 16, 24], encoder_layers=1, encoder_ffn_dim=16,
    encoder_attention_heads=2, d_model=16, num_queries=12, decoder_in_channels=[16] * 3,
    decoder_ffn_dim=16, decoder_layers=2, decoder_attention_heads=2, num_denoising=0,
    hidden_expansion=1.0)
_STAGES = ['stage2', 'stage3', 'stage4']


def _rt_detr_v2() -> transformers.RTDetrV2Config:
    backbone = transformers.RTDetrResNetConfig(**_WIDTHS, out_features=_STAGES)
    return transformers.RTDetrV2Config(backbone_config=backbone, **_HYBRID)


def _d_fine() -> transformers.DFineConfig:
    backbone = transformers.HGNetV2Config(
        stem_channels=[3, 8, 8], embedding_size=8, hidden_sizes=[8, 16, 16, 24],
        stage_in_channels=[8, 8, 16, 16], stage_mid_channels=[8] * 4,
        stage_out_channels=[8, 16, 16, 24], stage_num_blocks=[1] * 4, stage_numb_of_layers=[1] * 4,
        out_features=_STAGES)
    return transformers.DFineConfig(backbone_config=backbone, **_HYBRID)


def _rf_detr() -> transformers.RfDetrConfig:
    backbone = transformers.RfDetrDinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16,
        num_windows=1, out_features=['stage1', 'stage2'])
    return transformers.RfDetrConfig(
        backbone_config=backbone, d_model=16, num_queries=12, decoder_layers=2, decoder_ffn_dim=16,
        decoder_self_attention_heads=2, decoder_cross_attention_heads=2, decoder_n_points=2,
        group_detr=1, intermediate_size=16)


def _swin(**changes) -> transformers.SwinConfig:
    return transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
        window_size=2, **changes)


def _mask_former() -> transformers.MaskFormerConfig:
    decoder = transformers.DetrConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=12,
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False,
        backbone_config=transformers.ResNetConfig(**_WIDTHS, out_features=['stage4']))
    return transformers.MaskFormerConfig(
        backbone_config=_swin(out_features=['stage1', 'stage2', 'stage3', 'stage4']),
        decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32)


def _mask2former() -> transformers.Mask2FormerConfig:
    return transformers.Mask2FormerConfig(
        backbone_config=_swin(out_features=['stage1', 'stage2', 'stage3', 'stage4']),
        feature_size=32, mask_feature_size=32, hidden_dim=16, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16,
        num_queries=12)


CONFIGS = {'DetrForObjectDetection': _detr, 'RTDetrV2ForObjectDetection': _rt_detr_v2,
           'DFineForObjectDetection': _d_fine, 'RfDetrForObjectDetection': _rf_detr,
           'RfDetrForInstanceSegmentation': _rf_detr}
MASK_TRANSFORMERS = {'MaskFormerForInstanceSegmentation': _mask_former,
                     'Mask2FormerForUniversalSegmentation': _mask2former}


def random_detector(architecture: str) -> torch.nn.Module:
    """Return a small detector of that transformers class with random weights."""
    config = {**CONFIGS, **MASK_TRANSFORMERS}[architecture]()
    config.id2label, config.label2id = LABELS, {v: k for k, v in LABELS.items()}
    torch.manual_seed(3)
    return getattr(transformers, architecture)(config).eval()


def save_detector(architecture: str, directory: Path) -> Path:
    """Save it with `save_pretrained`, with an image processor's settings beside it."""
    random_detector(architecture).save_pretrained(directory)
    (directory / 'preprocessor_config.json').write_text(json.dumps(
        {'do_normalize': True, 'image_mean': [0.5, 0.5, 0.5], 'image_std': [0.2, 0.2, 0.2],
         'size': {'height': 64, 'width': 64}}))
    return directory


def save_clip(directory: Path, suffix: str = '.safetensors') -> 'tuple[Path, Path]':
    """Save a configuration and weights as open_clip does; return both paths."""
    directory.mkdir(parents=True, exist_ok=True)
    config, weights = directory / 'tiny.json', directory / f'tiny{suffix}'
    config.write_text(json.dumps(CLIP_CONFIG))
    torch.manual_seed(5)
    state = build_clip(CLIP_CONFIG).state_dict()
    if suffix == '.safetensors':
        save_file(state, weights)
    else:
        torch.save({'state_dict': state}, weights)
    return config, weights
