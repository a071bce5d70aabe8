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
Files of hub repositories: from a hub over HTTP, or from a mirror directory without a network.

A mirror is a directory with the hub's layout, OWNER/REPOSITORY/file, or the address of a server
that answers as the hub does.
"""

from pathlib import Path
import re
from typing import NamedTuple, Optional
from urllib.parse import unquote, urlsplit

from hoi_perception.core.errors import BundleError

NOTES = '.download'
_REPOSITORY = re.compile(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*')


def is_repository(name: str) -> bool:
    """Return whether a name has the form OWNER/REPOSITORY."""
    return _REPOSITORY.fullmatch(name) is not None


class Hub(NamedTuple):
    """
    Where files come from.

    directory: of a mirror, None = over the network. endpoint: address of the server, None = the
    hub, or what HF_ENDPOINT names.
    """

    directory: Optional[Path] = None
    endpoint: Optional[str] = None

    @staticmethod
    def at(mirror: str) -> 'Hub':
        """Return the hub: '' the public one, a directory, a URL; raises `BundleError`."""
        if not mirror:
            return Hub()
        parts = urlsplit(mirror)
        if parts.scheme in ('http', 'https'):
            return Hub(endpoint=mirror.rstrip('/'))
        directory = Path(unquote(parts.path)) if parts.scheme == 'file' else Path(mirror)
        if not directory.is_dir():
            raise BundleError(f'mirror {mirror} is not a directory: give a directory with '
                              'OWNER/REPOSITORY below it, or an address that begins with '
                              'http:// or https://.')
        return Hub(directory=directory)

    def __str__(self) -> str:
        return str(self.directory or self.endpoint or 'the hub')

    def file(self, repository: str, name: str, revision: Optional[str], work: Path) -> Path:
        """
        Return the path of a file of a repository, fetched into `work` unless a mirror has it.

        revision: branch, tag or commit; None = the newest. An interrupted download goes on where
        it stopped. Raises `BundleError` with one sentence.
        """
        if not is_repository(repository) or Path(name).is_absolute() or '..' in Path(name).parts:
            raise BundleError(f'{name!r} of {repository!r} does not name a file of a repository '
                              'OWNER/REPOSITORY.')
        if self.directory is None:
            return self._download(repository, name, revision, work)
        if revision:
            raise BundleError(f'mirror {self} holds one revision of {repository}: leave out '
                              '--revision.')
        path = self.directory / repository / name
        if not path.is_file():
            raise BundleError(f'mirror {self} has no {repository}/{name}: copy the repository '
                              f'there (`hf download {repository} --local-dir '
                              f'{self.directory / repository}`).')
        return path

    def _download(self, repository: str, name: str, revision: Optional[str],
                  work: Path) -> Path:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        try:
            url = hf_hub_url(repository, name, revision=revision, endpoint=self.endpoint)
            found = get_hf_file_metadata(url)
            return _resume(url, found.etag or '', found.size, work / name, work / NOTES / name)
        except Exception as error:  # of the HTTP library, of the disk, of the hub: all one matter
            reason = ' '.join(str(error).split())[:300] or type(error).__name__
            raise BundleError(f'{repository}/{name} cannot be fetched from {self}: {reason} What '
                              'has come is kept; pull again to go on, or give --mirror.'
                              ) from error


def _resume(url: str, version: str, size: Optional[int], target: Path, note: Path) -> Path:
    """
    Download a file, going on where an earlier process stopped with the same version of it.

    hf_hub_download of huggingface_hub 2 goes on only within one call. version, size: what the
    server says of the file; note: keeps the version of what has come so far.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
    part = note.with_name(f'{note.name}.part')
    if not note.is_file() or note.read_text(encoding='utf-8') != version:
        target.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(version, encoding='utf-8')
    if not target.is_file():
        with part.open('ab') as stream:
            http_get(url, stream, resume_size=stream.tell(), headers=build_hf_headers(),
                     expected_size=size)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
    return target
