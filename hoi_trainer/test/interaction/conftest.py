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

"""The shipped YAML of LAIN with small sizes, for the tests beside this."""

import pytest

SMALL = {'adapter_dim': 8, 'hidden': 16, 'context_queries': 2, 'dropout': True}


@pytest.fixture(name='write_config')
def _write_config(small_config):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    return lambda directory, samples: small_config('lain', directory, samples, SMALL,
                                                   {'pairs': 8})
