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

"""What really happened in a bag's frames: from a topic of the bag, or from an annotation file."""

from hoi_perception.replay.truth.frames import AnnotatedFrames, Coverage, Truth
from hoi_perception.replay.truth.opening import open_truth
from hoi_perception.replay.truth.role_ap import role_ap

__all__ = ['AnnotatedFrames', 'Coverage', 'open_truth', 'role_ap', 'Truth']
