#!/usr/bin/env bash
# Everything that tests, style and types need, as pinned.
set -euo pipefail

python -m pip install --quiet -r requirements-dev.lock
