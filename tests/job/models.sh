#!/bin/bash
# rmp model check and convert: a PyTorch checkpoint becomes a file that describes itself and gives the same bytes; what
# does not fit is listed, exit 2, and nothing is written.
source "$(dirname "$0")/lib.sh"
fixtures=$root/tests/fixtures
cp "$fixtures/torch/network.pt" "$work/net.pt"
given=(--set image_size=16 --set num_head_channels=32)

for command in "check $work/none.pt" "info $work/none.pt" "convert $work/none.pt $work/out.safetensors"; do
    # shellcheck disable=SC2086 # two words and more
    expect 2 "$rmp" model $command
    logged 'none\.pt: .*no such file'
done
expect 2 "$rmp" model check "$work/net.pt"
logged 'num_head_channels'
expect 0 "$rmp" model check "$work/net.pt" "${given[@]}"
logged 'architecture +adm'
logged 'parameters +1082182'
logged 'fits +yes'
expect 2 "$rmp" model check "$work/net.pt" --arch ncsnpp
expect 2 "$rmp" model check "$work/net.pt" "${given[@]}" --set out_channels=3 --set attention_resolutions=[]
logged 'misshapen +out\.2\.bias \(6\), needed is \(3\)'
logged 'unexpected +input_blocks\.4\.1\.qkv\.weight'
expect 2 "$rmp" model convert "$work/net.pt" "$work/out.safetensors" "${given[@]}" --set out_channels=3
[ ! -e "$work/out.safetensors" ] || fail "a network that does not fit was written"

expect 0 "$rmp" model convert "$work/net.pt" "$work/out.safetensors" "${given[@]}"
expect 0 "$rmp" model check "$work/out.safetensors"
logged 'described by +metadata'
expect 0 "$rmp" model check photo64
cat >"$work/net.json" <<'END'
{"architecture": "adm", "arguments": {"image_size": 16, "in_channels": 3, "model_channels": 32, "out_channels": 6,
 "num_res_blocks": 2, "attention_resolutions": [2], "channel_mult": [1, 2], "num_head_channels": 32,
 "use_scale_shift_norm": true}, "prediction": "eps",
 "schedule": {"kind": "vp_linear", "beta_start": 0.0001, "beta_end": 0.02, "steps": 1000}}
END
for name in net.pt out.safetensors; do
    expect 0 "$rmp" model eval "$work/$name" --input "$fixtures/adm_tiny_conv.safetensors" --output "$work/$name.out"
done
cmp "$work/net.pt.out" "$work/out.safetensors.out" || fail "the converted network computes something else"

# The checkpoint holds float16 already: nothing is lost.
expect 0 "$rmp" model convert "$work/net.pt" "$work/half.safetensors" --half
expect 0 "$rmp" model eval "$work/half.safetensors" --input "$fixtures/adm_tiny_conv.safetensors" \
    --output "$work/half.out"
cmp "$work/net.pt.out" "$work/half.out" || fail "the halved network computes something else"

expect 2 "$rmp" model convert "$work/net.pt" "$work/out.pt"

# Networks of metrics.
expect 0 "$rmp" model info "formula:$fixtures/lpips_alex.json" --size 64x48
logged 'architecture +lpips_alex'
logged 'GFLOP +0\.[0-9]+ a pair'
expect 2 "$rmp" model info "formula:$fixtures/lpips_alex.json" --size 64x30
logged 'at least 31 x 31'
expect 2 "$rmp" model convert "$work/net.pt" "$work/net.pt" "$work/two.safetensors"
logged 'is no classifier that linear layers of LPIPS go with'
[ ! -e "$work/two.safetensors" ] || fail "a file was made of two that do not go together"

for file in bad_evil.pt bad_tar.pt bad_script.pt; do
    expect 2 "$rmp" model check "$fixtures/torch/$file"
    logged "$file"
done
[ ! -e executed ] || fail "a checkpoint's code was run"

# One byte of a checkpoint's numbers changed: everything that would use them names the file and the entry.
cp "$work/net.json" "$work/damaged.json"
cp "$work/net.pt" "$work/damaged.pt"
place=$(($(stat -c %s "$work/net.pt") * 3 / 4))
byte=$(od -An -tu1 -j "$place" -N 1 "$work/net.pt")
printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$work/damaged.pt" bs=1 seek="$place" conv=notrunc status=none
write_job damaged "$photos"
for command in "model check $work/damaged.pt" "model convert $work/damaged.pt $work/damaged.safetensors" \
    "dataset $work/damaged.yaml --set prior.model=$work/damaged.pt"; do
    expect 2 "$rmp" $command
    logged "damaged\.pt.*zip entry '.*/data/[0-9]+': is damaged"
done
[ ! -e "$work/damaged.safetensors" ] || fail "a damaged checkpoint was converted"
