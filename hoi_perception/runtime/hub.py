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
        """Return the hub for '' (the public one), a directory, file:// or http(s)://."""
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
        from huggingface_hub import hf_hub_download
        try:
            return Path(hf_hub_download(repository, name, revision=revision, local_dir=work,
                                        endpoint=self.endpoint))
        except Exception as error:  # of the HTTP library, of the disk, of the hub: all one matter
            reason = ' '.join(str(error).split())[:300] or type(error).__name__
            raise BundleError(f'{repository}/{name} cannot be fetched from {self}: {reason} What '
                              'has come is kept; pull again to go on, or give --mirror.'
                              ) from error
