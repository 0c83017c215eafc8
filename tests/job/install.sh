#!/bin/bash
# Installed elsewhere the program finds its models, photographs and examples, from any folder, and writes where it is
# told and nowhere else.
source "$(dirname "$0")/lib.sh"
build=$(dirname "$rmp")
[ -f "$build/cmake_install.cmake" ] || exit 77 # not the program of a build folder
expect 0 cmake --install "$build" --prefix "$work/prefix"
mv "$work/prefix" "$work/moved"
rmp=$work/moved/bin/rmp
examples=$work/moved/share/rmp/examples
mkdir "$work/empty"
cd "$work/empty"

expect 0 "$rmp" model info photo64
for job in "$root"/jobs/examples/*.yaml; do
    name=$(basename "$job")
    case $name in nonlinear_blur.yaml | paper_*.yaml) continue ;; esac # need files that are not here
    command=dataset
    ! grep -q '^sweep:' "$job" || command=sweep
    # No place of its own, for it would be among the system's files.
    expect 2 "$rmp" $command "$examples/$name"
    logged 'output\.dir: missing.*--set output\.dir='
    expect 0 "$rmp" $command "$examples/$name" --set output.dir=out --set memory=2GiB --dry-run
    # Else it is the example of the source tree.
    expect 0 "$rmp" $command "$job" --set output.dir=out --set memory=2GiB --dry-run
    cp "$work/log" "$work/own"
    expect 0 "$rmp" $command "$examples/$name" --set output.dir=out --set memory=2GiB --dry-run
    diff <(sed "s|$root/jobs/||" "$work/own") <(sed "s|$work/moved/share/rmp/||" "$work/log") || fail "$name changed"
done
[ -z "$(ls -A)" ] || fail "something was written"

find "$work/moved" | sort >"$work/before"
expect 0 "$rmp" dataset "$examples/sr4.yaml" --set output.dir=out --set solver.T=3 --set solver.cg_iterations=1
[ "$(find out/images -name '*.png' | wc -l)" = 6 ] || fail "not six photographs"
expect 0 "$rmp" sweep "$examples/truth_gaussian.yaml" --grid method=ve_rmp,samples_10 --set output.dir=truth
find "$work/moved" | sort | diff "$work/before" - || fail "the installation was written to"
