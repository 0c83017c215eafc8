#!/bin/bash
# Standard deviations of the posterior: the same bytes on any number of ranks, kept when a job goes on, refused where
# they make no sense; what only analytic priors know is refused to networks.
source "$(dirname "$0")/lib.sh"
some=(--set uncertainty.method=hutchinson --set uncertainty.probes=3 --set uncertainty.cg_iterations=1)
mkdir "$work/photos"
cp "$photos/chelsea3.png" "$photos/coffee5.png" "$photos/rocket7.png" "$work/photos"
write_job alone "$work/photos"

expect 0 "$rmp" dataset "$work/alone.yaml" "${some[@]}" --set batch=1 --dry-run
logged 'network evaluations and gradients an image: at most 17$' # 4 levels of an evaluation and a gradient; the 9 below
expect 0 "$rmp" dataset "$work/alone.yaml" "${some[@]}" --set batch=1
[ "$(find "$work/alone/uncertainty" -type f | sort | sed 's/.*\///' | tr '\n' ' ')" = \
    'chelsea3.png chelsea3.tiff coffee5.png coffee5.tiff rocket7.png rocket7.tiff ' ] || fail "not two files an image"
[ "$(column "$work/alone/metrics.csv" std_evaluations | sort -u)" = 9 ] || fail "3 probes are not 3 x (D, J, CG)"
[ "$(column "$work/alone/metrics.csv" evaluations | sort -u) $(column "$work/alone/metrics.csv" vjps | sort -u)" = '4 4' ] ||
    fail "4 levels are not 4 evaluations and 4 gradients"
column "$work/alone/metrics.csv" std | awk '!($1 > 0.01 && $1 < 1) { exit 1 }' || fail "deviations make no sense"
column "$work/alone/metrics.csv" coverage | awk '!($1 > 0.3 && $1 <= 1) { exit 1 }' || fail "coverage makes no sense"
grep -q 'standard deviation: black 0, white' "$work/alone/report.html" || fail "the report does not show the deviations"
logged 'coverage'
for n in 2 4; do
    expect 0 mpirun --oversubscribe -n $n "$rmp" dataset "$work/alone.yaml" "${some[@]}" --set batch=1 \
        --set "output.dir=$work/n$n"
    same_results "$work/alone" "$work/n$n"
    diff -r "$work/alone/uncertainty" "$work/n$n/uncertainty" || fail "deviations differ on $n ranks"
done

# What is asked for belongs to the job.
expect 2 "$rmp" dataset "$work/alone.yaml" --set batch=1
logged 'uncertainty\.method'

# Ground truth: std beside x.
truth=$root/jobs/examples/truth_gaussian.yaml
for n in 1 2 4; do
    expect 0 mpirun --oversubscribe -n $n "$rmp" sweep "$truth" --grid method=ve_rmp,samples_10 --set batch=4 \
        --set "output.dir=$work/truth$n"
    cmp "$work/truth1/sweep.csv" "$work/truth$n/sweep.csv" || fail "the sweep differs on $n ranks"
    cmp "$work/truth1/cells/ve_rmp/restored.safetensors" "$work/truth$n/cells/ve_rmp/restored.safetensors" ||
        fail "restored vectors differ on $n ranks"
done
head -c 400 "$work/truth1/cells/ve_rmp/restored.safetensors" | grep -aq '"std"' || fail "no deviations beside x"
column "$work/truth1/sweep.csv" distance_mean | {
    read -r rmp_distance
    read -r samples_distance
    awk -v a="$rmp_distance" -v b="$samples_distance" 'BEGIN { exit !(a > 0 && 100 * a < b) }'
} || fail "RMP is not far closer to the posterior mean than ten posterior samples"

# Refusals.
exact=(--set uncertainty.method=exact --set "output.dir=$work/exact")
expect 2 "$rmp" dataset "$work/alone.yaml" "${exact[@]}" --dry-run
logged 'uncertainty\.method: exact takes at most 4096 values an image, not 6912'
expect 2 "$rmp" dataset "$work/alone.yaml" "${exact[@]}"
[[ ! -e $work/exact ]] || fail "a job that is refused has made its folder"
expect 2 "$rmp" sweep "$work/alone.yaml" --grid solver.T=1,2 "${exact[@]}" --dry-run
logged 'uncertainty\.method: exact takes at most 4096 values an image, not 6912'
expect 2 "$rmp" dataset "$work/alone.yaml" --set operator.kind=hdr --set solver.likelihood=dps "${some[@]}" --dry-run
logged 'uncertainty\.method: needs a linear operator'
expect 2 "$rmp" dataset "$work/alone.yaml" --set solver.kind=posterior_samples --dry-run
logged 'posterior_samples needs an analytic prior'
expect 2 "$rmp" dataset "$work/alone.yaml" --set solver.likelihood=exact --dry-run
logged 'exact needs an analytic prior'
