#!/usr/bin/env bash
# Compare HEAD with BASE (the pull request's, unless given): dvc_plots/report.md and dvc_plots/index.html.
# HEAD_SHA: the commit to name and link, where HEAD is GitHub's temporary merge.
set -euo pipefail

base=${1:-$(ci/base.sh)}
mkdir -p dvc_plots
dvc plots diff "$(git rev-parse --short "$base")" HEAD -o dvc_plots --html-template plots/templates/offline.html
python -m ci.report "$base" HEAD --shown-as "${HEAD_SHA:-$(git rev-parse HEAD)}" > dvc_plots/report.md
cat dvc_plots/report.md >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
