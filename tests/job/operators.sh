#!/bin/bash
# Operators that are not linear, that mix channels, compositions, Poisson noise: measurements have the sizes they should,
# are the same in any batch, and a job on the saved ones gives the bytes of the job that saved them.
source "$(dirname "$0")/lib.sh"
mkdir "$work/in"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/in"

# job NAME OPERATOR NOISE: 8 steps on the two photographs
job() {
    write_job "$1" "$work/in"
    awk -v op="$2" -v noise="$3" '
        /^operator:/ { print "operator: {" op "}"; skip = 1; next }
        /^noise:/ { print "noise: {" noise "}"; skip = 1; next }
        /^[a-z]/ { skip = 0 }
        skip || /likelihood|cg_iterations/ { next }
        { print }' "$work/$1.yaml" >"$work/$1.new"
    mv "$work/$1.new" "$work/$1.yaml"
}

# png FILE: width x height x colour type (0 gray, 2 RGB)
png() { od -An -j16 -N10 -tu1 "$1" | awk '{ print $3 * 256 + $4 "x" $7 * 256 + $8 "x" $10 }'; }

# measures NAME SIZE: rmp degrade with one and with two images at a time, and the picture's size
measures() {
    expect 0 "$rmp" degrade "$work/$1.yaml" --set "output.dir=$work/$1.m" --set batch=2
    expect 0 "$rmp" degrade "$work/$1.yaml" --set "output.dir=$work/$1.m2" --set batch=1
    diff -r "$work/$1.m/measurements" "$work/$1.m2/measurements" || fail "$1: the batch changes measurements"
    local size
    size=$(png "$work/$1.m/measurements/chelsea3.png")
    [ "$size" = "$2" ] || fail "$1: the measurement is $size, not $2"
}

# restores NAME COLUMN: a gain-blind run that fills this column of metrics.csv for every item
restores() {
    expect 0 "$rmp" dataset "$work/$1.yaml" --set "output.dir=$work/$1" --set output.measurements=true
    [ "$(column "$work/$1/metrics.csv" status | sort -u)" = ok ] || fail "$1: not all items are ok"
    [ "$(column "$work/$1/metrics.csv" "$2" | grep -c '[0-9]')" = 2 ] || fail "$1: no $2"
}

# again NAME: the measurements that were saved, from a manifest, give the same scores but for the rounding of the file,
# which holds (y + 1) / 2
again() {
    printf 'id,image,measurement\n' >"$work/$1.csv"
    for id in chelsea3 rocket7; do
        echo "$id,$work/in/$id.png,$work/$1/measurements/$id.tiff" >>"$work/$1.csv"
    done
    expect 0 "$rmp" dataset "$work/$1.yaml" --set "input.images=$work/$1.csv" --set "output.dir=$work/$1.again"
    paste <(column "$work/$1/metrics.csv" psnr) <(column "$work/$1.again/metrics.csv" psnr) |
        awk '{ d = $1 - $2; if (d > 0.01 || d < -0.01) exit 1; n++ } END { if (n != 2) exit 1 }' ||
        fail "$1: its own measurements give other images"
}

job hdr 'kind: hdr' 'kind: gaussian, sigma: 0.05'
measures hdr 48x48x2
restores hdr psnr_input
grep -q 'likelihood: dps' "$work/hdr/job.yaml" || fail "hdr: the likelihood is not dps"
again hdr

job gamma 'kind: gamma, gamma: 2.2' 'kind: poisson, gain: 200'
measures gamma 48x48x2
restores gamma psnr_input
again gamma

# one channel is measured, three are restored
job gray 'kind: grayscale' 'kind: gaussian, sigma: 0.05'
measures gray 48x48x0
restores gray psnr_input
again gray
[ "$(png "$work/gray/images/chelsea3.png")" = 48x48x2 ] || fail "gray: the restored image has no colours"
printf 'id,measurement\na,%s\n' "$work/in/chelsea3.png" >"$work/colour.csv"
expect 3 "$rmp" dataset "$work/gray.yaml" --set "input.images=$work/colour.csv" --set "output.dir=$work/colour"
grep -q 'the measurement has 3 channels, the operator measures 1' "$work/colour/metrics.csv" || fail "gray: any channels"

# magnitudes: a quarter of the side on each side, no input to compare with, and no Poisson noise
job phase 'kind: phase_retrieval' 'kind: gaussian, sigma: 0.05'
measures phase 72x72x2
expect 2 "$rmp" dataset "$work/phase.yaml" --dry-run --set noise.kind=poisson --set noise.sigma=null
logged 'noise.kind: poisson counts light'
expect 2 "$rmp" dataset "$work/phase.yaml" --dry-run --set solver.likelihood=moment
logged 'solver.likelihood: .*need a linear operator'
expect 2 "$rmp" dataset "$work/phase.yaml" --dry-run --set solver.kind=mcg
logged 'mcg projects'

# blur, half the size, a mask of that size
job chain 'kind: compose, parts: "gaussian_blur(kernel_size=9, std=1), super_resolution(factor=2), inpaint_random(fraction=0.3)"' \
    'kind: poisson'
measures chain 24x24x2
[ "$(png "$work/chain.m/measurements/masks/chelsea3.png")" = 24x24x0 ] || fail "chain: the mask has another size"
restores chain psnr_input
expect 0 "${mpi2[@]}" "$rmp" dataset "$work/chain.yaml" --set "output.dir=$work/chain.two" --set batch=1
same_results "$work/chain" "$work/chain.two"
printf 'id,image,mask\na,%s,%s\n' "$work/in/chelsea3.png" "$work/in/rocket7.png" >"$work/mask.csv"
expect 3 "$rmp" dataset "$work/chain.yaml" --set "input.images=$work/mask.csv" --set "output.dir=$work/mask"
grep -q 'the mask is 48 x 48, the measurement 24 x 24' "$work/mask/metrics.csv" || fail "chain: any mask"

# a kernel that is drawn is saved
job shaken 'kind: compose, parts: "motion_blur(kernel_size=9), grayscale"' 'kind: none'
measures shaken 48x48x0
[ -s "$work/shaken.m/measurements/kernels/compose.tiff" ] || fail "shaken: no kernel is saved"
