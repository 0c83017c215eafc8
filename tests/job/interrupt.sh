#!/bin/bash
# SIGTERM: the job stops at the next step, keeps what is complete, says how to go on and exits 4; `rmp status` knows how
# far it is, `rmp resume` does the rest; the results are those of an undisturbed run. A job in a folder that holds
# another job's results is refused, unless --restart is said.
source "$(dirname "$0")/lib.sh"
many 24
write_job calm "$work/many"
expect 0 "$rmp" dataset "$work/calm.yaml"
images() { find "$1/images" -name '*.png' 2>/dev/null | wc -l; }

dir=$work/stopped
"$rmp" dataset "$work/calm.yaml" --set "output.dir=$dir" >"$work/log" 2>&1 &
job=$!
for ((i = 0; i < 1200; i++)); do
    [ "$(images "$dir")" -lt 4 ] || break
    kill -0 "$job" 2>/dev/null || fail "the job ended before it could be stopped"
    sleep 0.02
done
kill -TERM "$job"
code=0
timeout 60 tail --pid="$job" -f /dev/null || fail "the job did not stop within a minute"
wait "$job" || code=$?
[ "$code" -eq 4 ] || fail "exit $code after SIGTERM"
logged "of 24 items are done; the same command continues"
grep -q "interrupted" "$dir/log.txt" || fail "log.txt does not say that the job was interrupted"
done_then=$(images "$dir")
if [ "$done_then" -lt 4 ] || [ "$done_then" -ge 24 ]; then fail "$done_then of 24 were done when the job was stopped"; fi
whole_images "$dir" "$work/calm"

expect 0 "$rmp" status "$dir"
logged "^$dir: $done_then of 24 items done, 0 of them failed, $((24 - done_then)) left"
expect 2 "$rmp" dataset "$work/calm.yaml" --set "output.dir=$dir" --set seed=8
logged "seed.*--restart"
expect 0 "$rmp" resume "$dir"
same_results "$work/calm" "$dir"
expect 0 "$rmp" dataset "$work/calm.yaml" --set "output.dir=$dir" # nothing is left
same_results "$work/calm" "$dir"

expect 0 "$rmp" dataset "$work/calm.yaml" --set "output.dir=$dir" --set seed=8 --restart
cmp -s "$work/calm/metrics.csv" "$dir/metrics.csv" && fail "--restart with another seed gave the same metrics"
expect 2 "$rmp" resume "$work/nothing"
expect 2 "$rmp" status "$work/nothing"
exit 0
