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

"""Errors are sentences: what, where, got, expected, what to do."""


class HoiError(ValueError):
    """Bad input that the user can mend; its text is shown as it is, without a traceback."""


class FrameError(HoiError):
    """
    An image that cannot be used.

    `kind` is a short stable identifier (for example `size_mismatch`), so that a node can count
    bad frames by kind and explain each kind once.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class VocabularyError(HoiError):
    """A list of verbs or objects that cannot be used."""


class BundleError(HoiError):
    """A model bundle that is missing, incomplete, altered or of an unknown schema."""
