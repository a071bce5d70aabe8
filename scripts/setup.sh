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

# Make .venv with everything tests and the demo need; called by `make setup`.
set -euo pipefail
# Another activated environment would lend its python, and CMake its ament packages.
if [ -n "${VIRTUAL_ENV:-}" ]; then
    PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$VIRTUAL_ENV/bin" | paste -sd :)
    export PATH
    unset VIRTUAL_ENV
fi
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

fail() { echo "setup: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing; $2"; }

need "$PYTHON" 'install Python 3.10 or newer (Debian/Ubuntu: apt install python3 python3-venv).'
need cmake 'it builds the ROS messages (Debian/Ubuntu: apt install cmake).'
need "${CXX:-c++}" 'a C++ compiler builds the ROS messages (Debian/Ubuntu: apt install g++).'
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || fail "$("$PYTHON" --version) is too old; set PYTHON to an interpreter of 3.10 or newer."
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null \
    || fail 'the venv module is missing (Debian/Ubuntu: apt install python3-venv).'

tag=py$("$PYTHON" -c 'import sys; print("%d%d" % sys.version_info[:2])')
constraints=constraints/$tag.txt
[ -f "$constraints" ] || { echo "setup: no $constraints; the newest fitting versions are taken."; constraints=/dev/null; }

# With a ROS 2 install sourced, its rclpy and NumPy are used; without, real ROS 2 comes as wheels.
if "$PYTHON" -c 'import rclpy' 2>/dev/null; then
    echo "setup: using the ROS 2 ${ROS_DISTRO:-install} that is sourced in this shell."
    venv_options=--system-site-packages extras=dev,docs
else
    venv_options='' extras=ros-wheels,opencv,dev,docs
    [ "$(uname -m)" = x86_64 ] || fail "the ROS 2 wheels exist for x86-64 only and this is \
$(uname -m); install ROS 2, source it and call make again."
fi

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv $venv_options "$VENV"
say() { echo "setup: $*"; }
say "installing Python packages into $VENV (several GB with PyTorch; some minutes)"
"$VENV/bin/python" -m pip install --quiet --upgrade 'pip>=23' 'setuptools>=59' wheel -c "$constraints"
"$VENV/bin/python" -m pip install --quiet -c "$constraints" -e ".[$extras]" -e ./hoi_trainer
# For `hoi engine check` torch_tensorrt alone is enough (4 MB); what it asks for otherwise is the
# GPU's (GB), so pip is told to take it as it is. Without a wheel for this machine the check's
# tests are skipped.
"$VENV/bin/python" -m pip install --quiet --no-deps -c "$constraints" \
    'torch_tensorrt==2.14.*' dllist psutil \
    || say 'no torch_tensorrt for this machine; hoi engine check will say so.'

say 'building the message package hoi_msgs'
venv_path=$(cd "$VENV" && pwd)
build=build/hoi_msgs_$tag
rm -rf "$build"
mkdir -p build
if ! { AMENT_PREFIX_PATH="$venv_path${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}" \
       cmake -S hoi_msgs -B "$build" -DCMAKE_PREFIX_PATH="$venv_path" \
             -DCMAKE_INSTALL_PREFIX="$venv_path" -DBUILD_TESTING=OFF \
             -DPython3_EXECUTABLE="$venv_path/bin/python" \
       && cmake --build "$build" --parallel \
       && cmake --install "$build"; } > build/hoi_msgs.log 2>&1; then
    tail -n 20 build/hoi_msgs.log >&2
    fail 'hoi_msgs did not build; the whole log is build/hoi_msgs.log.'
fi
say 'done'
