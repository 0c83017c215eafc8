#!/bin/bash
# Static checks: cppcheck and clang-tidy on every source file, codespell on every text. usage: tests/lint.sh BUILD,
# where BUILD has a compile_commands.json made for clang. clang-tidy's checks change from version to version: only
# version 14 counts.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=${1:?usage: tests/lint.sh BUILD}
status=0

codespell -L fo --skip '*.json,*.safetensors,*.png,*.tiff,build,results,.git' . || status=1

cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=invalidFunctionArg --suppress=uninitvar --error-exitcode=1 -j "$(nproc)" -I . core gpu io mpi jobs || status=1

if clang-tidy --version 2>/dev/null | grep -q 'version 14\.'; then
    mapfile -t sources < <(find core gpu io mpi jobs -name '*.c' | sort)
    printf '%s\0' "${sources[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>/dev/null || status=1
else
    echo "lint.sh: clang-tidy is not version 14: skipped"
fi
exit $status
