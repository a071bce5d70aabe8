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
Frames per second and milliseconds per stage, from a camera message to published results.

    python -m benchmarks.pipeline_throughput [--bundle DIRECTORY] [--threads 2]

The frames are those of the shipped demo bag, scaled to each size, as raw rgb8 messages. `pipeline`
is `HoiPipeline` alone; `node work` adds what the node does around it: taking the pixels out of the
message, building HoiDetections and HoiMasks and publishing them to a real subscriber-less topic.
JPEG decoding is reported apart.
"""

import argparse
import json
import time

from benchmarks.machine import machine
import numpy as np
from PIL import Image

NETWORKS = ('detect', 'interact')
SIZES = ((640, 480), (1280, 720))


def demo_jpegs(count: int):
    """Return JPEG bytes spread over the shipped bag."""
    from hoi_perception.replay.bag_reader import BagReader
    from hoi_perception.replay.sample_frames import shipped_bag
    with BagReader(shipped_bag()) as bag:
        jpegs = [frame.message.data.tobytes() for frame in bag.frames()]
    return [jpegs[i] for i in np.linspace(0, len(jpegs) - 1, count).astype(int)]


def percentiles(values) -> dict:
    """Return p50 and p95 in milliseconds."""
    return {'p50': round(float(np.percentile(values, 50)), 2),
            'p95': round(float(np.percentile(values, 95)), 2)}


def pipeline_only(pipeline, images) -> dict:
    """Measure `HoiPipeline` on RGB arrays, one by one."""
    for image in images[:5]:
        pipeline(image)
    totals, results = [], []
    for image in images:
        start = time.perf_counter()
        results.append(pipeline.run([image])[0])
        totals.append(1e3 * (time.perf_counter() - start))
    report = {'frames_per_second': round(1e3 * len(totals) / sum(totals), 1),
              'total_ms': percentiles(totals),
              'stages_ms': {name: percentiles([r.stages[name] for r in results])
                            for name in results[0].stages}}
    for name in ('instances', 'triplets', 'masks'):
        report[f'{name}_per_frame'] = round(float(np.mean(
            [len(getattr(r.scene, name)) for r in results])), 1)
    return report


def node_work(pipeline, images) -> dict:
    """Measure everything that is not a network, with real messages and a real publisher."""
    from hoi_msgs.msg import HoiDetections, HoiMasks
    from hoi_perception.ros import conversion
    from hoi_perception.ros import images as image_messages
    import rclpy
    from std_msgs.msg import Header
    rclpy.init()
    node = rclpy.create_node('pipeline_throughput')
    publishers = (node.create_publisher(HoiDetections, 'detections', 5),
                  node.create_publisher(HoiMasks, 'masks', 5))
    around = []
    try:
        for number, rgb in enumerate(images):
            message = image_messages.encode(rgb, 'rgb8', Header())
            start = time.perf_counter()
            pixels = image_messages.decode(message, 10 ** 9)
            result = pipeline.run([pixels])[0]
            publishers[0].publish(conversion.detections(result.scene, message.header, number))
            publishers[1].publish(conversion.masks(result.scene, message.header, number))
            whole = 1e3 * (time.perf_counter() - start)
            around.append(whole - sum(result.stages[name] for name in NETWORKS))
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return percentiles(around[5:])


def jpeg_decoding(jpegs) -> dict:
    """Measure the decoding of the bag's own pictures."""
    from hoi_perception.runtime.frames import decode_compressed
    times = []
    for data in jpegs:
        start = time.perf_counter()
        decode_compressed('jpeg', data)
        times.append(1e3 * (time.perf_counter() - start))
    return percentiles(times)


def main(arguments=None) -> dict:
    """Parse arguments, measure, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--bundle')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--device', default='cpu')
    options = parser.parse_args(arguments)
    import torch
    torch.set_num_threads(options.threads)
    from hoi_perception.runtime.bundle import default_bundle_path
    from hoi_perception.runtime.frames import decode_compressed
    from hoi_perception.runtime.pipeline import HoiPipeline
    report = {'machine': machine(), 'threads': options.threads}
    pipeline = HoiPipeline(options.bundle or default_bundle_path(), options.device)
    report['model'], report['engines'] = pipeline.model_id, pipeline.engines.summary()
    jpegs = demo_jpegs(options.frames)
    report['jpeg_decoding_640x480_ms'] = jpeg_decoding(jpegs)
    frames = [decode_compressed('jpeg', data) for data in jpegs]
    for size in SIZES:
        scaled = [np.asarray(Image.fromarray(frame).resize(size)) for frame in frames]
        report[f'{size[0]}x{size[1]}'] = {
            'pipeline': pipeline_only(pipeline, scaled),
            'not_networks_in_the_node_ms': node_work(pipeline, scaled)}
    print(json.dumps(report, indent=2))
    return report


if __name__ == '__main__':
    main()
