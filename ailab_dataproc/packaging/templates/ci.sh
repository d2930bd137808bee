#!/usr/bin/env bash
# What a change must pass: style, then the tests of every dataset. In an environment of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python3 -m venv .venv
.venv/bin/python -m pip install -q "${AILAB_DATAPROC:-ailab_dataproc}"
.venv/bin/python -m pip install -q -e '.[dev]'
.venv/bin/ruff check .
.venv/bin/python -m pytest
