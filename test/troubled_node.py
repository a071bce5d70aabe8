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
`hoi_node` with a trouble that no machine has on demand: `python troubled_node.py KIND ...`.

slow: loading takes three seconds more. wordy: so does encoding text. lost: every frame but the
first fails as on a GPU whose context is broken, and so does a second loading.
"""

import itertools
import sys
import time

from hoi_perception.ros.loading import Loading
from hoi_perception.ros.main import main

KIND = sys.argv.pop(1)
_load, _loadings, _frames = Loading._load, itertools.count(), itertools.count()
ERROR = ('CUDA error: an illegal memory access was encountered\n'
         'Compile with TORCH_USE_CUDA_DSA to enable device-side assertions.')


def load(self):
    if KIND == 'slow':
        time.sleep(3.0)
        return _load(self)
    if KIND == 'wordy':
        loaded = _load(self)
        prepare = loaded.pipeline.prompts.prepare
        loaded.pipeline.prompts.prepare = lambda *args: (time.sleep(3.0), prepare(*args))[1]
        return loaded
    if next(_loadings):
        raise RuntimeError(ERROR)
    loaded = _load(self)
    run = loaded.pipeline.run

    def run_or_fail(*args, **kwargs):
        if next(_frames):
            raise RuntimeError(ERROR)
        return run(*args, **kwargs)
    loaded.pipeline.run = run_or_fail
    return loaded


if __name__ == '__main__':
    Loading._load = load
    main()
