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

"""Bundles by name, from a mirror directory and from a server that answers as the hub does."""

from functools import partial
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import re
import shutil
import threading

from bundles import tiny_bundle
from hoi_perception import cli
from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import Bundle, sha256
from hoi_perception.runtime.bundle_list import (
    BundleList,
    is_permissive,
    joined_licence,
    read_bundle_list,
)
from hoi_perception.runtime.bundle_pull import pull_bundle, PullRequest
from hoi_perception.runtime.configurations import configurations
import pytest
from random_models import save_clip, save_detector
from safetensors.torch import load_file, save_file
import yaml

NAME = 'robots/tiny'


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('original') / 'tiny')


@pytest.fixture
def mirror(original, tmp_path):
    shutil.copytree(original.path, tmp_path / 'mirror' / NAME)
    return tmp_path / 'mirror'


def _change(mirror, **fields):
    path = mirror / NAME / 'bundle.yaml'
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def _pull(tmp_path, mirror, name=NAME, listed=None, **changes) -> Bundle:
    return pull_bundle(PullRequest(name, tmp_path / 'got', str(mirror), **changes),
                       listed or BundleList(), lambda line: None)


@pytest.mark.parametrize('form', ['{}', 'file://{}'])
def test_a_whole_bundle_comes_from_a_mirror_directory(form, mirror, original, tmp_path):
    bundle = _pull(tmp_path, form.format(mirror))
    assert bundle.path == tmp_path / 'got'
    assert Bundle.open(bundle.path).model_id == original.model_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ['got', 'mirror']
    assert _pull(tmp_path, mirror).model_id == original.model_id  # again, over the old one


def test_a_listed_name_stands_for_its_repository(mirror, original, tmp_path):
    listed = BundleList.model_validate({'bundles': {'kitchen': {'hub': NAME}}})
    assert _pull(tmp_path, mirror, 'kitchen', listed).model_id == original.model_id


def _altered(mirror):
    path = mirror / NAME / 'clip.safetensors'
    path.write_bytes(path.read_bytes()[:-1] + b'x')


def _gone(mirror):
    (mirror / NAME / 'clip.safetensors').unlink()


@pytest.mark.parametrize(('damage', 'words'), [
    (_altered, 'SHA-256'),
    (_gone, 'has no robots/tiny/clip.safetensors'),
    (partial(_change, files={'weights.pt': '0' * 64}), 'pickle'),
    (partial(_change, files={'../outside': '0' * 64}), 'does not name a file'),
    (partial(_change, schema_version=99), 'schema_version'),
    (partial(_change, licence='CC-BY-NC-4.0'), '--accept-licence')])
def test_what_is_damaged_or_not_agreed_to_is_refused_and_nothing_appears(
        damage, words, mirror, tmp_path):
    damage(mirror)
    with pytest.raises(BundleError, match=words):
        _pull(tmp_path, mirror)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mirror']


def test_a_licence_that_is_not_permissive_can_be_accepted(mirror, tmp_path):
    _change(mirror, licence='CC-BY-NC-4.0')
    assert _pull(tmp_path, mirror, accept_licence=True).spec.licence == 'CC-BY-NC-4.0'


@pytest.mark.parametrize(('changes', 'words'), [
    ({'mirror': 'nowhere'}, 'not a directory'),
    ({'revision': 'v2'}, 'one revision'),
    ({'name': 'robots/other'}, 'has no robots/other/bundle.yaml'),
    ({'name': 'unknown'}, 'not listed'),
    ({'name': 'by-hand'}, 'ask its authors')])
def test_what_cannot_be_pulled_is_one_sentence(changes, words, mirror, tmp_path):
    listed = BundleList.model_validate({'bundles': {'by-hand': {'needs': 'ask its authors'}}})
    with pytest.raises(BundleError, match=words):
        _pull(tmp_path, **{'mirror': mirror, 'listed': listed, **changes})


def test_a_directory_that_is_no_bundle_is_left_alone(mirror, tmp_path):
    (tmp_path / 'got').mkdir()
    (tmp_path / 'got' / 'thesis.tex').write_text('years of work')
    with pytest.raises(BundleError, match='not a bundle'):
        _pull(tmp_path, mirror)
    assert (tmp_path / 'got' / 'thesis.tex').read_text() == 'years of work'


@pytest.fixture
def recipes(tmp_path):
    """Return a mirror with a tiny detector and a tiny CLIP, and the list of both."""
    mirror = tmp_path / 'parts'
    save_detector('RTDetrV2ForObjectDetection', mirror / 'maker/detector')
    config, weights = save_clip(mirror / 'maker/clip')
    return mirror, BundleList.model_validate({
        'detectors': {'small': {'hub': 'maker/detector', 'licence': 'Apache-2.0'}},
        'clips': {'tiny': {'model': str(config), 'hub': 'maker/clip', 'file': weights.name,
                           'licence': 'MIT'}}})


def test_a_recipe_is_assembled_and_says_what_it_is_made_of(recipes, tmp_path):
    mirror, listed = recipes
    bundle = _pull(tmp_path, mirror, 'small+tiny', listed)
    assert Bundle.open(bundle.path).spec.licence == 'Apache-2.0 AND MIT'
    assert 'maker/detector' in bundle.spec.provenance and 'maker/clip' in bundle.spec.provenance
    assert bundle.spec.vocabulary.objects == ('person', 'bicycle', 'cup')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['got', 'parts']


def test_a_recipe_with_a_part_missing_is_refused(recipes, tmp_path):
    mirror, listed = recipes
    (mirror / 'maker/detector/preprocessor_config.json').unlink()
    with pytest.raises(BundleError, match='preprocessor_config.json'):
        _pull(tmp_path, mirror, 'small+tiny', listed)
    assert not (tmp_path / 'got').exists()


class _HubHandler(BaseHTTPRequestHandler):
    """What the hub answers to a download: hash and size first, then bytes from any position."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        match = re.fullmatch('/([^/]+/[^/]+)/resolve/([^/]+)/(.+)', self.path)
        path = self.server.root / match[1] / match[3] if match else None
        if path is None or not path.is_file():
            self.send_response(404)
            self.send_header('X-Error-Code', 'EntryNotFound')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        content = path.read_bytes()
        asked = re.match(r'bytes=(\d+)-', self.headers.get('Range') or '')
        start = int(asked[1]) if asked and body else 0
        if body:
            self.server.gets.append((path.name, start))
        self.send_response(206 if start else 200)
        self.send_header('ETag', f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header('X-Repo-Commit', 'a' * 40)
        self.send_header('Accept-Ranges', 'bytes')
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        if body:
            broken = path.name == self.server.broken
            self.wfile.write(content[start:len(content) // 2] if broken else content[start:])
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(mirror, monkeypatch):
    for name in ('http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY',
                 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)
    hub = ThreadingHTTPServer(('127.0.0.1', 0), _HubHandler)
    hub.root, hub.broken, hub.gets = mirror, '', []
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


def test_a_bundle_comes_over_http(server, original, tmp_path):
    bundle = _pull(tmp_path, f'http://127.0.0.1:{server.server_port}')
    assert Bundle.open(bundle.path).model_id == original.model_id
    assert {path.name for path in bundle.path.iterdir()} == {
        path.name for path in original.path.iterdir()}


def test_after_an_interruption_only_what_is_missing_is_fetched(
        server, original, tmp_path, monkeypatch):
    address = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setattr('huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE', 1024)
    monkeypatch.setattr('huggingface_hub.file_download.time.sleep', lambda seconds: None)
    server.broken = 'detector.safetensors'  # the last file of the manifest
    with pytest.raises(BundleError, match='pull again to go on'):
        _pull(tmp_path, address)
    assert not (tmp_path / 'got').exists()
    server.broken, server.gets = '', []
    assert _pull(tmp_path, address).model_id == original.model_id
    (name, start), = server.gets
    assert name == 'detector.safetensors' and start > 0


def test_another_version_on_the_server_is_not_joined_to_half_of_the_old_one(
        server, mirror, tmp_path, monkeypatch):
    address = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setattr('huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE', 1024)
    monkeypatch.setattr('huggingface_hub.file_download.time.sleep', lambda seconds: None)
    server.broken = 'detector.safetensors'
    with pytest.raises(BundleError, match='pull again'):
        _pull(tmp_path, address)
    (mirror / NAME / 'CARD.md').write_text('# second edition\n')
    weights = mirror / NAME / 'detector.safetensors'
    state = load_file(weights)
    save_file({key: value + 1 for key, value in state.items()}, weights)
    files = yaml.safe_load((mirror / NAME / 'bundle.yaml').read_text())['files']
    _change(mirror, files={name: sha256(mirror / NAME / name) for name in files})
    server.broken = ''
    bundle = _pull(tmp_path, address)
    assert (bundle.path / 'CARD.md').read_text() == '# second edition\n'
    assert Bundle.open(bundle.path).spec.files == bundle.spec.files


def test_a_damaged_download_is_not_kept(server, original, mirror, tmp_path):
    good = (mirror / NAME / 'clip.safetensors').read_bytes()
    _altered(mirror)
    address = f'http://127.0.0.1:{server.server_port}'
    with pytest.raises(BundleError, match='SHA-256'):
        _pull(tmp_path, address)
    (mirror / NAME / 'clip.safetensors').write_bytes(good)
    bundle = _pull(tmp_path, address)
    assert sha256(bundle.path / 'clip.safetensors') == bundle.spec.files['clip.safetensors']


@pytest.mark.parametrize(('licences', 'permissive'), [
    (['Apache-2.0', 'MIT'], True), (['MIT', 'MIT'], True), (['Apache-2.0', 'CC-BY-NC-4.0'], False),
    (['That of the models it was built from; see provenance.'], False), (['AGPL-3.0'], False)])
def test_joined_licences_are_permissive_only_together(licences, permissive):
    assert is_permissive(joined_licence(*licences)) == permissive


@pytest.mark.parametrize('text', [
    'detectors: {a: {hub: x/y}}', 'bundles: {a: {}}', 'bundles: {a: {hub: x/y, needs: z}}',
    'models: {}', '- a', '{'])
def test_a_broken_list_is_one_sentence(text, tmp_path):
    (tmp_path / 'list.yaml').write_text(text)
    with pytest.raises(BundleError, match='not a list of bundles'):
        read_bundle_list(tmp_path / 'list.yaml')


def test_every_ready_configuration_has_a_recipe():
    listed, ready = read_bundle_list(), configurations()
    assert set(listed.detectors) == set(ready['detectors'])
    assert set(listed.clips) == set(ready['clips'])


@pytest.mark.parametrize('name', read_bundle_list().clips)
def test_listed_clips_are_those_of_open_clip(name):
    """A wrong activation would load without complaint and see something else."""
    import open_clip
    line = read_bundle_list().clips[name]
    released = open_clip.get_pretrained_cfg(name, 'openai')
    assert line.hub == released['hf_hub'].strip('/')
    assert (open_clip.get_model_config(line.model).get('quick_gelu', False)
            == released['quick_gelu'])


def _run(capsys, *arguments):
    try:
        cli.main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as left:
        code = left.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_lists_pulls_and_refuses(capsys, mirror, tmp_path):
    code, text, _ = _run(capsys, 'bundle', 'pull')
    assert code == 0 and 'rtdetrv2-r18+ViT-B-32' in text and 'import-lain' in text
    code, text, _ = _run(capsys, 'bundle', 'pull', NAME, '--mirror', mirror, '--out',
                         tmp_path / 'got')
    assert code == 0 and 'licence of robots/tiny: Apache-2.0' in text and 'Try: hoi detect' in text
    code, _, error = _run(capsys, 'bundle', 'pull', 'nothing', '--mirror', mirror)
    assert code == 2 and 'not listed' in error


def test_pulled_bundles_go_to_the_cache(capsys, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    code, text, _ = _run(capsys, 'bundle', 'pull', NAME, '--mirror', mirror)
    assert code == 0 and str(Path('hoi_perception/bundles/robots--tiny')) in text
