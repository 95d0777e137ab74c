#!/usr/bin/env bash
# Print the commit that a pull request is compared with: the first parent of the merge that GitHub checks out (the
# event's base.sha can be older than it). A shallow clone knows its name only, so the commit is fetched.
set -euo pipefail

base=$(git cat-file commit HEAD | sed -n '/^$/q; /^parent /{s///p;q;}')
if [[ -z $base ]]; then
    echo "error: HEAD has no parent to compare with" >&2
    exit 1
fi
git cat-file -e "$base^{commit}" 2>/dev/null || git fetch --quiet --depth=1 origin "$base"
echo "$base"
