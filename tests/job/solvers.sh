#!/bin/bash
# The solvers that RMP is compared with, from job file to images: the same bytes on one rank and on two, evaluations as
# the README has them, and a resolved job that names no key of another solver.
source "$(dirname "$0")/lib.sh"
many 3
write_job base "$work/many"

# solver KIND EVALUATIONS KEY=VALUE...
solver() {
    local kind=$1 evaluations=$2 set=()
    shift 2
    for pair in "$@"; do set+=(--set "solver.$pair"); done
    expect 0 "$rmp" dataset "$work/base.yaml" --set "solver.kind=$kind" "${set[@]}" --set "output.dir=$work/$kind"
    expect 0 "${mpi2[@]}" "$rmp" dataset "$work/base.yaml" --set "solver.kind=$kind" "${set[@]}" \
        --set "output.dir=$work/$kind.2"
    same_results "$work/$kind" "$work/$kind.2"
    [ "$(column "$work/$kind/metrics.csv" evaluations | sort -u)" = "$evaluations" ] || fail "evaluations of $kind"
    grep -q "^  kind: $kind\$" "$work/$kind/job.yaml" || fail "job.yaml does not say $kind"
    ! grep -qE '^  (likelihood|T_in|spread|cg_iterations):' "$work/$kind/job.yaml" || fail "keys of RMP in a job of $kind"
}

solver dps 12 T=12 zeta=12
solver dps_mean 24 T=12 zeta=12 samples=2
solver mcg 6 T=6
solver ddrm 4 T=4
solver red_diff 8 T=8
solver diffpir 4 T=4
solver daps 6 T=3 ode_steps=2 langevin_steps=20

# the formula of another program gives what it gives, on operators that have a measurement for every pixel
expect 0 "$rmp" dataset "$work/base.yaml" --set solver.kind=mcg --set solver.mcg_variant=dps_repo --set solver.T=3 \
    --set operator.kind=inpaint_random --set "output.dir=$work/repo"
expect 2 "$rmp" dataset "$work/base.yaml" --set solver.kind=mcg --set solver.mcg_variant=dps_repo \
    --set "output.dir=$work/shapes"
logged 'solver.mcg_variant: dps_repo adds images and measurements, which for this operator differ in shape'
