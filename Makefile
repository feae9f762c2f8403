# `make sweep` and `make test` first create a virtual environment with pinned versions.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sweep notebook test test-thorough check test-torch test-jax test-interop test-browser test-cluster fuzz fuzz-figures mutants bench \
  docs audit lock clean

sweep: .venv/installed
	$(BIN)/python -m rnnlab -m cell=rnn,lstm

# Open the first notebook in JupyterLab. Its kernel is the virtual environment.
# Without a browser on this machine: make notebook LAB_OPTIONS=--no-browser
notebook: .venv/installed-notebook
	$(BIN)/jupyter lab $(LAB_OPTIONS) experiments/notebooks/vanish_keep_explode.ipynb

# An empty PYTHONDONTWRITEBYTECODE lets the hundreds of processes that the tests start share compiled modules.
test: .venv/installed-dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Test the combinations that `make test` leaves out because others cover the same code.
test-thorough: .venv/installed-dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m thorough --numprocesses auto

# Check style, types and the import contracts between packages.
check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell --dictionary=- --dictionary=.ci/words.txt
	! git grep -nE -f .ci/phrases.txt -- '*.py' '*.md' '*.yaml' ':!CHANGELOG.md'

test-torch: .venv/installed-torch
	$(BIN)/python -m pytest tests -k torch

test-jax: .venv/installed-bench
	RNNLAB_JAX=1 $(BIN)/python -m pytest tests/jax

# Compare imported weights with torch, Keras, flax and ONNX, which this target installs.
test-interop: .venv/installed-interop
	$(BIN)/python -m pytest tests/interop tests/cells -k "interop or torch"

# The browser tests require Chromium at /usr/bin/chromium. They check the report and the documentation against the accessibility
# rules of axe-core.
test-browser: .venv/installed-docs
	$(INSTALL) playwright axe-playwright-python
	$(BIN)/python -m pytest tests/browser

# The cluster tests start and stop Slurm, Ray and PostgreSQL in a network namespace that has only a loopback device.
# The device gets a second address because resolvers ignore 127.0.0.0/8. The tests require root and Debian.
# Set RNNLAB_KILLS=50 to run the long version of the kill tests.
test-cluster: .venv/installed-cluster
	tests/cluster/install
	RNNLAB_CLUSTER=1 unshare --net sh -c 'ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec $(BIN)/python -m pytest tests/cluster'

# Test ten thousand random configurations, user files, damaged run folders, closed output streams and signals, 80 times
# as many as `make test`. This target takes about an hour on two cores.
fuzz: .venv/installed-dev
	RNNLAB_FUZZ=80 $(BIN)/python -m pytest --numprocesses auto tests/fuzz

# Draw figures of random sweeps and combine random mistakes, 20 times as many as `make test`.
fuzz-figures: .venv/installed-dev
	RNNLAB_FUZZ=20 $(BIN)/python -m pytest --numprocesses auto tests/analysis/test_replicates.py tests/app/test_all_mistakes.py

# Check that the tests detect a hundred faulty versions of the code. This target takes about an hour on two cores.
mutants: .venv/installed-dev
	$(BIN)/python -m tests.mutants

# The benchmarks take forty minutes in total; run nothing else meanwhile.
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks.speed --json speed.json --figure speed.png
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.scaling --json scaling.json --figure scaling.png
	$(BIN)/python -m benchmarks.recording
	$(BIN)/python -m benchmarks.torch_callback
	$(BIN)/python -m benchmarks.whole_run
	$(BIN)/python -m benchmarks.whole_run --sweep
	$(BIN)/python -m benchmarks.deaf_server
	$(BIN)/python -m benchmarks.cold_starts
	$(BIN)/python -m benchmarks.composing
	$(BIN)/python -m benchmarks.many_runs
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.who_tracks

# Check the pinned versions for known vulnerabilities in PyPI's database; requires network access.
audit: .venv/installed-dev
	$(INSTALL) pip-audit
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

# Build the documentation from docs/ into docs/_build/index.html.
docs: .venv/installed-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build

# Pin exact package versions for every Python version and platform that pyproject.toml allows.
lock:
	uv pip compile pyproject.toml --all-extras --universal --no-header --no-annotate --no-emit-index-url --output-file constraints.txt

clean:
	rm -rf .venv

# Each stamp file is rebuilt when the files that it depends on change.
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("rnnlab requires Python 3.11 or newer, but found " + sys.version.split()[0] + "; choose another with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv || (rm -rf .venv; exit 1)

.venv/installed: .venv/bin/python pyproject.toml constraints.txt hatch_build.py
	$(INSTALL) --editable .
	touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt hatch_build.py
	$(INSTALL) --editable '.[dev]'
	touch $@ .venv/installed

.venv/installed-notebook: .venv/bin/python pyproject.toml constraints.txt hatch_build.py
	$(INSTALL) --editable '.[notebook]'
	touch $@ .venv/installed

.venv/installed-torch: .venv/installed-dev
	$(INSTALL) --editable '.[dev,torch]'
	touch $@

.venv/installed-interop: .venv/installed-dev
	$(INSTALL) --editable '.[dev,interop-test]'
	touch $@

.venv/installed-cluster: .venv/installed-dev
	$(INSTALL) --editable '.[dev,slurm,ray,optuna,postgresql]'
	touch $@

.venv/installed-bench: .venv/installed-dev
	$(INSTALL) --editable '.[dev,bench]'
	touch $@

.venv/installed-docs: .venv/installed-dev
	$(INSTALL) --editable '.[dev,docs]'
	touch $@
