#!/bin/bash
# LPIPS and FID with formula weights: the same bits on 1, 2 and 4 ranks and after a job was stopped; what `rmp metrics`
# says of the same folders; statistics that NumPy reads; mistakes that are named.
source "$(dirname "$0")/lib.sh"
echo '{"architecture": "lpips_alex"}' >"$work/alex.json"
echo '{"architecture": "inception"}' >"$work/inception.json"
alex=formula:$work/alex.json
inception=formula:$work/inception.json
many 6
write_job scored "$work/many"
cat >>"$work/scored.yaml" <<YAML
metrics:
  lpips: formula:alex.json
  fid: formula:inception.json
YAML

# near_zero: the FID in the log is nothing beside that of the job (formula weights give small features, so a small one)
near_zero() {
    awk -v a="$(sed -nE 's/^FID\t//p' "$work/log")" -v b="$(fid "$work/scored")" 'BEGIN { exit !(a != "" && a < 1e-6 * b) }'
}

# fid DIR: what summary.json says
fid() { sed -n '/"fid": {/,/}/s/.*"value": \([-0-9.e+]*\),.*/\1/p' "$1/summary.json"; }

expect 0 "$rmp" dataset "$work/scored.yaml" --dry-run
logged "memory a rank: .*, metrics [0-9.]+ MiB"
expect 0 "$rmp" dataset "$work/scored.yaml"
logged "LPIPS +FID"
logged "FID: inception, bilinear to 299 x 299"
logged "fewer than 2048 images is biased"
for score in lpips lpips_input; do
    [ "$(column "$work/scored/metrics.csv" $score | grep -cE '^[0-9]+\.[0-9]{6}$')" = 6 ] || fail "no $score of six images"
done
grep -q '"network": "lpips_alex"' "$work/scored/summary.json" || fail "summary.json does not name the network"
grep -q '"reference": "ground truths"' "$work/scored/summary.json" || fail "summary.json does not name the reference"
[ -n "$(fid "$work/scored")" ] || fail "no FID in summary.json"
grep -q 'FID of 6 images against 6 ground truths' "$work/scored/report.html" || fail "no FID in report.html"

for n in 2 4; do
    expect 0 mpirun --oversubscribe -n $n "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/n$n"
    same_results "$work/scored" "$work/n$n"
    [ "$(fid "$work/scored")" = "$(fid "$work/n$n")" ] || fail "FID differs on $n ranks"
    for set in restored truth; do
        cmp "$work/scored/fid_$set.npz" "$work/n$n/fid_$set.npz" || fail "statistics differ on $n ranks"
    done
done

# A job that was stopped and goes on; a report made again needs no network.
dir=$work/stopped
"$rmp" dataset "$work/scored.yaml" --set "output.dir=$dir" --set batch=1 >"$work/log" 2>&1 &
job=$!
for ((i = 0; i < 1200; i++)); do
    [ "$(find "$dir/images" -name '*.png' 2>/dev/null | wc -l)" -lt 2 ] || break
    kill -0 "$job" 2>/dev/null || fail "the job ended before it could be stopped"
    sleep 0.02
done
kill -TERM "$job"
wait "$job" && fail "exit 0 after SIGTERM"
[ ! -e "$dir/fid_restored.npz" ] || fail "an FID of half a job"
expect 0 "$rmp" report "$dir"
[ -z "$(fid "$dir")" ] || fail "an FID of half a job in summary.json"
expect 0 "${mpi2[@]}" "$rmp" resume "$dir"
expect 0 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/once" --set batch=1
same_results "$work/once" "$dir"
[ "$(fid "$work/once")" = "$(fid "$dir")" ] || fail "FID differs after a stop"
cmp "$work/once/fid_restored.npz" "$dir/fid_restored.npz" || fail "statistics differ after a stop"
rm "$dir/summary.json"
expect 0 "$rmp" report "$dir"
[ "$(fid "$work/once")" = "$(fid "$dir")" ] || fail "rmp report forgot the FID"

# Restored images are 8-bit files: the command sees what the job scored.
expect 0 "$rmp" metrics "$work/scored/images" "$work/many" --lpips "$alex" --fid "$inception" \
    --save-statistics "$work/restored.npz"
logged "^# LPIPS: lpips_alex"
diff <(grep '^p0' "$work/log" | cut -f4) <(column "$work/scored/metrics.csv" lpips) || fail "another LPIPS of the same files"
printed=$(sed -nE 's/^FID\t//p' "$work/log")
[ "${printed/e-0/e-}" = "$(fid "$work/scored")" ] || fail "another FID of the same files"
cmp "$work/restored.npz" "$work/scored/fid_restored.npz" || fail "other statistics of the same files"
expect 0 "$rmp" metrics "$work/many" --fid "$inception" --save-statistics "$work/many.npz"
cmp "$work/many.npz" "$work/scored/fid_truth.npz" || fail "other statistics of the same files"
expect 0 "$rmp" metrics "$work/many" "$work/many.npz" --fid "$inception"
near_zero || fail "the FID of a folder with itself is not 0"

# Sets of other names and sizes, the second one a file of NumPy.
mkdir "$work/few"
cp "$photos/coffee5.png" "$work/few/a.png"
cp "$photos/rocket7.png" "$work/few/b.png"
expect 0 "$rmp" metrics "$work/few" "$work/many" --fid "$inception"
logged "2 images without a partner"
logged "2 images of .*few and 6 images of .*many"
expect 0 "$rmp" metrics "$work/few" --fid "$inception" --save-statistics "$work/few.npz"
if python3 -c 'import numpy' 2>/dev/null; then
    python3 - "$work/many.npz" "$work/packed.npz" <<'PYTHON' || fail "NumPy does not read the statistics"
import sys
import numpy
with numpy.load(sys.argv[1]) as file:
    mu, sigma = file["mu"], file["sigma"]
assert mu.shape == (2048,) and sigma.shape == (2048, 2048) and sigma.dtype == numpy.float64
assert numpy.array_equal(sigma, sigma.T)
numpy.savez_compressed(sys.argv[2], mu=mu, sigma=sigma)
PYTHON
    expect 0 "$rmp" metrics "$work/many.npz" "$work/packed.npz" --fid "$inception"
    near_zero || fail "statistics changed on their way through NumPy"
fi

# Statistics of a file instead of the ground truths.
expect 0 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/against" --set "metrics.fid_reference=$work/many.npz"
[ "$(fid "$work/scored")" = "$(fid "$work/against")" ] || fail "FID against the truths' statistics is another one"
[ ! -e "$work/against/fid_truth.npz" ] || fail "truths were not to be looked at"

# Mistakes
expect 2 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/bad" --set "metrics.lpips=$work/none.pth"
logged "metrics.lpips.*none.pth"
expect 2 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/bad" --set "metrics.lpips=$inception"
logged "metrics.lpips: .* holds inception"
expect 2 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/bad" --set "metrics.fid=$alex"
logged "metrics.fid: .* holds lpips_alex"
head -c 1000 "$work/many.npz" >"$work/cut.npz"
expect 2 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/bad" --set "metrics.fid_reference=$work/cut.npz"
logged "metrics.fid_reference.*cut.npz"
[ ! -e "$work/bad" ] || fail "a job with a mistake left something behind"
expect 2 "$rmp" dataset "$work/scored.yaml" --set "output.dir=$work/scored" --set metrics.lpips=null
logged "metrics.lpips was .*--restart"
expect 2 "$rmp" metrics "$work/many" --fid "$inception"
expect 2 "$rmp" metrics "$work/many.npz" "$work/few"
logged "compared with --fid"
expect 2 "$rmp" metrics "$work/many" "$work/few" --lpips "$inception"
logged "^error.*--lpips: .* holds inception"
