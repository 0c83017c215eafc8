#!/bin/bash
# Throughput of two ranks of one thread against one rank of one thread, on the photographs of jobs/data. The runs alternate;
# the fastest of each counts.   usage: tests/bench/ranks.sh [ROUNDS] [rmp dataset options]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
source jobs/environment.sh
rounds=${1:-2}
shift $(($# > 0 ? 1 : 0))
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Seconds from the first item handed out to the last committed, as the program itself notes them.
run() {
    OMP_NUM_THREADS=1 launch "$1" build/release/rmp dataset jobs/examples/sr4.yaml --restart --set batch=1 \
        --set "output.dir=$dir/$1" "${@:2}" >/dev/null 2>"$dir/log"
    awk -F '[:,]' '/"elapsed"/ { print $2 + 0 }' "$dir/$1/summary.json"
}

best1= best2=
for ((i = 0; i < rounds; i++)); do
    one=$(run 1 "$@")
    two=$(run 2 "$@")
    echo "round $((i + 1)): 1 rank $one s, 2 ranks $two s"
    best1=$(awk -v a="${best1:-1e9}" -v b="$one" 'BEGIN { print (a < b ? a : b) }')
    best2=$(awk -v a="${best2:-1e9}" -v b="$two" 'BEGIN { print (a < b ? a : b) }')
done
cmp "$dir/1/metrics.csv" "$dir/2/metrics.csv"
awk -v a="$best1" -v b="$best2" 'BEGIN { printf "2 ranks of one thread give %.2f times the throughput of one\n", a / b }'
