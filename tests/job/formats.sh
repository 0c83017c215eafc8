#!/bin/bash
# Gray, 16-bit, float and TIFF inputs of odd sizes; every output format; measurements kept and used again through a
# manifest; masks; degrade.
source "$(dirname "$0")/lib.sh"
write_job formats "$root/tests/fixtures/formats" # 53x37 gray, 29x41, 50x33, 37x53

expect 0 "$rmp" dataset "$work/formats.yaml" --set output.measurements=true
[ "$(find "$work/formats/images" -name '*.png' | wc -l)" = 4 ] || fail "not four images"
size() { od -An -tu1 -j16 -N8 "$1" | awk '{ print $3 * 256 + $4 "x" $7 * 256 + $8 }'; } # of a PNG, below 65536
for image in gray=53x37 odd=29x41 float=50x33 deep=37x53; do
    [ "$(size "$work/formats/images/${image%=*}.png")" = "${image#*=}" ] || fail "the size of ${image%=*} changed"
done
[ "$(od -An -tu1 -j25 -N1 "$work/formats/images/gray.png" | tr -d ' ')" = 0 ] || fail "gray did not stay gray"
for id in gray odd float deep; do
    [ -s "$work/formats/measurements/$id.tiff" ] || fail "the measurement of $id was not kept"
done

for format in png16 tiff8 tiff16 tiff32f; do
    expect 0 "$rmp" dataset "$work/formats.yaml" --set output.format=$format --set "output.dir=$work/$format"
    case $format in png*) extension=png ;; *) extension=tiff ;; esac
    [ "$(find "$work/$format/images" -name "*.$extension" | wc -l)" = 4 ] || fail "not four images in $format"
    cmp "$work/formats/metrics.csv" "$work/$format/metrics.csv" || fail "metrics depend on the format $format"
done
expect 0 "$rmp" metrics "$work/png16/images" "$work/tiff16/images"
[ "$(grep -c -P '\tinf\t1\.000000$' "$work/log")" -ge 4 ] || fail "png16 and tiff16 hold different values"

# The measurement instead of the image: restored, and only the residual is scored.
{
    echo 'id,measurement'
    for file in "$work"/formats/measurements/{gray,odd}.tiff; do
        echo "$(basename "${file%.*}"),$file"
    done
} >"$work/list.csv"
write_job measured "$work/list.csv"
expect 0 "$rmp" dataset "$work/measured.yaml"
[ "$(find "$work/measured/images" -type f | wc -l)" = 2 ] || fail "not two images from measurements"
[ -z "$(column "$work/measured/metrics.csv" psnr | tr -d '\n')" ] || fail "a PSNR without a ground truth"
[ "$(column "$work/measured/metrics.csv" residual | grep -c .)" = 2 ] || fail "no residual"

# A mask of one's own, black where the image is missing.
printf '{"id": "masked", "image": "%s", "mask": "%s"}\n' "$root/tests/fixtures/formats/gray.png" \
    "$root/tests/fixtures/mask.png" >"$work/list.jsonl"
write_job masked "$work/list.jsonl"
sed -i 's/kind: super_resolution/kind: inpaint_mask/; /factor:/d; s/T: 4/T: 20/' "$work/masked.yaml"
expect 0 "$rmp" dataset "$work/masked.yaml"
gain=$(paste <(column "$work/masked/metrics.csv" psnr) <(column "$work/masked/metrics.csv" psnr_input) |
    awk '{ print $1 - $2 }')
awk -v gain="$gain" 'BEGIN { exit !(gain > 1) }' || fail "a mask over a quarter of the image: gain $gain dB"

# On a network of three channels a gray picture is measured once, not three times: what the restored one leaves over is
# noise of the level that was stated. Three independent measurements would be fitted to 0.8 of it.
write_job gray "$root/tests/fixtures/formats/gray.png"
sed -i 's/kind: super_resolution/kind: denoise/; /factor:/d; s/T: 4/T: 20/; s/sigma: 0.05/sigma: 0.4/' "$work/gray.yaml"
expect 0 "$rmp" dataset "$work/gray.yaml"
residual=$(column "$work/gray/metrics.csv" residual)
awk -v r="$residual" 'BEGIN { exit !(r > 0.9 * 0.4 && r < 1.1 * 0.4) }' || fail "noise of 0.4 left a residual of $residual"

# Measurements alone are those of the restoring job.
expect 0 "$rmp" degrade "$work/formats.yaml" --set "output.dir=$work/degraded"
diff -r -x manifest.csv "$work/formats/measurements" "$work/degraded/measurements" || fail "degrade makes other measurements"
[ ! -d "$work/degraded/images" ] || [ -z "$(ls "$work/degraded/images")" ] || fail "degrade restored something"

# The manifest that degrade writes is an input: the same measurements, restored and scored.
expect 0 "$rmp" dataset "$work/formats.yaml" --set "input.images=$work/degraded/measurements/manifest.csv" \
    --set "output.dir=$work/scored"
[ "$(column "$work/scored/metrics.csv" psnr | grep -c .)" = 4 ] || fail "no scores from a manifest of both"

# The middle of each picture only; what is smaller is a failed row, a size is no key of tensors.
write_job cropped "$photos"
expect 0 "$rmp" dataset "$work/cropped.yaml" --set "input.crop=[32, 24]"
grep -q '^  crop: \[32, 24\]' "$work/cropped/job.yaml" || fail "job.yaml does not have the crop"
awk -F, 'NR > 1 && ($NF != 24 || $(NF - 1) != 32) { exit 1 }' "$work/cropped/metrics.csv" || fail "other sizes than 32 x 24"
grep -q '<img' "$work/cropped/report.html" || fail "no pictures in the report"
expect 3 "$rmp" dataset "$work/cropped.yaml" --restart --set "input.crop=[64, 24]"
grep -q 'input.crop: it is 48 x 48, smaller than 64 x 24' "$work/cropped/metrics.csv" || fail "the reason is not told"
