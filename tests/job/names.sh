#!/bin/bash
# Images whose names are those that masks and kernels could have: every file of measurements/ is its own.
source "$(dirname "$0")/lib.sh"
mkdir "$work/in"
i=0
for name in a a_mask a.mask kernel kernels masks motion_blur manifest; do
    files=("$photos"/*.png)
    cp "${files[i]}" "$work/in/$name.png"
    i=$((i + 1))
done
write_job masked "$work/in"
sed -i 's/kind: super_resolution/kind: inpaint_random/; /factor:/d; s/T: 4/T: 2/' "$work/masked.yaml"
write_job blurred "$work/in"
sed -i 's/kind: super_resolution/kind: motion_blur/; s/factor:.*/kernel_size: 15/; s/T: 4/T: 2/' "$work/blurred.yaml"
list() { (cd "$1" && find . -type f | sort); }
ids=$(cd "$work/in" && printf '%s\n' *.png)

for job in masked blurred; do
    expect 0 "$rmp" dataset "$work/$job.yaml" --set output.measurements=true
    expect 0 "$rmp" degrade "$work/$job.yaml" --set "output.dir=$work/$job.degraded"
    {
        for id in $ids; do
            printf '%s\n' "./$id" "./${id%.png}.tiff"
            [ $job = blurred ] || printf '%s\n' "./masks/$id"
        done
        [ $job = masked ] || printf '%s\n' ./kernels/motion_blur.png ./kernels/motion_blur.tiff
    } | sort >"$work/expected"
    list "$work/$job/measurements" | diff "$work/expected" - || fail "files of $job"
    diff -r -x manifest.csv "$work/$job/measurements" "$work/$job.degraded/measurements" || fail "degrade: $job"
    # Each one is what the same photograph gives by another name, in the same place of the order.
    rm -rf "$work/plain"
    mkdir "$work/plain"
    i=0
    for id in $ids; do
        cp "$work/in/$id" "$work/plain/p$i.png"
        i=$((i + 1))
    done
    expect 0 "$rmp" degrade "$work/$job.yaml" --set "input.images=$work/plain" --set "output.dir=$work/plain.$job"
    i=0
    for id in $ids; do
        (cd "$work/$job/measurements" && find . -name "$id" -o -name "${id%.png}.tiff") |
            grep -v '^./kernels/' | while IFS= read -r file; do
            cmp "$work/$job/measurements/$file" \
                "$work/plain.$job/measurements/$(dirname "$file")/p$i.${file##*.}" || fail "$job: $file is another's"
        done
        i=$((i + 1))
    done
done

# The manifest of degrade names measurements and masks of their own.
expect 0 "$rmp" dataset "$work/masked.yaml" --set "input.images=$work/masked.degraded/measurements/manifest.csv" \
    --set "output.dir=$work/again"
[ "$(column "$work/again/metrics.csv" status | sort -u)" = "$(column "$work/masked/metrics.csv" status | sort -u)" ] ||
    fail "the measurements of degrade cannot be restored"
paste -d, <(column "$work/masked/metrics.csv" psnr) <(column "$work/again/metrics.csv" psnr) |
    awk -F, '{ d = $1 - $2; if (d > 0.01 || d < -0.01) exit 1 }' || fail "the measurements of degrade are others"

# A kernel that was saved is read as it was used: the same blur, but for the 8 bits of the picture.
expect 0 "$rmp" degrade "$work/blurred.yaml" --set "output.dir=$work/given" --set operator.kernel_size=null \
    --set "operator.kernel_image=$work/blurred/measurements/kernels/motion_blur.tiff" --set noise.sigma=1e-6
expect 0 "$rmp" degrade "$work/blurred.yaml" --set "output.dir=$work/drawn" --set noise.sigma=1e-6
for id in $ids; do
    rm "$work/given/measurements/${id%.png}.tiff" "$work/drawn/measurements/${id%.png}.tiff"
done
expect 0 "$rmp" metrics "$work/drawn/measurements" "$work/given/measurements"
awk -F'\t' '$2 != "inf" && $2 < 55 { exit 1 }' "$work/log" || fail "a saved kernel blurs differently"
