#!/bin/bash
# Memory is checked before any work; what does not fit with all activations kept is computed again in blocks, with the same bytes.
source "$(dirname "$0")/lib.sh"
mkdir "$work/two"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/two"
write_job keep "$work/two"
expect 0 "$rmp" dataset "$work/keep.yaml" --set batch=2 --set activations=keep
expect 0 "$rmp" dataset "$work/keep.yaml" --set batch=2 --set activations=recompute --set "output.dir=$work/again"
same_results "$work/keep" "$work/again"

# MiB that the program says it will take
mib() { sed -nE 's/.*memory a rank: ([0-9.]+) MiB.*/\1/p' "$work/log" | head -n 1; }
expect 0 "$rmp" dataset "$work/keep.yaml" --dry-run --set batch=2 --set activations=keep --set "output.dir=$work/dry"
keep=$(mib)
expect 0 "$rmp" dataset "$work/keep.yaml" --dry-run --set batch=2 --set activations=recompute --set "output.dir=$work/dry"
again=$(mib)
between=$(awk -v a="$keep" -v b="$again" 'BEGIN { if (b >= a) exit 1; printf "%d", (a + b) / 2 }') ||
    fail "recomputing takes $again MiB, keeping $keep MiB"

expect 2 "$rmp" dataset "$work/keep.yaml" --set batch=2 --set activations=keep --set "memory=${between}MiB" --set "output.dir=$work/no"
logged "memory"
[ ! -e "$work/no" ] || fail "a job that does not fit left something behind"
expect 0 "$rmp" dataset "$work/keep.yaml" --set batch=2 --set "memory=${between}MiB" --set "output.dir=$work/auto"
same_results "$work/keep" "$work/auto"
expect 2 "$rmp" dataset "$work/keep.yaml" --set memory=1MiB --set "output.dir=$work/no"
logged "memory"
