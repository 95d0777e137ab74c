#!/usr/bin/env bash
# The README's test command.
set -euo pipefail

pip install -r requirements-dev.lock && pytest
