#!/bin/bash
# A full disk: an error in bounded time, no half file; with room again the job goes on to the same results.
source "$(dirname "$0")/lib.sh"
many 16
write_job full "$work/many"
expect 0 "$rmp" dataset "$work/full.yaml" --set "output.dir=$work/calm"

mkdir "$work/small"
if ! mount -t tmpfs -o size=4m tmpfs "$work/small" 2>"$work/log"; then
    echo "skipped: mounting a tmpfs is not allowed here"
    exit 77
fi
cleanup() {
    umount "$work/small" || true
    rm -rf "$work"
}
job=(--set "output.dir=$work/small/out")

# Room for the journal and a few images, whatever the program writes first.
for room in 16 120 200; do
    rm -rf "$work/small/out" "$work/small/filler"
    head -c "$(((4096 - room) * 1024))" /dev/zero >"$work/small/filler"
    code=0
    timeout -k 5 60 "${mpi2[@]}" "$rmp" dataset "$work/full.yaml" "${job[@]}" >"$work/log" 2>&1 || code=$?
    [ "$code" -ne 124 ] && [ "$code" -ne 137 ] || fail "no end within a minute on a full disk"
    [ "$code" -eq 4 ] || fail "exit $code instead of 4 on a full disk ($room KiB)"
    logged 'no space left|full'
    whole_images "$work/small/out" "$work/calm"
    rm "$work/small/filler"
    expect 0 "${mpi2[@]}" "$rmp" dataset "$work/full.yaml" "${job[@]}"
    same_results "$work/calm" "$work/small/out"
done
