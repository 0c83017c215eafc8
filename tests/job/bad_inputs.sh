#!/bin/bash
# What cannot be read is a failed row with its reason; the rest is done as if it were not there; exit 3.
source "$(dirname "$0")/lib.sh"
mkdir "$work/in"
cp "$photos/chelsea3.png" "$work/in/good1.png"
cp "$photos/coffee5.png" "$work/in/good2.png"
head -c 2000 "$photos/coffee5.png" >"$work/in/truncated.png"
: >"$work/in/empty.png"
printf 'II*\0\377\377\377\177' >"$work/in/directory.tiff"
echo 'not an image at all' >"$work/in/text.jpg"
mkdir "$work/in/folder.png"
ln -s "$work/nowhere.png" "$work/in/dangling.png"
mkfifo "$work/in/pipe.png"
cp "$photos/coffee6.png" "$work/in/secret.png"
bad='dangling directory empty folder pipe text truncated'
if [ "$(id -u)" -ne 0 ]; then # root reads everything
    chmod 000 "$work/in/secret.png"
    bad='dangling directory empty folder pipe secret text truncated'
fi
write_job bad "$work/in"

expect 3 "${mpi2[@]}" "$rmp" dataset "$work/bad.yaml"
for id in $bad; do
    row=$(grep "^$id," "$work/bad/metrics.csv") || fail "no row of $id"
    grep -q '^[^,]*,failed,.' <<<"$row" || fail "no reason: $row"
    ! ls "$work/bad/images/$id".* >/dev/null 2>&1 || fail "an image of $id"
done
for id in good1 good2; do
    [ -s "$work/bad/images/$id.png" ] || fail "no image of $id"
done
cp "$work/bad/metrics.csv" "$work/first.csv"
expect 3 "$rmp" dataset "$work/bad.yaml" --restart
cmp "$work/first.csv" "$work/bad/metrics.csv" || fail "metrics depend on the number of ranks"
grep -q 'id="failures"' "$work/bad/report.html" || fail "the report does not show the failures"

mkdir "$work/none"
: >"$work/none/empty.png"
write_job all_bad "$work/none"
expect 3 "$rmp" dataset "$work/all_bad.yaml"

# A size that the operator refuses fails by itself, also where it is the largest; if all are refused, the job is wrong.
mkdir "$work/two_sizes"
cp "$photos/chelsea3.png" "$root/tests/fixtures/formats/gray.png" "$work/two_sizes" # 48 x 48 and 37 x 53
write_job sizes "$work/two_sizes"
sed -i 's/kind: super_resolution/kind: inpaint_box/; s/  factor: 4/  box: [8, 50]\n  margin: 0/' "$work/sizes.yaml"
expect 3 "$rmp" dataset "$work/sizes.yaml"
grep -q '^chelsea3,failed,.*does not fit' "$work/sizes/metrics.csv" || fail "a box wider than the image was drawn"
grep -q '^gray,ok,' "$work/sizes/metrics.csv" || fail "one image that is too narrow kept the other from being restored"
expect 3 "$rmp" dataset "$work/sizes.yaml" # continued: the sizes come from the journal
expect 2 "$rmp" dataset "$work/sizes.yaml" --set 'operator.box=[60, 60]' --set "output.dir=$work/none_fit"
logged 'does not fit'
