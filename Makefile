# make venv | demo | test | check | bench | experiment | tutorials | clean.   Another Python: make demo PYTHON=python3.12
# One .venv serves all targets. It is brought up to date when pyproject.toml changes, and mended after an interrupted install.

PYTHON ?= python3
TESTERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# -qq: errors only, not a warning a package for each index that this machine lists and does not have.
PIP := $(BIN)/python -m pip --disable-pip-version-check
# pip writes RECORD last: a package without one was cut off while it was unpacked, and is installed again.
MEND := find $(VENV)/lib -type d -name '*.dist-info' ! -exec test -e '{}/RECORD' ';' -prune -exec rm -rf '{}' +

.PHONY: venv demo test check bench experiment tutorials clean

venv: $(VENV)/.all

demo: $(VENV)/.all
	$(BIN)/ailab-dataproc demo

# Much of the time tests wait for processes that start or are killed: a few at once, a file never in two of them.
# What failed while they shared the cores runs once more by itself: a test that fails then too, fails.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile || { test $$? -eq 1 && \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 20; }

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Small scale, one round, in five minutes: whether all works. The page is made although a way failed. Nothing of this
# changes what backend="auto" takes: that is `ailab-dataproc bench calibrate`.
bench: $(VENV)/.all
	$(BIN)/ailab-dataproc bench run imports load prepare cpu workers calibrate --scale small --rounds 1; measured=$$?; \
	  test $$measured -ne 130 || exit 130; \
	  $(BIN)/ailab-dataproc bench report bench_results -o bench_results/report.html --png bench_results || exit; \
	  exit $$measured

# Runs them in a folder of their own outside of this repository, and writes them with all outputs as pages.
tutorials: $(VENV)/.dev
	@mkdir -p tutorials_site
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cp examples/[0-9]-*.md "$$work" && cd "$$work" && \
	  PATH="$(CURDIR)/$(BIN):$$PATH" && for page in [0-9]-*.md; do \
	  jupytext --quiet --to ipynb --execute "$$page" && \
	  jupyter nbconvert --log-level WARN --to html --output-dir "$(CURDIR)/tutorials_site" "$${page%.md}.ipynb" || exit; done
	@echo "open tutorials_site/*.html"

# From a log of 4.5 M made-up impressions to a model in the zoo; examples/ctr/README.md. make experiment ARGS='--epochs 3'
experiment: $(VENV)/.all
	@$(BIN)/python examples/ctr/experiment.py $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf '{}' +

$(VENV)/.python:
	@$(PYTHON) -c '$(SUPPORTED)' || { \
	  echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), Python 3.11 to 3.13 is wanted. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import pip; $(SUPPORTED)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install -qq --upgrade pip
	@touch $@

$(VENV)/.all: pyproject.toml $(VENV)/.python
	@echo "Installing ailab_dataproc[all] into $(VENV): some minutes and 4 GB the first time."
	@$(MEND)
	@$(PIP) install -qq --editable '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.python
	@echo "Installing ailab_dataproc[all,dev] into $(VENV): some minutes and 9 GB the first time."
	@$(MEND)
	@$(PIP) install -qq --editable '.[all,dev]'
	@touch $(VENV)/.all $@
