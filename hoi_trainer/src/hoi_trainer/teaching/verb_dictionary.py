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
Verbs that no interaction of HICO-DET or V-COCO has: negatives that an image does not show.

The paper's dictionary is not public; these are everyday verbs of English.
"""

from typing import Tuple

VERBS: Tuple[str, ...] = tuple(
    'abandon absorb admire aim allow announce anchor argue arrange attack bake bandage bathe beat '
    'bend bleach bind bite blend bolt bounce bow braid brew bury button buzz carve celebrate '
    'chain chew clap climb coil collect comb compare compress conceal connect count crack crawl '
    'crease crumble crush dance decorate deliver dent dig dip dissolve drape draw drill drip '
    'drop dust dye embrace empty engrave erase expand fan fasten fence file fish flatten '
    'float fold forge frame freeze frost glue grate guard hammer harvest heat hide '
    'inflate iron juggle knead knit knock label lace laugh lean leap lend loosen march '
    'mark marry measure melt mend mix mop mow nail nod pave peck pierce pinch plant pluck plow '
    'polish pound praise print prune punish question rake rattle rescue reverse rinse rub salute '
    'salvage scatter scold scoop scrape screw scrub seal search sew shake sharpen shave '
    'shovel shrink sing sink sketch slap slice smear snap sneeze solder spray spread '
    'sprinkle squash stamp staple stare steal stitch stretch strum sweep swim tame tangle tape '
    'tear tickle tighten tilt trim trip tuck tune twist unfold unlock untie unwrap vacuum '
    'varnish wax weave weigh weld whip whisper whistle wind wink wrap wrestle yawn'.split())
