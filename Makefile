# The two commands of the README are `make demo` and `make test`; .ci/run has to pass before a change lands.
export PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo install test test-all check lock

# What `make demo` runs, and nothing else.
.venv/.installed: pyproject.toml requirements-install.lock requirements.lock
	@scripts/install requirements.lock

# The same with the tools for tests.
.venv/.installed-dev: pyproject.toml requirements-install.lock requirements-dev.lock
	@scripts/install requirements-dev.lock .installed-dev

install: .venv/.installed-dev

demo: .venv/.installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh

# Two at once, each a file at a time: most tests wait for processes that they start.
test: install
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"

test-all: install
	$(BIN)/pytest

lock_options := --quiet --system-certs --universal --generate-hashes --no-header
shell_files := .ci/run scripts/install examples/demo.sh runtime/start.sh $(wildcard runtime/bin/*)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/shellcheck $(shell_files)

# Pins what pyproject.toml names and nothing pins yet. `uv pip compile --upgrade-package` moves a pin.
lock: install
	$(BIN)/uv pip compile $(lock_options) --extra local pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(lock_options) --extra local --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile $(lock_options) --group install -c requirements-dev.lock -o requirements-install.lock
