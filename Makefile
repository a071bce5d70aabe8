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

# make setup | demo | test | lint | docs | bench: everything from a fresh clone.
# Needs git, Python 3.10 or newer, make, cmake and a C++ compiler; installs the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.hoi-setup
# Tests and the demo never leave this machine.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
# Two logical workers suit the two-core machines that continuous integration has.
WORKERS ?= 2

.PHONY: help setup demo test lint docs reference bench clean

help:
	@echo 'make setup  install everything into .venv (repeated calls do nothing)'
	@echo 'make demo   play the shipped bag through the real node; results in out/demo'
	@echo 'make test   run the tests'
	@echo 'make lint   check style and types'
	@echo 'make docs   build the documentation into out/docs, links checked'
	@echo 'make bench  measure on this machine; results in benchmarks/results'

setup: $(STAMP)

$(STAMP): scripts/setup.sh setup.py setup.cfg hoi_trainer/pyproject.toml $(wildcard constraints/*.txt) \
          $(wildcard hoi_msgs/*.txt hoi_msgs/*.xml hoi_msgs/msg/*.msg hoi_msgs/srv/*.srv)
	@PYTHON='$(PYTHON)' VENV='$(VENV)' bash scripts/setup.sh
	@touch $(STAMP)

demo: setup
	@$(BIN)/hoi demo --out out/demo

test: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/check_imports.py

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: setup
	@$(BIN)/python scripts/make_reference.py

bench: setup
	@$(BIN)/python -m benchmarks.run

clean:
	rm -rf build install log out $(STAMP)
