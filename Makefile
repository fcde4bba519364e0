# make demo: the whole embedded study, from an empty machine with Python to an HTML report.
# make test: every check. Both make the environment first; neither needs root.
SHELL := bash
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
bin = $(VENV)/bin

.PHONY: demo test bench environment lint lock clean
.DEFAULT_GOAL := demo

environment: $(VENV)/.made

# pip, not uv: torch comes as whatever build pip is set up to find (CPU builds need no CUDA packages).
$(VENV)/.made: envs/lock.txt pyproject.toml
	@echo "rankscale: making $(VENV) from envs/lock.txt (some minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "rankscale: needs CPython 3.11 to 3.13, this is " + sys.version.split()[0] + "; set PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet --requirement envs/lock.txt
	$(bin)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.made-test: $(VENV)/.made envs/lock-test.txt
	$(bin)/python -m pip install --quiet --requirement envs/lock-test.txt
	@touch $@

demo: $(VENV)/.made
	@PATH="$(abspath $(bin)):$$PATH" $(bin)/rankscale unlock
	@PATH="$(abspath $(bin)):$$PATH" snakemake --cores $(CORES)
	@PATH="$(abspath $(bin)):$$PATH" snakemake --cores 1 --quiet --report results/demo/report.html
	@$(bin)/rankscale headline results/demo

# Three test processes on two cores: the cluster's tests, which come first, mostly wait.
test: $(VENV)/.made-test
	PATH="$(abspath $(bin)):$$PATH" $(bin)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests

# Hours: each side of each comparison several times (BENCH_ROUNDS=5), into docs/benchmarks.md.
bench: $(VENV)/.made-bench
	PATH="$(abspath $(bin)):$$PATH" PYTHONPATH=workflow $(bin)/python -m tests.benchmarks.bench

$(VENV)/.made-bench: $(VENV)/.made envs/requirements-bench.in
	$(bin)/python -m pip install --quiet --requirement envs/requirements-bench.in --constraint envs/lock.txt
	@touch $@

lint: $(VENV)/.made-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/snakefmt --check Snakefile workflow
	PATH="$(abspath $(bin)):$$PATH" snakemake --lint

# One source of versions: *.in. torch is pinned by hand, so that pip may take a CPU build of it;
# what torch itself asks for (CUDA, triton) is left to the build that pip finds.
uv = $(bin)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --no-annotate --no-header --quiet
lock: $(VENV)/.made
	$(bin)/python -m pip install --quiet uv
	$(uv) envs/requirements.in | grep -vE '^(torch|triton|nvidia-|cuda-)' >envs/lock.txt
	grep '^torch==' envs/requirements.in >>envs/lock.txt
	$(uv) envs/requirements-test.in --constraint envs/lock.txt >envs/lock-test.txt
	{ cat envs/conda.head; sed 's/^/      - /' envs/lock.txt; } >envs/cpu.yaml
	sed 's/faiss-cpu/faiss-gpu/' envs/cpu.yaml >envs/gpu.yaml

clean:
	rm -rf $(VENV) results .snakemake
