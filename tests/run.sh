#!/bin/bash
# All tests, from any directory: installs what is missing; builds with clang; runs the unit tests under the address and
# undefined-behaviour sanitizers; then everything on the release build, whose summary closes the output. The exit code
# is 0 only if all of it passed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source jobs/environment.sh

step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

step "packages"
jobs/packages.sh test

failed=()
step "build with clang"
cmake --preset clang -DRMP_TESTS=ON
cmake --build --preset clang || failed+=("clang build")

step "unit tests under ASan and UBSan"
cmake --preset asan -DRMP_TESTS=ON
if cmake --build --preset asan; then
    ctest --preset asan -L unit -LE heavy || failed+=("unit tests under ASan and UBSan")
else
    failed+=("asan build")
fi

step "static checks"
tests/lint.sh build/clang || failed+=("static checks")

step "all tests"
cmake --preset release -DRMP_TESTS=ON
if cmake --build --preset release; then
    ctest --preset release || failed+=("tests of the release build")
else
    failed+=("release build")
fi

echo
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "All tests passed in $SECONDS s."
