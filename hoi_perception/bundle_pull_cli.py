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

"""`hoi bundle pull`: bundles by name."""

from pathlib import Path
from typing import Optional

import typer


def pull(
        name: Optional[str] = typer.Argument(
            None, help='Recipe, bundle, or OWNER/REPOSITORY [print the list].'),
        out: Optional[Path] = typer.Option(None, help='Directory to write [in ~/.cache].'),
        mirror: str = typer.Option(
            '', help='Directory with OWNER/REPOSITORY below it, or address of a hub '
                     '[HF_ENDPOINT or the public hub].'),
        revision: Optional[str] = typer.Option(None, help='Branch, tag or commit [newest].'),
        accept_licence: bool = typer.Option(
            False, help='Agree to a licence that is not permissive.')) -> None:
    """Fetch a bundle by name, or assemble it from a detector and a CLIP; check every file."""
    from hoi_perception.runtime.bundle_list import read_bundle_list
    listed = read_bundle_list()
    if name is None:
        for known, licence in listed.names().items():
            typer.echo(f'{known:28} {licence}')
        return
    from hoi_perception.runtime.bundle_pull import pull_bundle, PullRequest
    bundle = pull_bundle(PullRequest(name, out, mirror, revision, accept_licence), listed,
                         typer.echo)
    typer.echo(f'{bundle.path}: {len(bundle.spec.vocabulary.objects)} objects, '
               f'{len(bundle.spec.vocabulary.verbs)} verbs ({bundle.model_id}). Try: hoi detect '
               f'IMAGE --bundle {bundle.path}')
