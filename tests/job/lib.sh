# To be sourced by the whole-job tests: tests/job/X.sh BINARY. Gives them $rmp, $photos, a scratch folder $work that
# disappears, and the functions below. Every command is bounded in time.
set -euo pipefail
rmp=$(realpath "${1:?usage: $0 BINARY}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$root/jobs/environment.sh"
export OMP_NUM_THREADS=1
photos=$root/tests/fixtures/photos # eight, 48 x 48
work=$(mktemp -d)
cleanup() { rm -rf "$work"; }
trap cleanup EXIT

fail() {
    echo "FAILED: $*"
    if [ -s "$work/log" ]; then tail -n 40 "$work/log"; fi
    exit 1
}

# expect CODE COMMAND...: runs it with its output in $work/log; any other exit code fails the test
expect() {
    local want=$1 code=0
    shift
    timeout -k 5 120 "$@" >"$work/log" 2>&1 || code=$?
    [ "$code" -eq "$want" ] || fail "exit $code instead of $want: $*"
}

# To be put before a command: two ranks, four ranks.
mpi2=(mpirun --oversubscribe -n 2)
mpi4=(mpirun --oversubscribe -n 4)

logged() { grep -qiE -- "$1" "$work/log" || fail "the output does not mention: $1"; }

# write_job NAME IMAGES: a quick job $work/NAME.yaml with results in $work/NAME
write_job() {
    cat >"$work/$1.yaml" <<YAML
input:
  images: $2
prior:
  model: photo64
operator:
  kind: super_resolution
  factor: 4
noise:
  kind: gaussian
  sigma: 0.05
  range: "[-1,1]"
solver:
  kind: ve_rmp
  likelihood: moment
  T: 4
  init: zero
  cg_iterations: 1
seed: 7
device: cpu
output:
  dir: $work/$1
YAML
}

# many N: a folder $work/many of N photographs with different names
many() {
    local i=0 files=("$photos"/*.png)
    mkdir -p "$work/many"
    while [ "$i" -lt "$1" ]; do
        cp "${files[i % ${#files[@]}]}" "$work/many/$(printf 'p%03d.png' "$i")"
        i=$((i + 1))
    done
}

# column FILE NAME: that column of a metrics.csv, without the head
column() {
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"
}

# same_results A B: outputs and metrics are the same bytes
same_results() {
    diff -r "$1/images" "$2/images" || fail "images of $1 and $2 differ"
    cmp "$1/metrics.csv" "$2/metrics.csv" || fail "metrics of $1 and $2 differ"
}

# whole_images DIR REFERENCE: every file in DIR/images is a finished one, byte for byte
whole_images() {
    local file
    for file in "$1"/images/*; do
        [ -e "$file" ] || continue
        cmp "$file" "$2/images/$(basename "$file")" || fail "half a file: $file"
    done
}
