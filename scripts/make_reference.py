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
Write the reference pages of the documentation from the code: `make reference`.

test/test_docs.py compares what is committed with what this says.
"""

import ast
import inspect
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from hoi_perception.ros import parameters
from hoi_perception.runtime import bundle
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
import typer

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / 'docs' / 'reference'
DONE = '*Made from the code by `make reference`; do not edit.*'


def _cell(value: Any) -> str:
    """Return text for a cell of a table."""
    return ' '.join(str(value).split()).replace('|', '\\|').replace('<', '&lt;')


def _commands(command: Any, name: str) -> Iterator[Tuple[str, Any]]:
    """Yield every command below this one that does something, with its full name."""
    children = getattr(command, 'commands', None)
    if not children:
        yield name, command
        return
    for child, inner in children.items():
        yield from _commands(inner, f'{name} {child}')


def _parameter(item: Any) -> str:
    """Return the row of an argument or option."""
    if item.param_type_name == 'argument':
        shown = item.name.upper() + (' ...' if item.nargs == -1 else '')
        need = 'needed' if item.required else ''
    else:
        shown = ', '.join(f'{text}' for text in [*item.opts, *item.secondary_opts])
        plain = isinstance(item.default, (str, int, float)) and item.default not in ('', False)
        need = 'needed' if item.required else f'`{item.default}`' if plain else ''
    return f'| `{shown}` | {need} | {_cell(item.help or "")} |'


def command_line() -> str:
    """Return the page of `hoi` and `hoi-trainer`."""
    from hoi_perception.cli import app as hoi
    from hoi_trainer.cli import app as trainer
    lines = ['# Command line', '', DONE, '', 'Both commands end with exit code 2 and one sentence '
             'on bad input. `--help` of a command says the same as this page.', '']
    for name, app in (('hoi', hoi), ('hoi-trainer', trainer)):
        for path, command in _commands(typer.main.get_command(app), name):
            help_text = (command.help or '').replace('\b', '').strip()
            lines += [f'## {path}', '', help_text.replace('<', '&lt;'), '']
            rows = [_parameter(item) for item in command.params if item.name != 'help']
            if rows:
                lines += ['| argument or option | default | meaning |', '|---|---|---|', *rows, '']
    return '\n'.join(lines).rstrip() + '\n'


def _annotations() -> Dict[str, Dict[str, str]]:
    """Return the types of every class's fields as the source writes them, on any Python."""
    tree = ast.parse(Path(bundle.__file__).read_text(encoding='utf-8'))
    return {node.name: {part.target.id: ast.unparse(part.annotation) for part in node.body
                        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)}
            for node in tree.body if isinstance(node, ast.ClassDef)}


def _models() -> List[type]:
    """Return the models of the schema, the whole first, then in the order of the file."""
    parts = [value for value in vars(bundle).values()
             if isinstance(value, type) and issubclass(value, BaseModel)
             and value.__module__ == bundle.__name__ and not value.__name__.startswith('_')]
    return [bundle.BundleSpec, *(part for part in parts if part is not bundle.BundleSpec)]


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return 'needed'
    return f'`{field.default.__class__.__name__}()`' if isinstance(field.default, BaseModel) \
        else f'`{_cell(repr(field.default))}`'


def _limits(field: Any) -> str:
    signs = {'ge': '>=', 'gt': '>', 'le': '<=', 'lt': '<', 'min_length': 'length >=',
             'max_length': 'length <='}
    found = [f'{sign} {getattr(part, name)}' for part in field.metadata
             for name, sign in signs.items() if getattr(part, name, None) is not None]
    return ', '.join(found)


def bundle_schema() -> str:
    """Return the page of `bundle.yaml`."""
    written = _annotations()
    lines = ['# Bundle schema', '', DONE, '',
             f'`bundle.yaml`, schema version {bundle.SCHEMA_VERSION}. Fields that are not listed '
             'are refused. Beside it lie `detector.safetensors`, `clip.safetensors`, '
             '`heads/*.safetensors` and `CARD.md`; `files` has the SHA-256 of each.', '']
    for model in _models():
        fields: Dict[str, Any] = model.model_fields
        lines += [f'## {model.__name__}', '', inspect.cleandoc(model.__doc__ or ''), '',
                  '| field | type | default | limits |', '|---|---|---|---|']
        lines += [f'| `{name}` | `{_cell(written[model.__name__][name])}` | {_default(field)} | '
                  f'{_cell(_limits(field))} |' for name, field in fields.items()]
        lines.append('')
    return '\n'.join(lines).rstrip() + '\n'


def parameter_page() -> str:
    """Return docs/parameters.md with the table as the code has it."""
    path = ROOT / 'docs' / 'parameters.md'
    kept = path.read_text(encoding='utf-8').splitlines()
    first = next(number for number, line in enumerate(kept) if line.startswith('|'))
    after = next(number for number in range(first, len(kept)) if not kept[number].startswith('|'))
    return '\n'.join([*kept[:first], parameters.reference(), *kept[after:]]) + '\n'


PAGES = {REFERENCE / 'cli.md': command_line, REFERENCE / 'bundle.md': bundle_schema,
         ROOT / 'docs' / 'parameters.md': parameter_page}


if __name__ == '__main__':
    for path, page in PAGES.items():
        path.write_text(page(), encoding='utf-8')
        print(path.relative_to(ROOT))
