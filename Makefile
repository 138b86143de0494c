# Every target does its own set-up: `make demo` and `make test` work on a fresh machine that has
# python3 >= 3.11, python3-venv and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
JOBS   ?= auto

.PHONY: help setup demo test lint soak bench protos clean
help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make .venv and install Cairn into it

$(READY): pyproject.toml constraints.txt deploy/setup-venv
	@PYTHON="$(PYTHON)" sh deploy/setup-venv "$(VENV)"
	@touch $@

demo: $(READY) ## synthetic clinics, one study, a report
	@$(BIN)/cairn demo

lint: $(READY) ## ruff and mypy strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: $(READY) lint ## the fast suite
	@$(BIN)/pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder -m "not soak" \
		--timeout 600 --timeout-method thread

soak: $(READY) ## the long runs
	@$(BIN)/pytest -n $(JOBS) --dist loadscope -m soak

bench: $(READY) ## one benchmark: make bench NAME=rounds
	@$(BIN)/python -m benchmarks $(NAME)

protos: $(READY) ## generate Python from the .proto files
	@PYTHON=$(BIN)/python deploy/make-protos

clean: ## remove .venv and what was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
