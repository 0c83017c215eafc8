#!/bin/bash
# The blur of a network: its example job runs with formula weights, one code belongs to a job on any number of ranks, and
# what was saved of it repeats the measurement.
source "$(dirname "$0")/lib.sh"
job=$root/jobs/examples/nonlinear_blur.yaml
tiny=formula:$root/tests/fixtures/kernel_wizard_tiny.json
mkdir "$work/in"
cp "$photos/chelsea3.png" "$photos/rocket7.png" "$work/in"
small=(--set "operator.network=$tiny" --set "input.images=$work/in" --set solver.T=8)
clean=("${small[@]}" --set noise.kind=none)
sed '/sigma:/d; /range:/d' "$job" >"$work/clean.yaml"

# without the weights the message says where they are
expect 2 "$rmp" dataset "$job" --dry-run --set "output.dir=$work/none" --set "operator.network=$work/GOPRO_wVAE.pth"
logged 'operator.network: .*GOPRO_wVAE.pth: No such file.*VinAIResearch/blur-kernel-space-exploring'
expect 2 "$rmp" dataset "$job" --dry-run --set "output.dir=$work/none" --set operator.network=photo64
logged "score network 'adm', not a network 'kernel_wizard'"
sed "s|model: photo64|model: $tiny|" "$job" >"$work/prior.yaml"
expect 2 "$rmp" dataset "$work/prior.yaml" --dry-run --set "output.dir=$work/none" "${small[@]}"
logged "'kernel_wizard', which blurs images"

# ranks draw the same code and write the same bytes
expect 0 "$rmp" dataset "$job" --set "output.dir=$work/one" "${small[@]}"
expect 0 "${mpi2[@]}" "$rmp" dataset "$job" --set "output.dir=$work/two" --set batch=1 "${small[@]}"
for part in images measurements; do diff -r "$work/one/$part" "$work/two/$part" || fail "$part of two ranks"; done
[ -s "$work/one/measurements/kernels/nonlinear_blur.safetensors" ] || fail "no code is saved"
grep -q 'code_scale: 1.2' "$work/one/job.yaml" || fail "the resolved job has no code_scale"

# the saved code measures the same with another seed; another drawn one does not
expect 0 "$rmp" degrade "$work/clean.yaml" --set "output.dir=$work/first" "${clean[@]}"
code=$work/first/measurements/kernels/nonlinear_blur.safetensors
expect 0 "$rmp" degrade "$work/clean.yaml" --set "output.dir=$work/again" "${clean[@]}" --set seed=2 \
    --set "operator.code=$code"
diff -r "$work/first/measurements" "$work/again/measurements" || fail "the saved code measures otherwise"
expect 0 "$rmp" degrade "$work/clean.yaml" --set "output.dir=$work/other" "${clean[@]}" --set seed=2
! cmp -s "$code" "$work/other/measurements/kernels/nonlinear_blur.safetensors" || fail "two seeds, one code"
! cmp -s "$work/first/measurements/chelsea3.tiff" "$work/other/measurements/chelsea3.tiff" || fail "the code changes nothing"

# wrong codes
expect 2 "$rmp" dataset "$job" --dry-run --set "output.dir=$work/none" "${small[@]}" \
    --set "operator.code=$root/tests/fixtures/kernel_wizard_tiny.safetensors"
logged "kernel_wizard_tiny.safetensors: holds no tensor 'code'"
expect 2 "$rmp" dataset "$job" --dry-run --set "output.dir=$work/none" "${small[@]}" --set operator.code_scale=-1
logged 'operator.code_scale: .*is not accepted'
