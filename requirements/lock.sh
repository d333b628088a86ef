#!/bin/sh
# Writes the lock files anew from pyproject.toml. Needs `uv`; only who changes a dependency runs this.
cd "$(dirname "$0")/.." || exit 1
lock() { uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet "$@"; }
lock --group build -o requirements/run.txt
lock --group dev -o requirements/dev.txt
