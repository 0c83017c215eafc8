#!/bin/bash
# The recipe of the paper's experiments runs on stand-ins: small photographs, the shipped network, networks of made-up
# weights for blur, faces and LPIPS, few steps. What comes out says nothing of the methods; every cell must get there.
source "$(dirname "$0")/lib.sh"
nets=$root/tests/fixtures
mkdir "$work/photos"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/photos"

# What is needed is named where it is missing.
expect 2 "$rmp" sweep "$root/jobs/examples/paper_ffhq.yaml" --dry-run --set "output.dir=$work/none"
logged 'ffhq_10m\.pt|ffhq/validation'

# Only files, sizes and numbers of steps are replaced.
sed -e "s|ffhq/validation\$|photos|; s|: ffhq_10m.pt|: photo64|; s|network: GOPRO_wVAE.pth|network: formula:$nets/kernel_wizard_tiny.json|" \
    -e "s|: lpips_vgg.safetensors|: formula:$nets/lpips_alex.json|" \
    -e 's/T: 30, solver.T_in: 20/T: 3, solver.T_in: 2/; s/T: 400/T: 12/; s/dps, solver.T: 1000/dps, solver.T: 20/; s/T: 1000/T: 4/' \
    -e 's/\[128, 128\]/[16, 16]/; s/margin: 16/margin: 4/; s/kernel_size: 61/kernel_size: 9/' \
    "$root/jobs/examples/paper_ffhq.yaml" >"$work/paper.yaml"
out=$work/out
expect 0 "${mpi2[@]}" "$rmp" sweep "$work/paper.yaml" --set "output.dir=$out" --set metrics.fid=null
table=$out/sweep.csv
[ "$(column "$table" items | awk '{ n += $1 } END { print n }')" = 52 ] || fail "not 26 cells of two items"
[ "$(column "$table" task | sort | uniq -c | awk '{ print $1 }' | sort | paste -sd' ')" = '3 3 4 4 4 4 4' ] ||
    fail "not the tasks and methods"
! grep -q '^[a-z_]*\.mcg,\(phase\|nonlinear\)' "$table" || fail "mcg in a task that is not linear"

# evaluations METHOD: those of super-resolution, which every method takes
evaluations() { grep -e '^cell,' -e "^sr4\.$1," "$table" >"$work/row.csv" && column "$work/row.csv" evaluations; }
[ "$(evaluations ve_rmp) $(evaluations vp_rmp) $(evaluations dps) $(evaluations mcg)" = '6 12 20 4' ] ||
    fail "evaluations"
head -1 "$table" | grep -q ',lpips,' || fail "no LPIPS"
for part in 'class="heat"' 'data:image/png' phase_retrieval nonlinear_blur mcg; do
    grep -q "$part" "$out/report.html" || fail "report.html has no $part"
done

# The kind of network that the faces have, with six channels out.
expect 0 "$rmp" sweep "$work/paper.yaml" --set "output.dir=$work/adm" --grid method=ve_rmp --set metrics.fid=null \
    --set metrics.lpips=null --set "prior.model=formula:$nets/adm_tiny_eps.json"
[ "$(wc -l <"$work/adm/sweep.csv")" = 8 ] || fail "not seven tasks"

# The comparison by evaluations, of the same files.
sed -e "s|ffhq/validation\$|photos|; s|: ffhq_10m.pt|: photo64|" -e 's/dps, solver.T: 1000/dps, solver.T: 20/' \
    -e 's/vp_rmp, solver.T: 50/vp_rmp, solver.T: 12/' "$root/jobs/examples/paper_evaluations.yaml" >"$work/evaluations.yaml"
expect 0 "$rmp" sweep "$work/evaluations.yaml" --set "output.dir=$work/evaluations"
[ "$(column "$work/evaluations/sweep.csv" evaluations | paste -sd' ')" = '12 20' ] || fail "not the two numbers of steps"

# FID as the recipe asks for it, with made-up weights of the real network, in one cell.
echo '{"architecture": "inception"}' >"$work/inception.json"
sed -e 's|: inception.safetensors|: formula:inception.json|' "$work/paper.yaml" >"$work/fid.yaml"
expect 0 "$rmp" sweep "$work/fid.yaml" --set "output.dir=$work/fid" --grid task=inpaint_random --grid method=ve_rmp
[ "$(column "$work/fid/sweep.csv" fid | grep -cE '^[0-9][0-9.e+-]*$')" = 1 ] || fail "no FID"
for set in restored truth; do
    [ -s "$work/fid/cells/inpaint_random.ve_rmp/fid_$set.npz" ] || fail "no statistics of the features, $set"
done
