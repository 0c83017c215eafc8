#!/bin/bash
# Every example job is valid as it is, and runs: those on images here with small photographs and few steps.
source "$(dirname "$0")/lib.sh"
count=0
for job in "$root"/jobs/examples/*.yaml; do
    name=$(basename "$job" .yaml)
    [ "$name" != nonlinear_blur ] || continue # needs weights that are not here: nonlinear_blur.sh
    [[ $name != paper_* ]] || continue        # and so do these: paper.sh
    command=dataset
    ! grep -q '^sweep:' "$job" || command=sweep
    expect 0 "$rmp" $command "$job" --dry-run --set "output.dir=$work/$name"
    small=()
    if grep -q '^ *images:' "$job"; then
        mkdir -p "$work/photos"
        cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/photos"
        small=(--set "input.images=$work/photos" --set solver.T=10)
        [ $command = dataset ] || small=(--set "input.images=$work/photos" --set input.crop=null)
        case $name in # some cells of the large ones
        sweep) small+=(--grid solver.T=8,10) ;;
        study) small+=(--grid task=sr4,inpaint70 --grid setting=default,pigdm) ;;
        inpaint_mask) small+=(--set "input.images=$root/jobs/data/chelsea.png") ;; # its mask has this size
        compare) small+=(--grid task=sr4 --grid method=ve_rmp) ;;
        *)
            if grep -q 'kind: inpaint_box' "$job"; then small+=(--set "operator.box=[16,16]" --set operator.margin=4); fi
            if grep -q 'kind: [a-z]*_blur' "$job"; then small+=(--set operator.kernel_size=9); fi
            ;;
        esac
    elif [ $command = sweep ]; then
        small=(--grid method=ve_rmp,dps,samples_10)
    fi
    expect 0 "$rmp" $command "$job" --set "output.dir=$work/$name" "${small[@]}"
    [ -s "$work/$name/report.html" ] || fail "no report of $name"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || fail "no examples"
