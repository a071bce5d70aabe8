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

"""The `hoi-trainer` command: synth, fit, evaluate, compare-..., label, data, export."""

# typer reads its options from default values.
# ruff: noqa: B008

import json
from pathlib import Path
import sys
from typing import List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.engine_cli import build
from hoi_trainer.compare_cli import add_grids
import typer

# Without markup, or help in brackets would be taken for a style and left out.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  rich_markup_mode=None, help='Train and evaluate the models of hoi_perception.')
evaluate = typer.Typer(no_args_is_help=True, help='Measure a trained model on a held-out split.')
app.add_typer(evaluate, name='evaluate')
data = typer.Typer(no_args_is_help=True, help='Look at annotated data sets.')
app.add_typer(data, name='data')
add_grids(app)
app.command('export')(build)  # compiled engines are what a bundle is exported to


@app.command()
def synth(split: str = typer.Argument(..., help='train, val or test'),
          count: int = typer.Argument(..., min=1, help='number of scenes'),
          directory: Path = typer.Argument(..., help='where to write'),
          workers: int = typer.Option(2, min=1, help='processes')) -> None:
    """Render a split of the synthetic world."""
    if split not in ('train', 'val', 'test'):
        raise HoiError(f'unknown split {split!r}; choose train, val or test')
    from hoi_trainer.synthetic import generate
    generate(split, count, directory, workers)


@app.command(context_settings={'allow_extra_args': True, 'ignore_unknown_options': True,
                               'help_option_names': []})
def fit(context: typer.Context) -> None:
    """Train what a YAML config describes; every setting can be overridden by name."""
    from hoi_trainer.training.command import run
    run(['fit', *context.args])


@evaluate.command()
def detector(weights: Path = typer.Argument(..., help='what `fit` wrote (safetensors)'),
             data: Path = typer.Argument(..., help='directory of a synthetic split'),
             output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
             limit: Optional[int] = typer.Option(None, help='only the first scenes'),
             batch_size: int = typer.Option(64, min=1)) -> None:
    """Report box and mask average precision by the COCO protocol."""
    from hoi_trainer.detector.evaluate import evaluate_detector
    _report(evaluate_detector(weights, data, limit, batch_size), output)


@evaluate.command()
def clip(weights: Path = typer.Argument(..., help='what `fit` wrote (safetensors)'),
         data: Path = typer.Argument(..., help='directory of a synthetic split'),
         output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
         limit: Optional[int] = typer.Option(None, help='only the first scenes'),
         batch_size: int = typer.Option(128, min=1)) -> None:
    """Report how well text ranks the verbs of ground-truth person-object crops."""
    from hoi_trainer.clip.evaluate import evaluate_clip
    _report(evaluate_clip(weights, data, limit, batch_size), output)


@evaluate.command()
def bundle(directory: Path = typer.Argument(..., help='the bundle'),
           data: Path = typer.Argument(..., help='directory of a synthetic split'),
           output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
           head: Optional[str] = typer.Option(None, help='interaction head [the first]'),
           limit: Optional[int] = typer.Option(None, help='only the first scenes')) -> None:
    """Report triplet mAP of the whole pipeline, beside chance."""
    from hoi_trainer.bundle_evaluation import evaluate_bundle
    _report(evaluate_bundle(directory, data, head, limit), output)


@evaluate.command()
def defr(weights: Path = typer.Argument(..., help='what `fit` wrote (safetensors)'),
         bundle: Path = typer.Argument(..., help='the bundle whose CLIP was fine-tuned'),
         data: Path = typer.Argument(..., help='directory with train/ and test/'),
         cache: Path = typer.Option(..., help='directory for detections and small images'),
         readout: str = typer.Option('mask-1', help='mask-1, mask-2, ... or ave-pool'),
         output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
         limit: Optional[int] = typer.Option(
             None, help='training images that were used; they tell which classes are few-shot'),
         ) -> None:
    """Report what an image classifier tells of whole images and of the detector's pairs."""
    from hoi_trainer.image_classification.evaluate import evaluate_classifier
    from hoi_trainer.image_classification.transfer import evaluate_transfer
    images = evaluate_classifier(weights, bundle, data / 'test', data / 'train', cache, limit)
    pairs = evaluate_transfer(weights, bundle, data / 'test', cache, readout)
    _report({**{f'image_{name}': value for name, value in images.items()}, **pairs}, output)


@app.command('fit-exponents')
def fit_exponents(
        weights: Path = typer.Argument(..., help='head written by `fit`, of any kind; what is '
                                                 'fitted is kept in it'),
        bundle: Path = typer.Argument(..., help='the bundle that it was trained on'),
        data: Path = typer.Argument(..., help='directory of the validation split'),
        cache: Path = typer.Option(..., help='directory for detections and small images'),
        limit: Optional[int] = typer.Option(None, help='only the first images')) -> None:
    """Fit the powers of the detector's scores that rank pairs best, and the score threshold."""
    from hoi_trainer.score_fitting import fit_head
    found = fit_head(weights, bundle, data, cache, limit)
    human, thing = found.exponents
    typer.echo(f'human {human:g}, object {thing:g}, threshold {found.threshold:.3g} '
               f'(F1 {found.f1:.3f}), triplet mAP {found.triplet_map:.4f}')


@evaluate.command()
def quadruplets(
        directory: Path = typer.Argument(..., help='the bundle'),
        data: Path = typer.Argument(..., help='directory of a synthetic split'),
        output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
        head: Optional[str] = typer.Option(None, help='interaction head [the first]'),
        limit: Optional[int] = typer.Option(None, help='only the first scenes')) -> None:
    """Report triplet mAP by boxes, by instance masks and by union masks, and how they fit."""
    from hoi_trainer.set_prediction.quadruplets import evaluate_quadruplets
    _report(evaluate_quadruplets(directory, data, head, limit), output)


@evaluate.command()
def baselines(data: Path = typer.Argument(..., help='directory with train/, val/ and test/'),
              detector: Path = typer.Argument(
                  ..., help='detector weights that the classifier of crops starts from'),
              output: Optional[Path] = typer.Option(None, help='JSON file for the metrics'),
              minutes: float = typer.Option(20.0, help='of training in all'),
              limit: Optional[int] = typer.Option(None, help='only the first scenes')) -> None:
    """Train and compare geometry alone and a supervised classifier of pair crops."""
    from hoi_trainer.baselines.run import run_baselines
    _report(run_baselines(data, detector, minutes, limit), output)


@app.command('export-synthetic')
def export_synthetic(
        detector: Path = typer.Argument(..., help='detector weights written by `fit`'),
        clip: Path = typer.Argument(..., help='CLIP weights written by `fit`'),
        directory: Path = typer.Argument(..., help='the bundle, e.g. models/synthetic_tiny'),
        metrics: List[Path] = typer.Option([], help='JSON written by `evaluate`; repeatable'),
        head: List[str] = typer.Option([], help='NAME=WEIGHTS of a trained head; the first one is '
                                                'the default; repeatable'),
) -> None:
    """Assemble the bundle that ships with the project."""
    from hoi_trainer import export_synthetic as module
    figures = {}
    for path in metrics:
        figures.update({f'{path.stem}_{name}': value
                        for name, value in json.loads(path.read_text()).items()
                        if isinstance(value, (int, float)) and name != 'seconds'})
    heads = {}
    for entry in head:
        name, _, path = entry.partition('=')
        if not name or not path:
            raise HoiError(f'--head {entry!r} is not NAME=WEIGHTS, for example '
                           'lain=runs/lain/lain.safetensors')
        heads[name] = Path(path)
    typer.echo(module.export_synthetic(detector, clip, directory, figures, heads))


@app.command()
def label(
        images: Path = typer.Argument(..., help='directory of images or of `synth`, or a bag'),
        teacher: str = typer.Option(..., help='image-text-to-text model of transformers with a '
                                              'chat template: hub id or local directory'),
        out: Path = typer.Option(..., help='JSON lines; what it has already is not asked again'),
        device: str = typer.Option('cpu', help='cpu, cuda, cuda:1, ...'),
        batch_size: int = typer.Option(8, min=1, help='images asked about at once'),
        topic: Optional[str] = typer.Option(None, help='camera of the bag [most frames]'),
        every: int = typer.Option(1, min=1, help='only every n-th image or frame')) -> None:
    """Let a vision LLM say who does what with which object in images that nobody annotated."""
    from hoi_trainer.teaching.labelling import label_images
    from hoi_trainer.teaching.pictures import open_pictures
    from hoi_trainer.teaching.vision_llm import VisionLlm
    pictures = open_pictures(images, topic, every)
    found = label_images(
        pictures, VisionLlm(teacher, device), out, batch_size,
        lambda done, count: typer.echo(f'{done} of {count} images', err=True))
    _report(found.summary, None)


@app.command('export-taught')
def export_taught(
        bundle: Path = typer.Argument(..., help='the bundle that the head was trained on'),
        weights: Path = typer.Argument(..., help='CL-HOI head written by `fit`'),
        labels: Path = typer.Argument(..., help='what `label` wrote'),
        directory: Path = typer.Argument(..., help='the bundle to write'),
        least: int = typer.Option(3, min=1, help='leave out verbs that were said less often'),
) -> None:
    """Make a bundle whose verbs are those that a teacher used."""
    from hoi_trainer.teaching import bundle as module
    typer.echo(module.export_taught(bundle, weights, labels, directory, least))


@data.command()
def check(path: Path = typer.Argument(..., help='annotation file, or directory of `synth`'),
          images: Optional[Path] = typer.Option(None, help='directory of the photos'),
          object_order: Optional[str] = typer.Option(
              None, help='coco or hico, where a HICO-DET JSON does not tell'),
          coco: Optional[Path] = typer.Option(None, help='COCO instances of original V-COCO'),
          ids: Optional[Path] = typer.Option(None, help='list of image ids of original V-COCO'),
          limit: Optional[int] = typer.Option(None, min=1, help='problems shown per kind [all]'),
          ) -> None:
    """Name every problem of a data set; exit code 0 if it can be used, 2 if not."""
    from hoi_trainer.datasets.check import check_data, print_check
    found = check_data(path, images, object_order, coco, ids)
    print_check(found, typer.echo, limit)
    if not found.clean:
        raise typer.Exit(2)


@data.command()
def masks(directory: Path = typer.Argument(..., help='the bundle whose detector makes the masks'),
          path: Path = typer.Argument(..., help='directory of `synth`, or annotation file'),
          output: Path = typer.Argument(..., help='directory of the report'),
          cache: Path = typer.Option(Path('data/cache'), help='directory of cached outputs'),
          images: Optional[Path] = typer.Option(None, help='directory of the photos'),
          limit: Optional[int] = typer.Option(None, min=1, help='only the first images')) -> None:
    """Audit the masks that Seg2HOI would learn from: figures, pictures, comparison if exact."""
    from hoi_trainer.set_prediction.audit import audit_masks
    _report(audit_masks(directory, path, output, cache, limit, images), None)


@app.command('import-lain')
def import_lain(
        checkpoint: Path = typer.Argument(..., help='file released by the authors of LAIN'),
        setting: str = typer.Option(..., help='what it was trained for: rf_uc, nf_uc, uo or uv'),
        out: Optional[Path] = typer.Option(
            None, help='the bundle to write [models/lain_SETTING]'),
        clip: Optional[str] = typer.Option(
            None, help='weights file of CLIP ViT-B/16, or ViT-B-16:openai to download it; without '
                       'it only the verbs of HICO-DET are accepted')) -> None:
    """Turn a released LAIN checkpoint into a bundle."""
    from hoi_trainer.lain_import import bundle as module
    request = module.ImportRequest(checkpoint, setting, clip)
    imported = module.import_lain(request, out or Path('models', f'lain_{setting}'))
    for note in imported.notes:
        typer.echo(f'hoi-trainer: note: {note}', err=True)
    typer.echo(imported.bundle.path)


def _report(metrics: dict, output: Optional[Path]) -> None:
    text = json.dumps(metrics, indent=2)
    typer.echo(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + '\n')


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command line; bad input ends with one sentence and exit code 2."""
    try:
        app(args=arguments, prog_name='hoi-trainer')
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (HoiError, FileNotFoundError) as error:
        print(f'hoi-trainer: {error}', file=sys.stderr)
        return 2
    return 0


def entry() -> None:
    """Run as the installed command."""
    sys.exit(main())


if __name__ == '__main__':
    entry()
