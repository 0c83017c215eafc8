#!/bin/bash
# Two jobs on one output folder: the second refuses, the first is not disturbed. The same for rmp degrade.
source "$(dirname "$0")/lib.sh"
many 40
write_job busy "$work/many"
"$rmp" dataset "$work/busy.yaml" >"$work/first" 2>&1 &
first=$!
cleanup() {
    kill -KILL "$first" 2>/dev/null || true # a stopped job would stay
    rm -rf "$work"
}
for ((i = 0; i < 1200; i++)); do
    [ "$(find "$work/busy/images" -name '*.png' 2>/dev/null | wc -l)" -lt 1 ] || break
    kill -0 "$first" 2>/dev/null || { cp "$work/first" "$work/log"; fail "the first job ended too early"; }
    sleep 0.05
done
kill -STOP "$first" # else it may be over before the second one has started on a busy machine
expect 2 "$rmp" dataset "$work/busy.yaml"
logged 'busy|in use|another'
expect 2 "${mpi2[@]}" "$rmp" dataset "$work/busy.yaml" --restart
expect 2 "$rmp" degrade "$work/busy.yaml"
logged 'in use'
[ ! -e "$work/busy/measurements" ] || fail "degrade wrote into a folder in use"
kill -CONT "$first"
wait "$first" || { cp "$work/first" "$work/log"; fail "the first job was disturbed"; }
[ "$(find "$work/busy/images" -name '*.png' | wc -l)" = 40 ] || fail "not all images"
expect 0 "$rmp" dataset "$work/busy.yaml"

many 120
"$rmp" degrade "$work/busy.yaml" --set "output.dir=$work/degraded" >"$work/first" 2>&1 &
first=$!
for ((i = 0; i < 6000; i++)); do
    [ ! -e "$work/degraded/measurements/p001.tiff" ] || break
    kill -0 "$first" 2>/dev/null || { cp "$work/first" "$work/log"; fail "degrade ended too early"; }
    sleep 0.01
done
kill -STOP "$first"
expect 2 "$rmp" degrade "$work/busy.yaml" --set "output.dir=$work/degraded"
logged 'in use'
expect 2 "$rmp" dataset "$work/busy.yaml" --set "output.dir=$work/degraded"
logged 'in use'
kill -CONT "$first"
wait "$first" || { cp "$work/first" "$work/log"; fail "degrade was disturbed"; }
[ "$(wc -l <"$work/degraded/measurements/manifest.csv")" = 121 ] || fail "not all measurements"
