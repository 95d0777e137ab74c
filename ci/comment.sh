#!/usr/bin/env bash
# Post dvc_plots/report.md on the pull request, in one comment that later runs edit.
# From a fork the token may only read: the report stays in the step summary.
set -euo pipefail

if [[ $HEAD_REPOSITORY != "$GITHUB_REPOSITORY" ]]; then
    echo "no comment, for $HEAD_REPOSITORY is a fork: the report is in the summary of this run"
    exit 0
fi
gh pr comment "$PULL_REQUEST" --edit-last --create-if-none --body-file dvc_plots/report.md
