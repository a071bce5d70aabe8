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

# Train the shipped CLIP: 96 pixels first, then 192. Call from hoi_trainer/. One process per core
# (PROCESSES) with one thread each is faster than one process with several threads.
set -euo pipefail
data=${1:?directory with train/ and val/} runs=${2:?directory for weights}
common=(--config configs/synthetic/clip.yaml --data.init_args.train "$data/train"
        --data.init_args.val "$data/val" --data.init_args.batch_size 64
        --data.init_args.regions 0 --trainer.precision bf16-mixed
        --trainer.accelerator cpu --trainer.strategy ddp --trainer.devices "${PROCESSES:-2}"
        --trainer.check_val_every_n_epoch 1000)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
hoi-trainer fit "${common[@]}" --data.init_args.image_size 96 --model.init_args.image_size 96 \
    --model.init_args.patch_dropout 0.2 --model.init_args.learning_rate 1e-3 \
    --data.init_args.balance 0.9 --data.init_args.crop_share 0.8 --budget.minutes 15 \
    --write.path "$runs/clip_small.safetensors" --checkpoint.dirpath "$runs/clip_small"
hoi-trainer fit "${common[@]}" --data.init_args.image_size 192 \
    --model.init_args.patch_dropout 0.5 --model.init_args.learning_rate 6e-4 \
    --data.init_args.balance 0.8 --model.init_args.start_from "$runs/clip_small.safetensors" \
    --budget.minutes 80 \
    --write.path "$runs/clip.safetensors" --checkpoint.dirpath "$runs/clip"
