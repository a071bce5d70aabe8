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

"""Annotated image sets in one form: HICO-DET, V-COCO and the synthetic world."""

from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_trainer.datasets.hico_det import hico_names, load_hico, rare_classes
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.datasets.synthetic import load_synthetic, synthetic_names
from hoi_trainer.datasets.vcoco import load_vcoco, vcoco_names
from hoi_trainer.datasets.zero_shot import load_split, seen_only, SPLIT_NAMES, ZeroShotSplit

__all__ = [
    'HoiDataset', 'HoiNames', 'HoiRecord', 'SPLIT_NAMES', 'ZeroShotSplit', 'hico_names',
    'load_hico', 'load_split', 'load_synthetic', 'load_vcoco', 'rare_classes', 'seen_only',
    'synthetic_names', 'vcoco_names']
