#!/usr/bin/env bash
# Style, format and types of all Python here; every check is made, and the first that fails does not hide the others.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=0
ruff check . || failed=1
ruff format --check --quiet . || { echo "run: ruff format ." >&2; failed=1; }
mypy || failed=1
exit "$failed"
