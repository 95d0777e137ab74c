#!/usr/bin/env bash
# The README's test command.
set -euo pipefail

pip install -r requirements-dev.lock && pytest -n 2 --dist loadfile
