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

"""The row of the doctor's report."""

from typing import NamedTuple

OK, WARNING, PROBLEM = 'ok', 'warning', 'problem'


class Finding(NamedTuple):
    """
    One row.

    what: was looked at. found: words for people. state: `ok`; `warning`, the node starts but
    something is missing, slow or lost; `problem`, the node cannot start. cure: a sentence with
    the command, '' where nothing is to be done.
    """

    what: str
    found: str
    state: str = OK
    cure: str = ''


def one_line(error: BaseException) -> str:
    """Return an error as one short line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
