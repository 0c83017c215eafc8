#!/bin/bash
# A weight file cut at any place, or with a damaged header: exit 2 with the file named, never a crash.
source "$(dirname "$0")/lib.sh"
model=$root/jobs/models/photo64.safetensors
description=$root/jobs/models/photo64.json
write_job cut "$photos"
[ ! -f "$description" ] || cp "$description" "$work/cut.json"

refused() {
    expect 2 "$rmp" dataset "$work/cut.yaml" --set "prior.model=$work/cut.safetensors"
    logged 'cut\.safetensors'
    [ ! -d "$work/cut/images" ] || [ -z "$(ls "$work/cut/images")" ] || fail "an image from a damaged model"
}

size=$(stat -c %s "$model")
for bytes in 0 1 7 8 9 100 5000 $((size / 2)) $((size - 1)); do
    head -c "$bytes" "$model" >"$work/cut.safetensors"
    refused
done
{ printf '\377\377\377\377\377\377\377\177'; tail -c +9 "$model"; } >"$work/cut.safetensors" # length of the header
refused
{ cat "$model"; printf 'more'; } >"$work/cut.safetensors"
refused
{ head -c 8 "$model"; printf '['; tail -c +10 "$model"; } >"$work/cut.safetensors" # JSON
refused
sed 's/time_embed\.0\.weight/time_embed.0.height/' "$model" >"$work/cut.safetensors" # same length, other name
expect 2 "$rmp" dataset "$work/cut.yaml" --set "prior.model=$work/cut.safetensors"
logged 'time_embed\.0\.weight'
