#!/usr/bin/env bash
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

# Train the shipped detector: half size first, then full size. Call from hoi_trainer/.
set -euo pipefail
data=${1:?directory with train/ and val/} runs=${2:?directory for weights}
common=(--config configs/synthetic/detector.yaml --data.init_args.train "$data/train"
        --data.init_args.val "$data/val" --data.init_args.batch_size 16
        --trainer.precision bf16-mixed --trainer.check_val_every_n_epoch 1000)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
hoi-trainer fit "${common[@]}" --model.init_args.network.image_size '[128,160]' \
    --data.init_args.image_size '[128,160]' --budget.minutes 34 \
    --write.path "$runs/detector_small.safetensors" --checkpoint.dirpath "$runs/detector_small"
hoi-trainer fit "${common[@]}" --model.init_args.start_from "$runs/detector_small.safetensors" \
    --model.init_args.learning_rate 7e-4 --budget.minutes 33 \
    --write.path "$runs/detector.safetensors" --checkpoint.dirpath "$runs/detector"
