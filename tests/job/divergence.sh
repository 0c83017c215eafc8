#!/bin/bash
# A solve that diverges is a failed row that says so, and no image; the other items are done.
source "$(dirname "$0")/lib.sh"
mkdir "$work/two"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/two"
write_job far "$work/two"
# a likelihood that weighs fifty times too much
expect 3 "$rmp" dataset "$work/far.yaml" --set solver.gamma=50
[ "$(column "$work/far/metrics.csv" status | sort -u)" = failed ] || fail "not all items failed"
grep -q 'diverged' "$work/far/metrics.csv" || fail "the reason is not named"
[ -z "$(ls -A "$work/far/images" 2>/dev/null)" ] || fail "an image of a solve that diverged"
# two levels are too few for a network: whatever comes out must be called by its name or be an image
expect 3 "$rmp" dataset "$work/far.yaml" --restart --set solver.T=2 --set solver.sigma_max=100
grep -q 'diverged' "$work/far/metrics.csv" || fail "two levels from 100 to 0.03 went unnoticed"
