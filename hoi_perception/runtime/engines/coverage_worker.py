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
The process that asks torch_tensorrt which operators of a graph TensorRT would take.

Started by `coverage.py` as `python -m hoi_perception.runtime.engines.coverage_worker`. The first
line on stdout is torch_tensorrt's version. Then, for every line on stdin, the path of an exported
program (`torch.export.save`), one line of JSON on stdout: what `examine` returns, or
`{"error": sentence}`.
"""

from collections import Counter
import json
import logging
import sys
from typing import Any, Dict, List, Tuple

from hoi_perception.runtime.engines import tensorrt_shim
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node


def settings() -> Any:
    """
    Return the compilation settings the check stands for.

    Data-dependent sizes count as breaks: engines have fixed shapes. Every block that converts
    becomes a segment, however small.
    """
    from torch_tensorrt.dynamo import CompilationSettings
    return CompilationSettings(min_block_size=1, fallback_data_dependent_ops=True, dryrun=True)


def examine(program: ExportedProgram) -> Dict[str, Any]:
    """
    Return what torch_tensorrt's compiler finds before it would build engines.

    operators: calls in the lowered graph; covered: those with a converter that accepts them;
    segments, torch_segments: parts that TensorRT and PyTorch would run; breaks: [operator,
    reason, place in the network, calls] of what is not covered. The steps and their order are
    those of `torch_tensorrt.dynamo.compile`.
    """
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS
    from torch_tensorrt.dynamo.lowering import (
        get_decompositions,
        post_lowering,
        pre_export_lowering,
    )
    chosen = settings()
    with torch.no_grad():
        program = pre_export_lowering(program, chosen)
        program = program.run_decompositions(get_decompositions(False, False, False))
        graph = post_lowering(program.module(), chosen)
    DYNAMO_CONVERTERS.set_compilation_settings(chosen)
    breaks = _breaks(graph)
    _, operators = partitioning.get_graph_converter_support(graph, set())
    covered = operators - sum(count for *_, count in breaks)
    segments, torch_segments = _segments(graph, full=not breaks)
    return {'operators': operators, 'covered': covered, 'segments': segments,
            'torch_segments': torch_segments, 'breaks': breaks}


def _breaks(graph: GraphModule) -> List[Tuple[str, str, str, int]]:
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS as CONVERTERS
    from torch_tensorrt.dynamo.partitioning._global_partitioner import TorchTensorRTOperatorSupport
    support = TorchTensorRTOperatorSupport(torch_executed_ops=set())
    modules = dict(graph.named_modules())
    found: Counter[Tuple[str, str, str]] = Counter()
    for node in graph.graph.nodes:
        if node.op != 'call_function':
            continue
        reason = '' if support.is_node_supported(modules, node) else _why(support, node)
        # Converters accept it, but a float64 constant ends the build.
        reason = reason or ('TensorRT has no float64' if _is_double(node) else '')
        if reason:
            found[CONVERTERS.qualified_name_or_str(node.target), reason, _place(node)] += 1
    return [(*key, count) for key, count in found.items()]


def _why(support: Any, node: Node) -> str:
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS
    if support._requires_output_allocator(node):
        return 'the size of its result depends on data'
    known = node.target in DYNAMO_CONVERTERS
    return 'no converter accepts these arguments' if known else 'no converter'


def _is_double(node: Node) -> bool:
    value = node.meta.get('val')
    return isinstance(value, torch.Tensor) and value.dtype == torch.float64


def _place(node: Node) -> str:
    """Return the innermost module that calls it, as its class and path in the network."""
    stack = list((node.meta.get('nn_module_stack') or {}).values())
    if not stack:
        return ''
    path, kind = stack[-1]
    name = kind if isinstance(kind, str) else kind.__name__
    return f'{name.rpartition(".")[2]} {path}'.strip()


def _segments(graph: GraphModule, full: bool) -> Tuple[int, int]:
    from torch_tensorrt.dynamo import partitioning
    parts, _ = partitioning.fast_partition(graph, min_block_size=1, skip_fusion=full)
    names = [name for name, part in parts.named_children() if isinstance(part, GraphModule)]
    accelerated = sum('_run_on_acc' in name for name in names)
    return accelerated, len(names) - accelerated


def main() -> None:
    """Answer until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print; only answers go to stdout
    tensorrt_shim.install()
    logging.disable(logging.CRITICAL)
    import torch_tensorrt
    import torchvision  # noqa: F401  (its operators must be known to load a program with them)
    print(torch_tensorrt.__version__, file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = examine(torch.export.load(line.strip()))
        except Exception as error:  # whatever it is, the graph is listed with it
            text = ' '.join(str(error).split())[:300]
            answer = {'error': f'{type(error).__name__}: {text}'}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
