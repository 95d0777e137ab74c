#!/usr/bin/env bash
# Install DVC as pinned in requirements.lock, without the heavy packages that only the stages need.
set -euo pipefail

heavy='torch|triton|nvidia-|cuda-|numpy|scipy|pandas|pyarrow|scikit-learn|statsmodels|matplotlib|opencv-'
light=$(mktemp)
awk -v heavy="^($heavy)" '/^[^ #]/ { keep = $0 !~ heavy } keep' requirements.lock > "$light"
python -m pip install --quiet --no-deps --require-hashes -r "$light"
dvc --version
