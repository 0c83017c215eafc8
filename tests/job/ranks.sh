#!/bin/bash
# The same bytes without mpirun and on 1, 2 and 4 ranks; summary.json too, but for the two objects that tell of the run.
source "$(dirname "$0")/lib.sh"
many 10
write_job alone "$work/many"

expect 0 "$rmp" dataset "$work/alone.yaml"
[ "$(column "$work/alone/metrics.csv" status | sort -u | wc -l)" = 1 ] || fail "not all items have the same status"
[ "$(find "$work/alone/images" -type f | wc -l)" = 10 ] || fail "not ten images"
for file in job.yaml results.sqlite timings.csv summary.json report.html contact_sheet.png log.txt; do
    [ -s "$work/alone/$file" ] || fail "no $file"
done
! grep -qE '<script|(src|href)="?(https?:|/)' "$work/alone/report.html" || fail "report.html is not self-contained"
[ "$(grep -o 'data:image/png' "$work/alone/report.html" | wc -l)" -ge 27 ] || fail "pictures are missing in the report"

# What does not depend on the run: summary.json up to "hardware", without the name of the output folder.
stable() { sed -e '/"hardware"/,$d' -e '/"dir": /d' -e '/"job_text": /d' "$1/summary.json"; }

for n in 1 2 4; do
    expect 0 mpirun --oversubscribe -n $n "$rmp" dataset "$work/alone.yaml" --set "output.dir=$work/n$n"
    same_results "$work/alone" "$work/n$n"
    [ "$(stable "$work/alone")" = "$(stable "$work/n$n")" ] || fail "summary.json differs on $n ranks"
done
[ "$(column "$work/n2/timings.csv" rank | sort -u | wc -l)" = 2 ] || fail "the second of two ranks had nothing to do"
