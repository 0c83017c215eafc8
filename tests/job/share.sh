#!/bin/bash
# Ranks of one node hold one copy of the packed weights: each is packed by one of them, it is in memory once, and the
# results are those of one rank. A rank that cannot take part keeps weights of its own.
source "$(dirname "$0")/lib.sh"
export RMP_LOG=debug
write_job one "$photos"
expect 0 "$rmp" dataset "$work/one.yaml" --set batch=1
! grep -q "weights are shared" "$work/log" || fail "one rank shares with nobody"

# numbers PATTERN: what \1 matches in the lines of the log, one a line
numbers() { sed -nE "s/.*$1.*/\1/p" "$work/log"; }
sum() { awk '{ s += $1 } END { print s + 0 }'; }

expect 0 "${mpi2[@]}" "$rmp" dataset "$work/one.yaml" --set batch=1 --set "output.dir=$work/two"
same_results "$work/one" "$work/two"
logged "weights are shared by 2 ranks of this node"
packed=$(numbers 'debug weights: ([0-9]+) packed and' | sum)
found=$(numbers 'debug weights: [0-9]+ packed and ([0-9]+) found' | sum)
[ "$packed" -gt 50 ] && [ "$packed" = "$found" ] ||
    fail "$packed weights were packed by the one or the other rank, but $found were found packed"
held=$(numbers 'all ranks together hold ([0-9.]+) MiB' | sort -n | tail -n 1)

# Less memory a rank is said to be needed; the batch is the same.
mib() { numbers 'memory a rank: ([0-9.]+) MiB' | head -n 1; }
expect 0 "$rmp" dataset "$work/one.yaml" --dry-run --set "output.dir=$work/dry"
alone=$(mib)
batch=$(numbers '^(batch: .*)$')
expect 0 "${mpi2[@]}" "$rmp" dataset "$work/one.yaml" --dry-run --set "output.dir=$work/dry"
logged "weights are shared by 2 ranks"
awk -v a="$alone" -v b="$(mib)" -v h="$held" 'BEGIN { exit !(a - b > 0.4 * h && a - b < 0.6 * h) }' ||
    fail "alone a rank needs $alone MiB, one of two $(mib) MiB, while they hold $held MiB together"
[ -n "$batch" ] && [ "$(numbers '^(batch: .*)$')" = "$batch" ] || fail "$batch on one rank, another one on two"

# Where a rank alone has no chance two ranks start; where it has, the batch is that of a rank alone.
tight=(--dry-run --set batch=1 --set activations=keep --set "output.dir=$work/dry")
expect 0 "$rmp" dataset "$work/one.yaml" "${tight[@]}"
alone=$(mib)
expect 0 "${mpi2[@]}" "$rmp" dataset "$work/one.yaml" "${tight[@]}"
between=$(awk -v a="$alone" -v b="$(mib)" 'BEGIN { printf "%d", (a + b) / 2 }')
expect 2 "$rmp" dataset "$work/one.yaml" "${tight[@]}" --set "memory=${between}MiB"
expect 0 "${mpi2[@]}" "$rmp" dataset "$work/one.yaml" "${tight[@]}" --set "memory=${between}MiB"
many 16
write_job batches "$work/many"
for memory in 60 80; do
    expect 0 "$rmp" dataset "$work/batches.yaml" --dry-run --set "memory=${memory}MiB"
    batch=$(numbers '^(batch: .*)$')
    expect 0 "${mpi2[@]}" "$rmp" dataset "$work/batches.yaml" --dry-run --set "memory=${memory}MiB"
    [ "$(numbers '^(batch: .*)$')" = "$batch" ] || fail "memory $memory MiB: $batch on one rank, another one on two"
done

# The mapping itself, while they work: its proportional share summed over the ranks is one copy, not two.
"${mpi2[@]}" "$rmp" dataset "$work/one.yaml" --set batch=1 --set solver.T=100 --set "output.dir=$work/watch" \
    >"$work/log" 2>&1 &
job=$!
# KiB of the proportional share of the packed weights, summed over the ranks of this job; how many map them
watch_ranks() {
    local process total=0 ranks=0 kib
    for process in /proc/[0-9]*; do
        cat "$process/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q "^$rmp dataset $work/one.yaml" || continue
        kib=$(awk '/memfd:rmp-weights/ { on = 1 } /^VmFlags/ { on = 0 } on && /^Pss:/ { s += $2 } END { print s + 0 }' \
            "$process/smaps" 2>/dev/null) || continue
        total=$((total + kib))
        ranks=$((ranks + (kib > 1024)))
    done
    echo "$ranks $total"
}
ranks=0
for ((i = 0; i < 300 && ranks < 2; i++)); do
    sleep 0.1
    ! [ "$(grep -c 'debug weights' "$work/log")" -ge 4 ] || read -r ranks kib < <(watch_ranks)
    kill -0 $job 2>/dev/null || break
done
kill $job 2>/dev/null || true
wait $job || true
[ "$ranks" = 2 ] || fail "two ranks with shared weights were not seen at work"
awk -v k="$kib" -v h="$held" 'BEGIN { m = k / 1024; exit !(m > 0.9 * h && m < 1.2 * h) }' ||
    fail "the ranks hold $((kib / 1024)) MiB of packed weights together, not $held"

# A limit on file sizes holds for such memory too: what does not fit every rank packs for itself, and no signal ends it.
# (Open MPI 5 has files of more than 8 MiB.)
expect 0 "${mpi2[@]}" bash -c 'ulimit -f 24576; exec "$@"' limited "$rmp" dataset "$work/one.yaml" --set batch=1 \
    --set "output.dir=$work/limited"
same_results "$work/one" "$work/limited"
[ "$(numbers 'debug weights: .* of this rank \(([0-9]+)\.[0-9] MiB' | sort -n | tail -n 1)" -ge 4 ] ||
    fail "more was shared than the limit allows"
