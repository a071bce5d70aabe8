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

# Everything that wants a GPU, in one call of under ten minutes:
#
#     benchmarks/gpu_report.sh [OUT]        results in OUT (benchmarks/results)
#
# PYTHON: an interpreter with torch (CUDA) and what hoi_perception needs; torch_tensorrt where
# TensorRT shall take part. Not run yet: no GPU was at hand when it was written.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-benchmarks/results}
PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$OUT"
began=$SECONDS

# step SECONDS NAME COMMAND...: never longer than that, and never past the end of the whole.
step() {
  local most=$1 name=$2 left=$((570 - SECONDS + began))
  shift 2
  [ "$left" -lt 20 ] && { echo "== $name: left out, the time is over"; return; }
  echo "== $name (at $((SECONDS - began)) s)"
  timeout "$((most < left ? most : left))" "$@" || echo "== $name ended with exit code $?"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
step 60 'tests that use the GPU' "$PYTHON" -m pytest -q -p no:cacheprovider \
  test/runtime/test_cuda_graphs.py test/runtime/test_stage_engines.py
step 190 'RT-DETRv2-R18 with LAIN' "$PYTHON" -m benchmarks.engines --device cuda --rounds 50 \
  --configuration rtdetrv2-r18+ViT-B-16+lain --build-seconds 110 --out "$OUT/engines_gpu_rtdetrv2.json"
step 190 'RF-DETR nano with LAIN' "$PYTHON" -m benchmarks.engines --device cuda --rounds 50 \
  --configuration rfdetr-nano+ViT-B-16+lain --build-seconds 110 --out "$OUT/engines_gpu_rfdetr.json"
step 60 'shipped bundle' "$PYTHON" -m benchmarks.engines --device cuda --rounds 50 \
  --build-seconds 30 --out "$OUT/engines_gpu_shipped.json"
echo "== done after $((SECONDS - began)) s"
