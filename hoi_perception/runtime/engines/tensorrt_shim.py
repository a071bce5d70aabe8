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

"""
A stand-in for NVIDIA's `tensorrt`, so that torch_tensorrt can be asked what it would do.

torch_tensorrt imports `tensorrt` for names only until an engine is built. With names made up, its
lowering passes, decompositions, converter registry and partitioner run on any machine. Nothing
can be built or run this way, and torch and sys.modules are left altered: only
`coverage_worker`, a process of its own, may call `install`. Written for torch_tensorrt 2.14.
"""

import enum
from importlib.machinery import ModuleSpec
import os
import sys
from types import ModuleType

# The version that torch_tensorrt 2.14 asks for; some validators compare it.
TENSORRT_VERSION = '11.1.0'
# torch_tensorrt compares members of these, so they must be told apart.
ENUMERATIONS = {
    'DataType': 'FLOAT HALF INT8 INT32 BOOL UINT8 FP8 BF16 INT64 INT4 FP4 E8M0',
    'DeviceType': 'GPU DLA',
    'EngineCapability': 'STANDARD SAFETY DLA_STANDALONE',
    'TensorFormat': 'LINEAR CHW2 HWC8 CHW4 CHW16 CHW32 DHWC8 CDHW32 HWC DLA_LINEAR DLA_HWC4 HWC16 '
                    'DHWC'}


class _MadeUp(type):
    """A class whose missing attributes are made up, and kept, when they are asked for."""

    def __getattr__(cls, name: str) -> '_MadeUp':
        if name.startswith('__'):
            raise AttributeError(name)
        made = _made_up(f'{cls.__name__}.{name}')
        setattr(cls, name, made)
        return made


def _made_up(name: str) -> _MadeUp:
    return _MadeUp(name, (), {'__init__': lambda self, *args, **kwargs: None})


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> _MadeUp:
        # `tensorrt_rtx` would be taken for the other edition of TensorRT.
        if name.startswith('__') or name == 'tensorrt_rtx':
            raise AttributeError(name)
        made = _made_up(name)
        setattr(self, name, made)
        return made


def _stand_in() -> ModuleType:
    module = _StandIn('tensorrt')
    module.__spec__ = ModuleSpec('tensorrt', None, is_package=True)
    module.__package__ = 'tensorrt'
    module.__path__ = []
    module.__file__ = '<stand-in for tensorrt>'
    module.__loader__ = None
    setattr(module, '__version__', TENSORRT_VERSION)  # noqa: B010
    setattr(module, 'tensorrt', module)  # noqa: B010
    for name, members in ENUMERATIONS.items():
        setattr(module, name, enum.Enum(name, members.split(), module='tensorrt'))
    return module


def install() -> None:
    """
    Import torch_tensorrt with the stand-in, for the rest of this process.

    The stand-in is used even where TensorRT is installed, so that the answer is the same on every
    machine.
    """
    sys.modules['tensorrt'] = _stand_in()
    import torch
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_capability = lambda *device: (8, 9)
    # Its compiled runtime needs libnvinfer; while it looks absent the one in Python is taken.
    is_file = os.path.isfile
    os.path.isfile = lambda path: 'libtorchtrt' not in str(path) and is_file(path)
    try:
        import torch_tensorrt  # noqa: F401
    finally:
        os.path.isfile = is_file
