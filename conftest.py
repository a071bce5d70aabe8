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
What must hold before any test is imported.

One thread per process: tests run side by side, and threads that wait for each other on busy cores
are many times slower than one thread.

The trainer is imported first: pytest names a test module after its path (`hoi_trainer.test...`)
and would otherwise take the directory `hoi_trainer` of the checkout for the package.
"""

import os

os.environ.setdefault('OMP_NUM_THREADS', '1')

import hoi_trainer  # noqa: F401
