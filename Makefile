SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup ready synth torch check test sim demo formal mutants verilog bench lock clean

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export AMARANTH_USE_YOSYS := builtin
export OBJCACHE := $(shell command -v ccache)
# cocotb would rewrite the assertions of every module, Numba's included: seconds at each start.
export COCOTB_REWRITE_ASSERTION_FILES := test_*.py
# Without byte code each of those starts compiles NumPy and Numba again.
unexport PYTHONDONTWRITEBYTECODE

BLOCK ?=
# Processes that tests and benches are spread over; `auto` is one per core.
WORKERS ?= auto
PYTEST := pytest -n $(WORKERS) --dist worksteal

help:     ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
setup:    ## create .venv from the lock files, and what the benches need where apt-get allows
	@tools/setup.sh
ready:
	@tools/setup.sh --ready
synth:    ## install Yosys, nextpnr and z3 for ranvier synth and make formal (1 GB, some minutes)
	@tools/setup.sh --synth
torch:    ## install PyTorch, for ranvier train --rule surrogate and its tests (some GB)
	@tools/setup.sh --torch
check: ready    ## lint, formatting, types
	ruff check . && ruff format --check . && mypy
test: ready     ## every room except the benches; no simulator needed
	$(PYTEST) tests
sim: ready      ## gates against emulator, bit for bit (BLOCK=lif for one)
	SIM=icarus $(PYTEST) $(if $(BLOCK),sim/test_$(BLOCK).py,sim)
	$(if $(filter-out chip,$(BLOCK)),,SIM=verilator $(PYTEST) sim/test_chip.py)
demo: ready     ## a trained network to a verified chip, on embedded data
	ranvier demo
formal: ready   ## prove claims about gates for every input, and see each proof fail (after make synth)
	python -m sim.formal
mutants: ready  ## break lines of the gates, then bits of netlists (after make synth); benches must notice
	python -m sim.mutants && python -m sim.netlists
verilog: ready  ## write build/chip.v
	python -m rtl
bench: ready    ## speed and size
	python -m bench
lock:     ## write the lock files from pyproject.toml (ARGS=--upgrade renews the pins)
	tools/lock.sh $(ARGS)
clean:    ## remove what make made, except .venv
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
