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

"""`hoi-trainer fit`: Lightning's command line with the callbacks that every run has."""

from typing import List
import warnings

from hoi_trainer.training.budget import Budget
from hoi_trainer.training.curves import Curves
from hoi_trainer.training.weights import WriteWeights
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
import torch


class Command(LightningCLI):
    """
    Adds the sections `average`, `budget`, `write` and `checkpoint` to the configuration.

    `trainer.logger: true` means CSV and TensorBoard logs and drawn curves, all below
    `trainer.default_root_dir`.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks; averaged weights are in place before they are written."""
        parser.add_lightning_class_args(EMAWeightAveraging, 'average')
        parser.add_lightning_class_args(Budget, 'budget')
        parser.add_lightning_class_args(WriteWeights, 'write')
        parser.add_lightning_class_args(ModelCheckpoint, 'checkpoint')

    def instantiate_trainer(self, **kwargs):
        """Build the trainer with its logs."""
        settings = self._get(self.config_init, 'trainer')
        if settings.logger is not True:
            return super().instantiate_trainer(**kwargs)
        directory = settings.default_root_dir or '.'
        trainer = super().instantiate_trainer(**kwargs, logger=[
            CSVLogger(directory, 'csv'), TensorBoardLogger(directory, 'tensorboard')])
        trainer.callbacks.insert(0, Curves(directory, trainer.log_every_n_steps))
        return trainer


def run(arguments: List[str]) -> None:
    """Train as the arguments and the YAML files named by them say."""
    # The arguments come through typer, on purpose.
    warnings.filterwarnings('ignore', message='LightningCLI.s args parameter')
    torch.set_float32_matmul_precision('high')
    torch.backends.cudnn.benchmark = True
    Command(args=arguments, save_config_callback=None, seed_everything_default=0)
