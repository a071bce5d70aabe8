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
Frames per second and milliseconds per stage of `HoiPipeline`, with a description of the machine.

    python benchmarks/pipeline_throughput.py [BUNDLE] [--threads 2] [--most 15]

Without a bundle the shipped one is taken, or, where that is not installed, random weights of the
same architecture (speed does not depend on the weights, except through the number of instances).
"""

import argparse
from pathlib import Path
import platform
import sys
import tempfile
import time

import numpy as np

NETWORKS = ('detect', 'encode', 'interact')


def machine() -> str:
    """Return processor, cores and versions in one line."""
    import torch
    model = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        model = next(line.split(':')[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration, IndexError):
        pass
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    capability = torch.backends.cpu.get_cpu_capability()
    return (f'{model}, {torch.get_num_threads()} threads, {capability}, {device}; '
            f'Python {platform.python_version()}, torch {torch.__version__}')


def random_bundle(directory: Path):
    """Write a bundle with the architecture of the shipped one and random weights."""
    from hoi_perception.networks.clip import build_clip
    from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
    from hoi_perception.runtime import bundle as b
    import torch
    objects = ('person', *(f'object{i}' for i in range(12)))
    verbs = tuple(b.VerbSpec(name=f'verb{i}', objects=objects[1 + i % 9:5 + i % 9])
                  for i in range(14))
    config = DenseDetectorConfig(classes=13)
    clip_config = {
        'embed_dim': 128,
        'vision_cfg': {'image_size': 256, 'layers': 6, 'width': 160, 'head_width': 32,
                       'patch_size': 16},
        'text_cfg': {'context_length': 16, 'vocab_size': 49408, 'width': 48, 'heads': 3,
                     'layers': 3}}
    torch.manual_seed(0)
    detector = DenseDetector(config)
    # Many confident instances of every class, so that pairs and masks are not skipped.
    torch.nn.init.zeros_(detector.classify.bias)
    with torch.no_grad():
        rows = torch.randn(7, *detector.classify.weight.shape[1:])
        # Opposite rows: whatever one class dislikes another one likes, person (0) among them.
        detector.classify.weight.copy_(torch.cat([rows, -rows])[:13])
    height, width = config.image_size
    spec = b.BundleSpec(
        name='random', licence='none', provenance='Random weights for timing.',
        detector=b.DetectorSpec(kind='dense', config=config.to_mapping(),
                                preprocessing=b.ImageSpec(height=height, width=width)),
        clip=b.ClipSpec(config=clip_config, preprocessing=b.ImageSpec(height=256, width=256)),
        heads={'defr': b.HeadSpec()}, vocabulary=b.VocabularySpec(objects=objects, verbs=verbs),
        thresholds=b.Thresholds(instance=0.2, triplet=0.0))
    return b.write_bundle(directory, spec, {
        'detector.safetensors': detector.state_dict(),
        'clip.safetensors': build_clip(clip_config).state_dict()})


def measure(pipeline, width: int, height: int, frames: int) -> None:
    """Run distinct noisy frames one by one and print a table."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (frames, 12, 16, 3), dtype=np.uint8)
    images = [c.repeat(-(-height // 12), 0).repeat(-(-width // 16), 1)[:height, :width].copy()
              for c in coarse]
    for image in images[:5]:
        pipeline(image)
    totals, stages, scenes = [], [], []
    begin = time.perf_counter()
    for image in images:
        start = time.perf_counter()
        result = pipeline.run([image])[0]
        totals.append(1000 * (time.perf_counter() - start))
        stages.append(result.stages)
        scenes.append(result.scene)
    rate = frames / (time.perf_counter() - begin)
    found = np.mean([len(s.instances) for s in scenes])
    triplets = np.mean([len(s.triplets) for s in scenes])
    masks = np.mean([len(s.masks) for s in scenes])
    print(f'\n{width} x {height}: {rate:.1f} frames/s over {frames} frames '
          f'({found:.1f} instances, {triplets:.1f} triplets, {masks:.1f} masks per frame)')
    print('  stage            p50 ms   p95 ms')
    for name in stages[0]:
        _row(name, [s[name] for s in stages])
    _row('not networks', [t - sum(s[n] for n in NETWORKS) for t, s in zip(totals, stages)])
    _row('total', totals)


def _row(name: str, values) -> None:
    print(f'  {name:<14} {np.percentile(values, 50):8.2f} {np.percentile(values, 95):8.2f}')


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('bundle', nargs='?')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--most', type=int, default=15, help='most people, most objects')
    parser.add_argument('--no-masks', action='store_true')
    parser.add_argument('--sizes', nargs='+', default=['640x480', '1280x720'])
    arguments = parser.parse_args()
    import torch
    torch.set_num_threads(arguments.threads)
    from hoi_perception.core.errors import BundleError
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
    with tempfile.TemporaryDirectory() as scratch:
        try:
            bundle = Bundle.open(arguments.bundle or default_bundle_path())
        except BundleError as error:
            if arguments.bundle:
                sys.exit(str(error))
            bundle = random_bundle(Path(scratch) / 'random')
        options = PipelineOptions(masks=not arguments.no_masks, max_humans=arguments.most,
                                  max_objects=arguments.most)
        pipeline = HoiPipeline(bundle, arguments.device, options=options)
    print(f'{pipeline.model_id} on {pipeline.device}\n{machine()}')
    for size in arguments.sizes:
        width, height = (int(part) for part in size.split('x'))
        measure(pipeline, width, height, arguments.frames)


if __name__ == '__main__':
    main()
