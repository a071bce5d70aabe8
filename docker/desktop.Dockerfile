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

# Desktop image: apt ROS 2 and pip in the interpreter of ROS, with its NumPy. Not built yet.
#   docker build -f docker/desktop.Dockerfile -t hoi_perception .
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base
ARG ROS_DISTRO
SHELL ["/bin/bash", "-c"]

RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-pip python3-opencv python3-colcon-common-extensions \
        ros-${ROS_DISTRO}-cv-bridge ros-${ROS_DISTRO}-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY . src/hoi_perception

RUN apt-get update && source /opt/ros/${ROS_DISTRO}/setup.bash \
    && rosdep update --rosdistro ${ROS_DISTRO} \
    && rosdep install -y -i --from-paths src/hoi_perception src/hoi_perception/hoi_msgs \
    && rm -rf /var/lib/apt/lists/*

# rclpy and cv_bridge were compiled for the distribution's NumPy: it stays.
RUN python3 -c 'import numpy; print("numpy==" + numpy.__version__)' > /keep.txt \
    && PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir -c /keep.txt \
        torch torchvision transformers open_clip_torch safetensors pycocotools pydantic pillow \
        rich rosbags typer filelock jinja2

RUN source /opt/ros/${ROS_DISTRO}/setup.bash \
    && colcon build --base-paths src/hoi_perception src/hoi_perception/hoi_msgs

RUN echo 'source /ws/install/setup.bash' >> /etc/bash.bashrc \
    && printf '#!/bin/bash\nsource /ws/install/setup.bash\nexec "$@"\n' > /entry.sh \
    && chmod +x /entry.sh
ENTRYPOINT ["/entry.sh"]
CMD ["ros2", "launch", "hoi_perception", "hoi.launch.py"]
