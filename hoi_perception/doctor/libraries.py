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

"""NumPy, PyTorch and what compiles its networks."""

from importlib import import_module, metadata
from importlib.util import find_spec
import os
from pathlib import Path
import platform
import re
from typing import Iterator, Optional, Tuple

from hoi_perception.doctor.finding import Finding, one_line, PROBLEM, WARNING

# The NumPy that apt's compiled packages (cv_bridge and others) of a distribution were built for.
NUMPY_OF = {'humble': 1, 'iron': 1, 'jazzy': 1}
NVIDIA = ('/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/nvhost-gpu',
          '/etc/nv_tegra_release', '/dev/dxg')


def has_nvidia() -> bool:
    """Return whether the system shows an NVIDIA driver or a Jetson, whatever PyTorch says."""
    return any(Path(path).exists() for path in NVIDIA)


def ros_of_an_install() -> str:
    """Return the distribution whose install is sourced; '' = none, or ROS 2 is from wheels."""
    try:
        metadata.version('ros-rclpy')
    except metadata.PackageNotFoundError:
        return os.environ.get('ROS_DISTRO', '')
    return ''


def requirements() -> Iterator[Finding]:
    """Yield whether everything that the installed hoi_perception asks for is there."""
    try:
        wanted = metadata.requires('hoi_perception') or []
    except metadata.PackageNotFoundError:
        yield Finding('requirements', 'hoi_perception itself is not installed', WARNING,
                      'Call `pip install -e .` in the checkout, or `make setup`.')
        return
    # Names alone: comparing versions needs a library that may be missing too.
    names = [re.split(r'[^\w.-]', line)[0] for line in wanted if 'extra ==' not in line]
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        yield Finding('requirements', f'{", ".join(missing)} not installed', PROBLEM,
                      f'Call `pip install {" ".join(missing)}`.')
    else:
        yield Finding('requirements', f'all {len(names)} installed')


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def numpy() -> Iterator[Finding]:
    """Yield NumPy's version and whether it fits the ROS install."""
    try:
        version = import_module('numpy').__version__
    except ImportError as error:
        yield Finding('NumPy', one_line(error), PROBLEM, 'Call `pip install numpy`.')
        return
    yield numpy_fits(version, ros_of_an_install())


def numpy_fits(version: str, distro: str) -> Finding:
    """Return whether a NumPy works with the compiled packages of a ROS install ('' = none)."""
    release = _release(version)
    if release < (1, 21):
        return Finding('NumPy', version, PROBLEM, "Call `pip install 'numpy>=1.21'`.")
    built_for = NUMPY_OF.get(distro, release[0])
    if built_for != release[0]:
        return Finding(
            'NumPy', f'{version}, ROS 2 {distro} was built for {built_for}.x', WARNING,
            f'cv_bridge and other compiled packages of {distro} crash with it: '
            f"`pip install 'numpy<{built_for + 1}'` into this interpreter. This node itself does "
            'without them.')
    return Finding('NumPy', f'{version}, fits ROS 2 {distro}' if distro else version)


def _release(version: str) -> Tuple[int, int]:
    major, minor = (version.split('.') + ['0'])[:2]
    return int(major), int(minor)


def torch() -> Iterator[Finding]:
    """Yield PyTorch, its CUDA and the GPU, on which one product is computed."""
    try:
        module = import_module('torch')
    except (ImportError, OSError) as error:
        yield Finding('PyTorch', one_line(error), PROBLEM,
                      'Call `pip install torch torchvision` (on Jetson: the wheels of JetPack).')
        return
    old = _release(module.__version__) < (2, 4)
    yield Finding('PyTorch', module.__version__, PROBLEM if old else 'ok',
                  "Call `pip install 'torch>=2.4'`." if old else '')
    cuda = module.version.cuda
    if cuda and module.cuda.is_available():
        yield Finding('CUDA', cuda)
        yield from (_gpu(module, index) for index in range(module.cuda.device_count()))
    else:
        yield without_gpu(cuda, has_nvidia())


def without_gpu(cuda: Optional[str], nvidia: bool) -> Finding:
    """Say why there is no GPU. cuda: of the PyTorch build; nvidia: the system shows a driver."""
    if not nvidia:
        return Finding('GPU', 'no NVIDIA GPU', WARNING,
                       'Networks run on the CPU. If there is a GPU, install its driver '
                       '(`nvidia-smi` must list it), or give it to the container (`docker run '
                       '--gpus all`).')
    if cuda is None:
        return Finding('GPU', 'an NVIDIA driver, but PyTorch is built without CUDA', WARNING,
                       'Call `pip install --force-reinstall torch torchvision --index-url '
                       'https://download.pytorch.org/whl/cu128` (on Jetson: the wheels of '
                       'JetPack).')
    return Finding('GPU', f'PyTorch with CUDA {cuda} sees none', WARNING,
                   'The driver is too old for it or not loaded: look at `nvidia-smi`, update the '
                   'driver, or install a PyTorch for an older CUDA.')


def _gpu(module, index: int) -> Finding:
    what = f'GPU {index}'
    properties = module.cuda.get_device_properties(index)
    found = (f'{properties.name}, compute capability {properties.major}.{properties.minor}, '
             f'{properties.total_memory / 2**30:.0f} GiB')
    try:
        ones = module.ones(8, 8, device=f'cuda:{index}')
        computed = float((ones @ ones).sum().item())
    except RuntimeError as error:
        return Finding(what, f'{found}; cannot compute: {one_line(error)}', PROBLEM,
                       'This PyTorch has no code for it or its memory is full: look at '
                       '`nvidia-smi`, install another PyTorch, or start the node with '
                       '`-p device:=cpu`.')
    if computed != 512:
        return Finding(what, f'{found}; computes wrongly', PROBLEM,
                       'Update the driver, or start the node with `-p device:=cpu`.')
    return Finding(what, found)


def tensorrt() -> Iterator[Finding]:
    """Yield TensorRT and Torch-TensorRT."""
    missing = [name for name in ('torch_tensorrt', 'tensorrt') if find_spec(name) is None]
    if missing:
        found = f'{" and ".join(missing)} not installed'
        if has_nvidia():
            yield Finding('TensorRT', found, WARNING,
                          'The fastest engines need it: `pip install torch-tensorrt` (on Jetson: '
                          'the wheels of JetPack).')
        else:
            yield Finding('TensorRT', f'{found}; it is for NVIDIA GPUs')
        return
    yield _imported('TensorRT', 'tensorrt')
    yield Finding('Torch-TensorRT', metadata.version('torch_tensorrt'))


def openvino() -> Iterator[Finding]:
    """Yield OpenVINO, which is for CPUs."""
    if find_spec('openvino') is not None:
        yield _imported('OpenVINO', 'openvino')
    elif has_nvidia() or platform.machine() not in ('x86_64', 'AMD64'):
        yield Finding('OpenVINO', 'not installed; it is for x86 CPUs')
    else:
        yield Finding('OpenVINO', 'not installed', WARNING,
                      'Engines on this CPU need it: `pip install openvino`.')


def _imported(what: str, name: str) -> Finding:
    try:
        return Finding(what, str(import_module(name).__version__))
    except (ImportError, OSError, RuntimeError) as error:
        return Finding(what, one_line(error), WARNING,
                       f'It is installed but does not load: install {name} again, for this '
                       'interpreter and driver.')
