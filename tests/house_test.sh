#!/bin/bash
# tests/house.sh must notice each kind of violation, and nothing in an orderly tree.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fresh() {
    rm -rf "$dir/tree"
    mkdir -p "$dir"/tree/{core,io,gpu,mpi,jobs,tests}
    echo 'int a;' >"$dir/tree/core/a.c"
    printf '#pragma once\n\nint b;\n' >"$dir/tree/io/b.h"
}

# notices TEXT: the check fails and its output has TEXT
notices() {
    local out
    if out=$("$here/house.sh" "$dir/tree" 2>&1); then
        echo "not noticed: $1"
        failed=1
    elif ! grep -qF -- "$1" <<<"$out"; then
        echo "wrong message for: $1"
        echo "$out"
        failed=1
    fi
}

fresh
"$here/house.sh" "$dir/tree" >/dev/null || { echo "an orderly tree is refused"; failed=1; }

fresh; echo >"$dir/tree/notes.md"; notices 'top-level entry notes.md'
fresh; echo '#include "io/b.h"' >"$dir/tree/core/a.c"; notices 'core may not include io/b.h'
fresh; echo '#include "jobs/b.h"' >"$dir/tree/mpi/a.c"; notices 'mpi may not include jobs/b.h'
fresh; echo '#include "b.h"' >"$dir/tree/io/c.c"; notices 'without its folder'
fresh; echo '#include "../io/b.h"' >"$dir/tree/core/a.c"; notices 'relative include'
fresh; echo '#include <mpi.h>' >"$dir/tree/io/c.c"; notices 'MPI outside'
fresh; echo 'void f(void) { MPI_Barrier(c); }' >"$dir/tree/core/a.c"; notices 'MPI outside'
fresh; echo '#include <cuda_runtime.h>' >"$dir/tree/core/a.c"; notices 'CUDA outside'
fresh; echo 'void f(void) { exit(1); }' >"$dir/tree/io/c.c"; notices 'ends the program'
fresh; seq 601 | sed 's,.*,int a;,' >"$dir/tree/core/a.c"; notices '601 lines'
fresh; echo "// see $dir/tree/x" >"$dir/tree/core/a.c"; notices 'path of this checkout'
fresh; echo '// /ho''me/me/data' >"$dir/tree/core/a.c"; notices 'a path of one machine'
fresh; echo '// TO''DO later' >"$dir/tree/core/a.c"; notices 'left to do'
fresh; printf 'int a;\t\n' >"$dir/tree/core/a.c"; notices 'trailing blank'
fresh; echo 'int b;' >"$dir/tree/io/b.h"; notices 'no #pragma once'
fresh; echo 'if then' >"$dir/tree/jobs/a.sh"; notices 'not valid bash'
exit $failed
