#!/bin/bash
# --dry-run writes nothing; a finished job is continued, not repeated; --restart repeats it; another job's folder is
# refused; `rmp report` and `rmp status` tell what is there; paths do not depend on the current folder.
source "$(dirname "$0")/lib.sh"
many 6
write_job job "$work/many"

cd /
expect 0 "$rmp" dataset "$work/job.yaml" --dry-run
logged '6'
logged 'memory|MiB'
logged 'likelihood: moment'
[ ! -e "$work/job" ] || fail "--dry-run wrote something"

# The memory that is asked for is that of the image which pads to the most, here a strip of fewer pixels.
mkdir "$work/strip"
cp "$root/tests/fixtures/strip.png" "$photos/coffee5.png" "$work/strip"
expect 0 "$rmp" dataset "$work/job.yaml" --dry-run --set "input.images=$work/strip"
logged 'largest 1 x 2200'

expect 0 "$rmp" dataset "$work/job.yaml"
expect 0 "$rmp" status "$work/job"
logged '6'
inodes() { stat -c '%n %i' "$work"/job/images/*; }
before=$(inodes)
expect 0 "$rmp" dataset "$work/job.yaml"
[ "$before" = "$(inodes)" ] || fail "a finished job was done again"

# The resolved job, moved elsewhere, gives the same bytes.
cp "$work/job/job.yaml" "$work/again.yaml"
expect 0 "$rmp" dataset "$work/again.yaml" --set "output.dir=$work/again"
same_results "$work/job" "$work/again"

expect 2 "$rmp" dataset "$work/job.yaml" --set solver.T=5
logged 'restart'
logged 'solver\.T was 4 and is now 5'
expect 2 "$rmp" dataset "$work/job.yaml" --set batch=3
logged 'batch was [0-9]+ and is now 3'
expect 2 "$rmp" dataset "$work/job.yaml" --set output.measurements=true
logged 'output\.measurements was false and is now true'
[ ! -e "$work/job/measurements" ] || fail "a refused job wrote something"

# What changes no byte of the results may change, and is written down: an interrupted job goes on with it.
cp -r "$work/job" "$work/changed"
kept='images/p00[0-3].png'
(cd "$work/changed" && sqlite3 results.sqlite "UPDATE items SET done = 0 WHERE item > 3;
    DELETE FROM results WHERE item > 3;" && rm images/p00[45].png)
inodes_kept() { (cd "$work/changed" && stat -c '%n %i' $kept); }
before=$(inodes_kept)
expect 0 "$rmp" dataset "$work/job.yaml" --set "output.dir=$work/changed" --set timeout=50 --set memory=1GiB \
    --set activations=recompute --set output.writer=ranks
[ "$before" = "$(inodes_kept)" ] || fail "what was done was done again"
same_results "$work/job" "$work/changed"
for line in 'timeout: 50' 'memory: 1GiB' 'activations: recompute' '  writer: ranks'; do
    grep -q "^$line" "$work/changed/job.yaml" || fail "job.yaml does not have $line"
done
expect 0 "$rmp" resume "$work/changed"
grep -q '^timeout: 50' "$work/changed/job.yaml" || fail "resume forgot the new time"
expect 0 "$rmp" dataset "$work/job.yaml" --set solver.T=5 --restart
! cmp -s "$work/job/metrics.csv" "$work/again/metrics.csv" || fail "--restart did nothing"

# A restart leaves nothing of the former job: no image of an item that is gone or fails now.
cp -r "$work/again" "$work/anew"
expect 3 "$rmp" dataset "$work/again.yaml" --set "output.dir=$work/anew" --set "input.images=$work/many/p00[12].png" \
    --set solver.likelihood=spectral --set solver.gamma=1e6 --restart # keys of moment say nothing about spectral
[ -z "$(ls "$work/anew/images")" ] || fail "images of the former job: $(ls "$work/anew/images")"

# An output folder that was moved is continued where it is.
cp -r "$work/again" "$work/moved"
sed -i "s|dir: .*|dir: $work/gone|" "$work/moved/job.yaml"
before=$(stat -c '%n %i' "$work"/moved/images/*)
(cd "$work" && expect 0 "$rmp" resume moved)
[ ! -e "$work/gone" ] || fail "the job went on where its folder was before"
[ "$before" = "$(stat -c '%n %i' "$work"/moved/images/*)" ] || fail "a finished job was done again in the moved folder"
grep -q "dir: .*$work/moved" "$work/moved/job.yaml" || fail "job.yaml has the old place"

# Reports are derived from the folder alone.
cp "$work/again/metrics.csv" "$work/metrics.csv"
rm "$work"/again/{metrics.csv,timings.csv,summary.json,report.html,contact_sheet.png}
expect 0 "$rmp" report "$work/again" "$work/job"
logged 'super-resolution x4 +6 +0 '
cmp "$work/metrics.csv" "$work/again/metrics.csv" || fail "rmp report makes another metrics.csv"
grep -q '"median"' "$work/again/summary.json" || fail "no summary.json"
[ "$(grep -o 'data:image/png' "$work/again/report.html" | wc -l)" = 18 ] || fail "not 6 x 3 pictures in the report"
[ "$(head -c 4 "$work/again/contact_sheet.png" | tail -c 3)" = PNG ] || fail "no contact sheet"

mkdir "$work/empty"
expect 2 "$rmp" report
for command in report status; do
    code=0
    timeout 60 "$rmp" $command "$work/empty" >"$work/log" 2>&1 || code=$?
    [ "$code" = 2 ] || fail "$command of a folder without results ended with $code"
    [ -z "$(ls "$work/empty")" ] || fail "$command left something behind"
done

expect 0 "$rmp" metrics "$work/many" "$work/again/images"
[ "$(wc -l <"$work/log")" = 7 ] || fail "not six pairs and their means"
rm "$work/again/images/p003.png"
expect 3 "$rmp" metrics "$work/many" "$work/again/images"
logged 'p003'
expect 2 "$rmp" metrics "$work/many" "$work/empty"

# What is printed is checked; a stream that the caller closed does not become the number of another file.
code=0
"$rmp" status "$work/again" >/dev/full 2>"$work/log" || code=$?
[ "$code" = 4 ] || fail "status into a full disk ended with $code"
logged 'standard output'
"$rmp" dataset "$work/job.yaml" --set solver.T=200 --set "output.dir=$work/closed" >&- 2>&- <&- &
job=$!
for ((i = 0; i < 100; i++)); do
    [ ! -e "$work/closed/results.sqlite" ] || break
    sleep 0.1
done
streams=$(readlink "/proc/$job/fd/0" "/proc/$job/fd/1" "/proc/$job/fd/2" | sort -u)
kill -9 "$job"
wait "$job" 2>/dev/null || true
[ "$streams" = /dev/null ] || fail "closed streams became $streams"
