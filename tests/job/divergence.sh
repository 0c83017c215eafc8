#!/bin/bash
# A solve that diverges is a failed row that says so, and no image.
source "$(dirname "$0")/lib.sh"
mkdir "$work/two"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/two"
write_job far "$work/two"
# a likelihood that weighs fifty times too much
expect 3 "$rmp" dataset "$work/far.yaml" --set solver.gamma=50
[ "$(column "$work/far/metrics.csv" status | sort -u)" = failed ] || fail "not all items failed"
grep -q 'diverged' "$work/far/metrics.csv" || fail "the reason is not named"
[ -z "$(ls -A "$work/far/images" 2>/dev/null)" ] || fail "an image of a solve that diverged"
