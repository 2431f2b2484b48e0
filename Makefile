# `make demo` needs Python 3 alone; `make test`, `check` and `lint` make the full environment first.

PYTHON ?= python3
# Of `make reproduce`: SIZE=tiny|small|medium|large, folders with sub-folders train, valid and test.
SIZE ?= tiny
SPEECH ?= demo/speech
NOISE ?=
OUT ?= experiment-$(SIZE)
# Of `make crash`: kills of each command, and what their moments are drawn from.
KILLS ?= 10
SEED ?= 1

PYTEST = .venv/bin/python -m pytest --numprocesses auto
TRAINING = tensorflow keras jax scipy sklearn librosa pyroomacoustics doa_tf doa_export

.PHONY: crash demo docs fuzz reproduce model test check soak lint pythons arm64 dist format clean venv-check help

help:  ## what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: .venv-demo/ready  ## localise the demo recordings with the shipped model; writes demo.png
	.venv-demo/bin/python demo/localise.py --plot demo.png

docs: .venv-docs/ready  ## the pages and an API reference as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

test: .venv/ready  ## all tests, side by side on all processors
	$(PYTEST)

check: lint  ## in a minute or two: lint, and the tests that need neither TensorFlow nor sound in real time
	PYTHONPATH=$(CURDIR)/tests/without DOA_WITHOUT="$(TRAINING)" $(PYTEST) -m "not slow" tests/core tests/edge

SECONDS ?= 1800

soak: .venv/ready  ## a live microphone, all outputs, and what befalls them, with figures: SECONDS=1800
	.venv/bin/python -m benchmarks.live_soak --seconds $(SECONDS)

crash: .venv/ready  ## kill commands at random and compare what they make then: KILLS=10 of each, SEED=1
	.venv/bin/python -m tests.crash --kills $(KILLS) --seed $(SEED)

# docs/results/heads.md is for real speech, never for the toy of the demo's twelve sentences.
reproduce: .venv/ready  ## the heads compared, from rooms to a report: SIZE=small SPEECH=DIR NOISE=DIR
	.venv/bin/python -m experiments.reproduce --out $(OUT) --size $(SIZE) --speech $(SPEECH) \
		$(if $(NOISE),--noise $(NOISE)) $(if $(ALSO),--also $(ALSO)) \
		$(if $(filter-out demo/speech,$(SPEECH)),--update docs/results/heads.md)

RECIPE ?= configs/tiny.toml
MADE ?= model-$(basename $(notdir $(RECIPE)))

model: .venv/ready  ## a network from rooms to .tflite: RECIPE=configs/voices.toml SPEECH=DIR NOISE=DIR
	.venv/bin/doa_tf recipe $(RECIPE) --out $(MADE) --speech $(SPEECH) $(if $(NOISE),--noise $(NOISE))
	.venv/bin/doa_export $(MADE)/model.keras --quantize none --decode centroid --split \
		--check $(MADE)/valid --out $(MADE)/model.tflite

COUNT ?= 5000
fuzz: .venv/ready  ## changed files of every kind, each of which must end in a clear line: SEED=1 COUNT=5000
	.venv/bin/python -m tests.fuzz --seed $(SEED) --count $(COUNT) --keep build/fuzz

lint: .venv/ready  ## ruff, mypy, codespell, the import contract
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell
	.venv/bin/lint-imports

pythons: .venv/ready  ## other Pythons, newest and lowest versions of setup.py: WHICH="3.10 lowest" MINUTES=6
	.ci/pythons $(WHICH)

arm64: .venv-demo/ready  ## the edge extra in emulated 64-bit ARM systems (root; some minutes)
	.venv-demo/bin/python edge/arm64/check.py

dist: .venv/ready  ## source archive and wheel, tried in an environment of its own
	rm -rf dist
	.venv/bin/python -m build --outdir dist
	.venv/bin/twine check --strict dist/*
	PYTHON=$(PYTHON) .ci/try-wheel dist/*.whl

format: .venv/ready  ## ruff's formatter and safe fixes
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.venv-demo/ready: setup.py | venv-check
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install --quiet ".[edge,plot]"
	touch $@

.venv-docs/ready: setup.py requirements.txt | venv-check
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --constraint requirements.txt ".[docs]"
	touch $@

.venv/ready: setup.py requirements.txt | venv-check
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --constraint requirements.txt \
		--editable ".[train,export,dev]"
	touch $@

# tflite-runtime 2.14, the last one for 32-bit boards: Python 3.11 or older, numpy 1.
.venv-old-runtime/ready: Makefile | venv-check
	$(PYTHON) -m venv --clear .venv-old-runtime
	.venv-old-runtime/bin/python -m pip install --quiet tflite-runtime==2.14.0 numpy==1.26.4
	touch $@

venv-check:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: on Debian, 'apt install python3-venv'" >&2; exit 1; }

clean:  ## environments and caches
	rm -rf .venv .venv-demo .venv-docs .venv-old-runtime .venv-python* .venv-lowest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo.png
