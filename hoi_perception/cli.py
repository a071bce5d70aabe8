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
The command line: `hoi detect`, `hoi bundle ...` and what other modules add.

Heavy modules are imported inside the commands, so that `hoi --help` answers at once. Bad input
ends with exit code 2 and one sentence.
"""

import json
from pathlib import Path
import sys
from typing import List, Optional

from hoi_perception.bundle_pull_cli import pull
from hoi_perception.doctor_cli import doctor
from hoi_perception.engine_cli import engine_app
from hoi_perception.replay_cli import replay_app
import typer

# Without markup, or help such as [shipped one] would be taken for a style and left out.
app = typer.Typer(name='hoi', no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False, rich_markup_mode=None,
                  help='Human-object interactions from camera images.')
bundle_app = typer.Typer(no_args_is_help=True, help='Model bundles: look into, check, build.')
app.add_typer(bundle_app, name='bundle')
app.add_typer(engine_app, name='engine')
app.add_typer(replay_app, name='replay')
bundle_app.command()(pull)
app.command()(doctor)


def _open_bundle(path: Optional[Path]):
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    return Bundle.open(path or default_bundle_path())


@app.command()
def detect(
        source: Path = typer.Argument(..., help='Image, directory of images, or video.'),
        bundle: Optional[Path] = typer.Option(None, help='Bundle directory [shipped one].'),
        head: Optional[str] = typer.Option(None, help='Interaction head [the first].'),
        verbs: Optional[List[str]] = typer.Option(
            None, help="Verb to look for, repeatable: --verbs ride --verbs 'push: cart'."),
        out: Optional[Path] = typer.Option(None, help='Write overlays and detections.json here.'),
        threshold: Optional[float] = typer.Option(None, help='Least score of a triplet, 0..1.'),
        device: str = typer.Option('auto', help='cpu, cuda, cuda:1, ...'),
        engine: str = typer.Option(
            'auto', help='auto (the fastest that was built), eager, aoti, openvino, tensorrt.'),
        verbose: bool = typer.Option(False, help='Say what runs the networks, and why.'),
        as_json: bool = typer.Option(False, '--json', help='One JSON object per frame.')) -> None:
    """Print the interactions in images, best first."""
    from hoi_perception.runtime.detect_files import frames, ResultWriter
    source_frames = frames(source)
    first = next(source_frames)
    from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
    options = PipelineOptions(triplet_threshold=threshold, masks=out is not None)
    from hoi_perception.runtime.stage_engines import EngineOptions
    pipeline = HoiPipeline(_open_bundle(bundle), device, head, options, EngineOptions(engine))
    reasons = [graph.reason for graph in pipeline.engines.graphs] if verbose else []
    for sentence in (*pipeline.engines.warnings, *reasons):
        typer.echo(f'hoi: note: {sentence}', err=True)
    if verbs:
        prompt_set = pipeline.prompts.prepare(verbs)
        for name in prompt_set.unknown_objects:
            typer.echo(f'hoi: note: the detector does not know {name!r}; it will not be found.',
                       err=True)
        for name in prompt_set.approximate:
            typer.echo(f'hoi: note: the head was not trained with {name!r}; its text is an '
                       'approximation.', err=True)
        pipeline.prompts.activate(prompt_set)
    writer = ResultWriter(out)
    for name, rgb in _chain(first, source_frames):
        result = writer.add(name, rgb, pipeline(rgb))
        if as_json:
            typer.echo(json.dumps({'frame': name, **result}))
        else:
            _print_triplets(name, result)
    writer.finish()


def _chain(first, rest):
    yield first
    yield from rest


def _print_triplets(name: str, result: dict) -> None:
    people = len(result['instances'])
    typer.echo(f'{name}: {len(result["triplets"])} interactions, {people} instances')
    for triplet in result['triplets']:
        typer.echo(f'  {triplet["score"]:.3f}  {triplet["phrase"]}')


@bundle_app.command()
def inspect(path: Optional[Path] = typer.Argument(None, help='Bundle [shipped one].')) -> None:
    """Say what a bundle holds."""
    bundle = _open_bundle(path)
    spec = bundle.spec
    image, names = spec.detector.preprocessing, spec.vocabulary
    kind = spec.detector.architecture or spec.detector.kind
    typer.echo(f'{bundle.path}\nname        {spec.name}  ({bundle.model_id})\n'
               f'licence     {spec.licence}\nprovenance  {spec.provenance}\n'
               f'detector    {kind}, {image.width} x {image.height}, {image.resize}\n'
               f'clip        {spec.clip.preprocessing.width} px, '
               f'{spec.clip.config.get("embed_dim")} dimensions\n'
               f'heads       {", ".join(map(_head_line, spec.heads.items()))}')
    typer.echo(f'objects     {len(names.objects)}: {", ".join(names.objects)}')
    typer.echo(f'verbs       {len(names.verbs)}: {", ".join(v.name for v in names.verbs)}')
    typer.echo(f'template    {names.template}')
    for key, value in spec.metrics.items():
        typer.echo(f'metric      {key} = {value}')
    for name, digest in spec.files.items():
        size = (bundle.path / name).stat().st_size
        typer.echo(f'file        {name}  {size / 1e6:.2f} MB  {digest[:12]}')


def _head_line(item) -> str:
    name, head = item
    return f'{name} ({head.kind})'


@bundle_app.command()
def verify(path: Optional[Path] = typer.Argument(None, help='Bundle [shipped one].')) -> None:
    """Check files and hashes, load the networks and run one grey image through every head."""
    bundle = _open_bundle(path)
    from hoi_perception.runtime.verify import verify_heads
    heads = ', '.join(verify_heads(bundle))
    typer.echo(f'{bundle.path}: {len(bundle.spec.files)} files as recorded, networks load and run '
               f'({bundle.model_id}, {heads}).')


@bundle_app.command()
def build(
        directory: Path = typer.Argument(..., help='Directory to write.'),
        detector: str = typer.Option(..., help='Hub id or directory of a transformers detector.'),
        clip: str = typer.Option('ViT-B-16', help='open_clip model name or config JSON file.'),
        clip_weights: str = typer.Option('openai', help='Pretrained tag or weights file.'),
        verbs: Optional[Path] = typer.Option(None, help='Text or YAML file [everyday verbs].'),
        name: Optional[str] = typer.Option(None, help="The bundle's name [its directory's]."),
        human: str = typer.Option('person', help='Detector class that acts.'),
        detector_size: Optional[str] = typer.Option(None, help='HEIGHTxWIDTH [own].'),
        clip_size: Optional[int] = typer.Option(None, help='Side in pixels [own].'),
        full_precision: bool = typer.Option(False, help='Keep float32 [float16].')) -> None:
    """Assemble a bundle from a transformers detector and an open_clip model, without training."""
    from hoi_perception.runtime.bundle_build import build_bundle, BuildRequest
    bundle = build_bundle(BuildRequest(
        detector, clip, clip_weights, name or directory.resolve().name, verbs, human,
        _size(detector_size), clip_size, half=not full_precision), directory)
    typer.echo(f'{bundle.path}: {len(bundle.spec.vocabulary.objects)} objects, '
               f'{len(bundle.spec.vocabulary.verbs)} verbs ({bundle.model_id}). Try: hoi detect '
               f'IMAGE --bundle {bundle.path}')


def _size(text: Optional[str]):
    from hoi_perception.core.errors import HoiError
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split('x'))
    except ValueError as error:
        raise HoiError(f'--detector-size {text!r} is not HEIGHTxWIDTH, such as 480x640.') \
            from error
    return height, width


@app.command()
def demo(
        bag: Optional[Path] = typer.Option(None, help='rosbag2 with camera images [shipped one].'),
        out: Path = typer.Option(Path('out/demo'), help='Results bag, overlay.gif, summary.json.'),
        bundle: Optional[Path] = typer.Option(None, help='Bundle directory [shipped one].'),
        image_topic: Optional[str] = typer.Option(None, help='Topic [the one with most frames].'),
        rate: float = typer.Option(1.0, help="Times the bag's own speed."),
        realtime: bool = typer.Option(
            False, help='Do not wait for answers: a slow machine drops frames, as on a robot.'),
        domain: Optional[int] = typer.Option(
            None, min=0, max=232, help='ROS_DOMAIN_ID [random].')) -> None:
    """Play a bag through the real node on ROS 2 and show what comes out."""
    from hoi_perception.replay.sample_frames import shipped_bag
    from hoi_perception.ros.demo import DemoFailed, DemoOptions, run_demo
    try:
        run_demo(DemoOptions(bag or shipped_bag(), out, bundle, image_topic, rate, realtime,
                             domain))
    except DemoFailed as error:
        typer.echo(f'hoi: {error}', err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo('hoi: the demo was interrupted; its processes have ended.', err=True)
        raise typer.Exit(130) from None


def main(arguments: Optional[List[str]] = None) -> None:
    """Run the command line; bad input ends with exit code 2 and one sentence on stderr."""
    try:
        app(arguments)
    except ValueError as error:
        # Imported here, because it brings NumPy, and `hoi doctor` must run where that is broken.
        from hoi_perception.core.errors import HoiError
        if not isinstance(error, HoiError):
            raise
        typer.echo(f'hoi: {error}', err=True)
        sys.exit(2)


if __name__ == '__main__':
    main()
