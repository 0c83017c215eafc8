#!/bin/bash
# rmp sweep: the same bytes on 1, 2 and 4 ranks and after a rank was killed; every cell is what `rmp dataset` gives for
# its job; a sweep continues, grows, moves, is stopped and restarted; mistakes name the cell; the report holds everything.
source "$(dirname "$0")/lib.sh"
many 3
nets=$root/tests/fixtures
cat >"$work/s.yaml" <<YAML
input: {images: many}
prior: {model: photo64}
operator: {kind: denoise}
noise: {sigma: 0.05}
solver: {T: 2, cg_iterations: 1, sigma_max: 1}
seed: 7
device: cpu
output: {dir: alone}
sweep:
  task:
    sr4: {operator.kind: super_resolution, operator.factor: 4}
    inpaint: {operator.kind: inpaint_random, operator.fraction: 0.5}
  prior.model: ["formula:$nets/unet2d_tiny.json", "formula:$nets/unet2d_tiny_eps.json"]
  solver.T: [2, 3]
YAML
alone=$work/alone

expect 0 "$rmp" sweep "$work/s.yaml" --dry-run
logged 'sr4\.model=unet2d_tiny\.json\.T=2 +3 +1 +4 +[0-9.]+ MiB' # T evaluations, T gradients
logged 'cells: 8, items: 24'
logged '; 120 in all'
[ ! -e "$alone" ] || fail "--dry-run wrote something"

expect 0 "$rmp" sweep "$work/s.yaml"
logged 'best: by psnr, among cells that restore the same'
[ "$(grep -c 'best$' "$work/log")" -ge 2 ] || fail "the best cell of each task is not marked"
for file in job.yaml sweep.csv sweep_timings.csv summary.json report.html log.txt; do
    [ -s "$alone/$file" ] || fail "no $file"
done
[ "$(wc -l <"$alone/sweep.csv")" = 9 ] || fail "sweep.csv has not one row a cell"
head -1 "$alone/sweep.csv" | grep -q '^cell,task,prior.model,solver.T,items,failed,psnr,ssim,.*evaluations,vjps,cg_iterations,.*cost$' ||
    fail "head of sweep.csv: $(head -1 "$alone/sweep.csv")"
[ "$(column "$alone/sweep.csv" cell | head -1)" = sr4.model=unet2d_tiny.json.T=2 ] || fail "the first cell"
[ "$(column "$alone/sweep.csv" solver.T | tr '\n' ' ')" = '2 3 2 3 2 3 2 3 ' ] || fail "the last axis is not the fastest"
cells=$(column "$alone/sweep.csv" cell)

# The report: one file, well-formed, with everything in it.
! grep -qE '<script|(src|href)="?(https?:|/)' "$alone/report.html" || fail "report.html is not self-contained"
for part in 'class="heat"' 'class="curves"' 'class="front"' 'class="line"' 'td class="best"' 'data:image/png'; do
    grep -q "$part" "$alone/report.html" || fail "report.html has no $part"
done
python3 - "$alone/report.html" <<'PY' || fail "report.html is not well-formed"
import html.parser, sys
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []
    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
    def handle_startendtag(self, tag, attrs):
        pass
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
sys.exit(bool(page.open or page.wrong))
PY

# same_sweep DIR: its results are those of the sweep that ran alone
same_sweep() {
    local cell
    cmp "$alone/sweep.csv" "$1/sweep.csv" || fail "sweep.csv of $1 differs"
    [ "$(ls "$alone/cells")" = "$(ls "$1/cells")" ] || fail "cells of $1 differ"
    for cell in $cells; do
        same_results "$alone/cells/$cell" "$1/cells/$cell"
        for file in summary.json report.html contact_sheet.png job.yaml; do
            [ -s "$1/cells/$cell/$file" ] || fail "no $file of $cell in $1"
        done
        cmp "$alone/cells/$cell/contact_sheet.png" "$1/cells/$cell/contact_sheet.png" || fail "sheet of $cell differs"
    done
}
for n in 2 4; do
    expect 0 mpirun --oversubscribe -n $n "$rmp" sweep "$work/s.yaml" --set "output.dir=$work/n$n"
    same_sweep "$work/n$n"
done

# A cell is the output folder of a job by itself.
cell=$alone/cells/inpaint.model=unet2d_tiny_eps.json.T=3
expect 0 "$rmp" dataset "$cell/job.yaml" --set "output.dir=$work/one"
same_results "$cell" "$work/one"
diff <(grep -v '  dir:' "$cell/job.yaml") <(grep -v '  dir:' "$work/one/job.yaml") || fail "the jobs differ"
stable() { sed -e '/"hardware"/,$d' -e '/"dir": /d' -e '/"job_text": /d' "$1/summary.json"; }
[ "$(stable "$cell")" = "$(stable "$work/one")" ] || fail "the summaries differ"
expect 0 "$rmp" dataset "$cell/job.yaml" # nothing is left

# A rank is killed; the same command does the rest, and nothing twice.
dir=$work/killed
sweep=("${mpi2[@]}" "$rmp" sweep "$work/s.yaml" --set "output.dir=$dir")
images() { find "$1/cells" -name '*.png' -path '*/images/*' 2>/dev/null; }
"${sweep[@]}" >"$work/log" 2>&1 &
mpirun=$!
for ((i = 0; i < 1200; i++)); do
    [ "$(images "$dir" | wc -l)" -lt 7 ] || break
    kill -0 "$mpirun" 2>/dev/null || fail "the sweep ended before it could be killed"
    sleep 0.02
done
victim=$(pgrep -P "$mpirun" | tail -1)
kill -KILL "$victim"
timeout 60 tail --pid="$mpirun" -f /dev/null || fail "the sweep did not end within a minute of losing a rank"
wait "$mpirun" && fail "exit 0 after a rank was killed"
done_then=$(images "$dir" | wc -l)
[ "$done_then" -lt 24 ] || fail "all was done when the rank was killed"
expect 0 "$rmp" status "$dir"
logged 'a sweep of 8 cells'
committed=$(for c in "$dir"/cells/*; do sqlite3 "$c/results.sqlite" "SELECT '$c/' || output FROM results"; done)
inodes() { for f in $committed; do stat -c '%n %i' "$f"; done; }
before=$(inodes)
expect 0 "${sweep[@]}"
[ "$before" = "$(inodes)" ] || fail "images that were done have been made again"
same_sweep "$dir"

# A sweep that is stopped exits 4; its folder is moved; `rmp resume` does the rest.
"$rmp" sweep "$work/s.yaml" --set "output.dir=$work/stopped" >"$work/log" 2>&1 &
job=$!
for ((i = 0; i < 1200; i++)); do
    [ "$(images "$work/stopped" | wc -l)" -lt 4 ] || break
    kill -0 "$job" 2>/dev/null || fail "the sweep ended before it could be stopped"
    sleep 0.02
done
kill -TERM "$job"
code=0
wait "$job" || code=$?
[ "$code" -eq 4 ] || fail "exit $code after SIGTERM"
logged 'of 24 items are done; the same command continues'
mv "$work/stopped" "$work/moved"
expect 0 "$rmp" resume "$work/moved"
same_sweep "$work/moved"
cp "$work/moved/report.html" "$work/report.html"
expect 0 "$rmp" report "$work/moved"
logged 'best: by psnr'
cmp "$work/report.html" "$work/moved/report.html" || fail "rmp report makes another page"
cmp "$alone/sweep.csv" "$work/moved/sweep.csv" || fail "rmp report makes another sweep.csv"

# It may be given more values; another job's cell is refused by name; --restart begins anew.
grown=(--set "output.dir=$work/moved" --grid task=sr4 --grid "prior.model=formula:$nets/unet2d_tiny.json")
before=$(stat -c '%i' "$work/moved/cells/sr4.model=unet2d_tiny.json.T=3/images/p000.png")
expect 0 "$rmp" sweep "$work/s.yaml" "${grown[@]}" --grid solver.T=3,4
[ "$(column "$work/moved/sweep.csv" solver.T | tr '\n' ' ')" = '3 4 ' ] || fail "sweep.csv of the grown sweep"
[ "$before" = "$(stat -c '%i' "$work/moved/cells/sr4.model=unet2d_tiny.json.T=3/images/p000.png")" ] ||
    fail "a cell that was done was done again"
expect 2 "$rmp" sweep "$work/s.yaml" "${grown[@]}" --grid solver.T=3,4 --set seed=8
logged 'cell sr4.model=unet2d_tiny.json.T=3: .*seed was 7 and is now 8.*--restart'
expect 0 "$rmp" sweep "$work/s.yaml" "${grown[@]}" --grid solver.T=3 --set seed=8 --restart
! cmp -s "$work/moved/cells/sr4.model=unet2d_tiny.json.T=3/metrics.csv" \
    "$alone/cells/sr4.model=unet2d_tiny.json.T=3/metrics.csv" || fail "--restart did nothing"

# An item that fails is a failed row of its cells.
mkdir "$work/bad"
cp "$photos/coffee5.png" "$work/bad"
head -c 300 "$photos/chelsea3.png" >"$work/bad/cut.png"
small=(--grid task=sr4 --grid "prior.model=formula:$nets/unet2d_tiny.json" --set "output.dir=$work/some")
expect 3 "$rmp" sweep "$work/s.yaml" "${small[@]}" --set "input.images=$work/bad" --grid solver.T=2,3
[ "$(column "$work/some/sweep.csv" failed | tr '\n' ' ')" = '1 1 ' ] || fail "failed items are not counted"
grep -q 'fill="#fff"><title>.*1 of 2 items failed</title>' "$work/some/report.html" ||
    fail "curves do not mark cells with failed items"
expect 3 "$rmp" sweep "$work/s.yaml" "${small[@]}" --set "input.images=$work/bad" --grid solver.T=2,3 \
    --grid solver.s1=1,0.9 --set "output.dir=$work/heat"
grep -q '[0-9]\*</text>' "$work/heat/report.html" || fail "heat maps do not mark cells with failed items"

# Ground truth: sorted by the distance, which is the better the smaller it is.
expect 0 "$rmp" sweep "$root/jobs/examples/truth_gaussian.yaml" --grid method=ve_rmp --grid solver.T=2,30 \
    --set "output.dir=$work/truth"
logged '30 .* best$'
[ -s "$work/truth/cells/ve_rmp.T=30/restored.safetensors" ] || fail "no restored vectors of a ground-truth cell"

# Mistakes, before any work.
none=(--set "output.dir=$work/none")
expect 2 "$rmp" dataset "$work/s.yaml" "${none[@]}"
logged 's\.yaml:9: sweep: .*rmp sweep'
expect 2 "$rmp" sweep "$work/s.yaml" "${none[@]}" --grid solver.T=1,0
logged "solver\.T=1,0: solver\.T: '0' is not accepted"
expect 2 "$rmp" sweep "$work/s.yaml" "${none[@]}" --set solver.T=3
logged '--set solver\.T=3: the sweep varies this key'
expect 2 "$rmp" sweep "$work/s.yaml" "${none[@]}" --grid operator.std=2,3
logged 'cell sr4.*std=2.*operator\.std.* does not apply'
expect 2 "${mpi2[@]}" "$rmp" sweep "$work/s.yaml" "${none[@]}" --grid "prior.model=$work/a.safetensors,photo64"
logged 'cell sr4.model=a.safetensors.T=2: .*a\.safetensors'
expect 2 "$rmp" sweep "$work/s.yaml" "${none[@]}" --grid memory=1MiB,8GiB
logged 'cell sr4.*memory=1MiB: .*needs'
expect 2 "$rmp" sweep "$work/s.yaml" --set "output.dir=$work/one"
logged 'output\.dir: .*job by itself'
expect 2 "$rmp" sweep "$work/s.yaml" --resume --restart
[ ! -e "$work/none" ] || fail "a sweep that was refused wrote something"
expect 0 "$rmp" sweep --help
logged 'example'
exit 0
