#!/bin/bash
# Static checks: codespell on every text, cppcheck and clang-tidy on every source file. usage: tests/lint.sh BUILD,
# where BUILD has a compile_commands.json made for clang. What these tools find changes from version to version, so
# only Debian 12's count, others are skipped: a newer tool must not fail the tests of an unchanged tree.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=${1:?usage: tests/lint.sh BUILD}
status=0

# is TOOL VERSION: whether it is that version; says so if not
is() {
    local found
    found=$("$1" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1) || true
    case $found in
    "$2" | "$2".*) return 0 ;;
    esac
    echo "lint.sh: $1 is version ${found:-unknown}, not $2: skipped"
    return 1
}

if is codespell 2.2; then
    codespell -L fo,nin --skip '*.json,*.safetensors,*.npz,*.png,*.tiff,build,results,.git' . || status=1
fi

if is cppcheck 2.10; then
    cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=invalidFunctionArg --suppress=uninitvar --error-exitcode=1 \
        -j "$(nproc)" -I . core gpu io mpi jobs || status=1
fi

if is clang-tidy 14; then
    mapfile -t sources < <(find core gpu io mpi jobs -name '*.c' | sort)
    printf '%s\0' "${sources[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>/dev/null || status=1
fi
exit $status
