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

"""What can be wrong with a data set, said so that it can be found and mended."""

from typing import Iterable, List, NamedTuple, Sequence

from hoi_perception.core.errors import HoiError

ERROR = 'error'
WARNING = 'warning'


class Problem(NamedTuple):
    """
    One thing that is wrong in one place.

    kind: short stable identifier to count by. severity: 'error' (training or evaluation would
    be wrong: loading refuses) or 'warning' (odd, but found in official files too: loading
    accepts). record: image, and pair counted from 0, or '' for the whole file.
    """

    kind: str
    severity: str
    file: str
    record: str
    what: str
    got: str
    expected: str

    def __str__(self) -> str:
        place = f'{self.file}: {self.record}' if self.record else self.file
        return (f'{self.severity} [{self.kind}] {place}: {self.what}: got {self.got}, '
                f'expected {self.expected}')


def errors_in(problems: Iterable[Problem]) -> List[Problem]:
    """Return the problems that forbid using the data."""
    return [problem for problem in problems if problem.severity == ERROR]


def refuse_errors(problems: Sequence[Problem], file: str) -> None:
    """Raise `HoiError` with the first error, and how many more there are."""
    errors = errors_in(problems)
    if errors:
        more = f' and {len(errors) - 1} more' if len(errors) > 1 else ''
        raise HoiError(f'{file} cannot be used: {errors[0]}{more}; '
                       f'`hoi-trainer data check {file}` names all.')


def shorten(value: object, length: int = 60) -> str:
    """Return a value as it would be typed, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= length else text[:length - 3] + '...'
