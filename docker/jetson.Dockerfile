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

# Jetson image over one that has ROS 2 and NVIDIA's PyTorch for the board. Not built yet.
#   docker build -f docker/jetson.Dockerfile --build-arg BASE=<image> -t hoi_perception .
# BASE must hold ROS 2 (Humble on JetPack 6, Jazzy on JetPack 7), CUDA and a torch that sees it.
ARG BASE
FROM ${BASE}
SHELL ["/bin/bash", "-c"]

WORKDIR /ws
COPY . src/hoi_perception

# NVIDIA's torch, torchvision and NumPy stay as they are.
RUN python3 -c 'import numpy, torch, torchvision as v; [print(f"{m.__name__}=={m.__version__}") for m in (numpy, torch, v)]' \
        > /keep.txt \
    && PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir -c /keep.txt \
        transformers open_clip_torch safetensors pycocotools pydantic pillow rich rosbags typer \
        filelock jinja2 scipy pyyaml

RUN source /opt/ros/${ROS_DISTRO}/setup.bash \
    && colcon build --base-paths src/hoi_perception src/hoi_perception/hoi_msgs

RUN printf '#!/bin/bash\nsource /ws/install/setup.bash\nexec "$@"\n' > /entry.sh \
    && chmod +x /entry.sh
ENTRYPOINT ["/entry.sh"]
CMD ["ros2", "launch", "hoi_perception", "hoi.launch.py"]
