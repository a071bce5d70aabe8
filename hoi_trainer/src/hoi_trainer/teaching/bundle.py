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

"""A bundle for the verbs that a teacher used: detector and CLIP of another one, a taught head."""

from collections import Counter
from pathlib import Path
from typing import Dict, List, Set

from hoi_perception.core.errors import HoiError
from hoi_perception.core.vocabulary import MAX_VERBS, same_name
from hoi_perception.runtime.bundle import Bundle, VerbSpec, write_bundle
from hoi_trainer.interaction.export import read_head
from hoi_trainer.teaching.records import read_records, TeacherRecord
from hoi_trainer.teaching.words import gerund

HEAD = 'cl_hoi'


def export_taught(base: Path, weights: Path, labels: Path, directory: Path,
                  least: int = 3) -> Path:
    """
    Write the bundle and return its directory.

    base: the bundle that the head was trained on. weights: what `fit` wrote. labels: records of
    the teacher. least: how often a verb was said with an object that the detector knows; rarer
    ones are left out. Raises `HoiError` where nothing remains.
    """
    bundle = Bundle.open(base)
    head, state = read_head(weights)
    if head.kind != HEAD:
        raise HoiError(f'{weights} holds {head.kind!r}, expected a head that was trained with '
                       'configs/synthetic/cl_hoi.yaml or alike.')
    verbs = heard_verbs(read_records(labels)[1], bundle.spec.vocabulary.objects, least)
    if not verbs:
        raise HoiError(f'{labels} has no verb that was said {least} times with an object that the '
                       'detector knows: label more images or lower the least number.')
    spec = bundle.spec.model_copy(update={
        'name': directory.name, 'files': {}, 'metrics': {},
        'provenance': f'{bundle.spec.provenance} Head {HEAD}: learnt from words about images '
                      f'without annotation ({labels.name}).',
        'vocabulary': bundle.spec.vocabulary.model_copy(update={'verbs': tuple(verbs)}),
        'heads': {HEAD: head}})
    files = {name: bundle.tensors(name) for name in ('detector.safetensors', 'clip.safetensors')}
    files[f'heads/{HEAD}.safetensors'] = state
    return write_bundle(directory, spec, {
        name: {key: value.half() if value.is_floating_point() else value
               for key, value in tensors.items()} for name, tensors in files.items()}).path


def heard_verbs(records: List[TeacherRecord], objects: tuple, least: int) -> List[VerbSpec]:
    """Return verbs with their objects, the most common first, at most as many as fit."""
    known = {same_name(name): name for name in objects}
    said = Counter((each.verb, known[same_name(each.object)]) for record in records
                   for each in record.interactions if same_name(each.object) in known)
    totals: Counter = Counter()
    with_objects: Dict[str, Set[str]] = {}
    for (verb, thing), count in said.items():
        totals[verb] += count
        with_objects.setdefault(verb, set()).add(thing)
    return [VerbSpec(name=verb, phrase=gerund(verb),
                     objects=tuple(name for name in objects if name in with_objects[verb]))
            for verb, count in totals.most_common(MAX_VERBS) if count >= least]
