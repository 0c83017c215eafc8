#!/bin/bash
# SIGKILL of a rank in the middle of a job of 40 images: the job ends in bounded time with a failure; the same command
# again does what is missing and nothing else; the results are those of an undisturbed run.
source "$(dirname "$0")/lib.sh"
many 40
write_job calm "$work/many"
expect 0 "${mpi2[@]}" "$rmp" dataset "$work/calm.yaml"

# pid_of RANK MPIRUN: process of that rank among the children of an mpirun
pid_of() {
    local pid
    for pid in $(pgrep -P "$2"); do
        if tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then
            echo "$pid"
            return
        fi
    done
}

for victim in 0 1; do
    dir=$work/killed$victim
    job=("${mpi2[@]}" "$rmp" dataset "$work/calm.yaml" --set "output.dir=$dir")
    "${job[@]}" >"$work/log" 2>&1 &
    mpirun=$!
    for ((i = 0; i < 1200; i++)); do
        [ "$(find "$dir/images" -name '*.png' 2>/dev/null | wc -l)" -lt 6 ] || break
        kill -0 "$mpirun" 2>/dev/null || fail "the job ended before it could be killed"
        sleep 0.05
    done
    pid=$(pid_of "$victim" "$mpirun")
    [ -n "$pid" ] || fail "rank $victim not found"
    kill -KILL "$pid"
    code=0
    timeout 60 tail --pid="$mpirun" -f /dev/null || fail "the job did not end within a minute of losing rank $victim"
    wait "$mpirun" || code=$?
    [ "$code" -ne 0 ] || fail "exit 0 after rank $victim was killed"
    whole_images "$dir" "$work/calm"

    expect 0 "$rmp" report "$dir"
    committed=$(column "$dir/metrics.csv" id)
    count=$(wc -w <<<"$committed")
    if [ "$count" -eq 0 ] || [ "$count" -ge 40 ]; then fail "$count of 40 were done when rank $victim was killed"; fi
    inodes() { for id in $committed; do stat -c '%n %i' "$dir/images/$id.png"; done; }
    before=$(inodes)
    echo half >"$dir/images/.p000.png.tmp.1" # as a rank that is killed while it writes leaves it
    expect 0 "${job[@]}"
    [ -z "$(find "$dir" -name '.*.tmp.*')" ] || fail "half files stay: $(find "$dir" -name '.*.tmp.*')"
    [ "$before" = "$(inodes)" ] || fail "images that were done have been made again"
    same_results "$work/calm" "$dir"
    [ "$(column "$dir/timings.csv" id | sort -u | wc -l)" = 40 ] || fail "not every image once"
done
