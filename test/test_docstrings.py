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

"""Public functions say the shapes of their arrays and the errors that they raise."""

import ast
from pathlib import Path
import re

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'hoi_perception'
ARRAY = re.compile(r'\b(?:ndarray|Tensor)\b')
# '(n, 4)', '(B, P, D)', '(K,)'; or the place where they are said.
SHAPE = re.compile(r'\([^()]*[\w.],[^()]*\)|\b[Ss]hapes?\b|[Ss]ee ')


def public_functions(tree: ast.Module):
    """Yield every public function and method with its docstring and that of its classes."""
    pending = [(tree, '')]
    while pending:
        node, above = pending.pop()
        for part in node.body:
            if getattr(part, 'name', '_').startswith('_'):
                continue
            said = ast.get_docstring(part) or ''
            if isinstance(part, ast.ClassDef):
                pending.append((part, f'{above} {said}'))
            elif isinstance(part, ast.FunctionDef):
                yield part, said, above


def raised(function: ast.FunctionDef):
    """Return the errors that the function itself raises."""
    names = {ast.unparse(part.exc).split('(')[0] for part in ast.walk(function)
             if isinstance(part, ast.Raise) and part.exc is not None}
    return {name for name in names if name.endswith('Error') and name != 'NotImplementedError'}


def unsaid(source: str):
    """Return what docstrings of a module leave out, as 'line name: what'."""
    found = []
    for function, said, above in public_functions(ast.parse(source)):
        types = [argument.annotation for argument in
                 (*function.args.args, *function.args.kwonlyargs)] + [function.returns]
        if any(kind is not None and ARRAY.search(ast.unparse(kind)) for kind in types) \
                and not SHAPE.search(said):
            found.append(f'{function.lineno} {function.name}: the shapes of its arrays')
        if raised(function) and not re.search(r'[Rr]ais|[Rr]efus|Error', said + above):
            found.append(f'{function.lineno} {function.name}: that it raises')
    return found


@pytest.mark.parametrize('part', ['core', 'evaluation', 'runtime'])
def test_docstrings_say_shapes_and_errors(part):
    paths = sorted((PACKAGE / part).rglob('*.py'))
    found = [f'{path.relative_to(PACKAGE)}:{line}' for path in paths
             for line in unsaid(path.read_text(encoding='utf-8'))]
    assert paths
    assert found == []


@pytest.mark.parametrize(('source', 'count'), [
    ('def f(x: np.ndarray):\n    """Return it."""\n', 1),
    ('def f(x: np.ndarray):\n    """Return (n, 4) boxes."""\n', 0),
    ('def f() -> Optional[Tensor]:\n    """Return it."""\n', 1),
    ('class A:\n    "A"\n\n    def f(self):\n        "Do."\n        raise HoiError(1)\n', 1),
    ('class A:\n    "Raises."\n\n    def f(self):\n        "Do."\n        raise HoiError(1)\n', 0),
    ('def f():\n    """Do. Raises `HoiError`."""\n    raise HoiError(1)\n', 0),
    ('def _f(x: Tensor):\n    raise HoiError(1)\n', 0)])
def test_what_is_left_out_is_found(source, count):
    assert len(unsaid(source)) == count
