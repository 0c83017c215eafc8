#!/bin/bash
# From a fresh clone to restored photographs: installs what is missing, builds, and lets two MPI ranks restore the
# photographs of jobs/data in three tasks. Run it again and it continues, or shows the table of what is done.
#
#   jobs/quickstart.sh              results go to results/quickstart in the repository
#   jobs/quickstart.sh --restart    the same, from the beginning
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source jobs/environment.sh

jobs/packages.sh build
cmake --preset release -DRMP_TESTS=OFF
cmake --build --preset release --target rmp

rmp=$root/build/release/rmp
results=results/quickstart
tasks=(sr4 inpaint_random gaussian_blur)
began=$SECONDS
for task in "${tasks[@]}"; do
    echo
    echo "== $task"
    launch 2 "$rmp" dataset "jobs/examples/$task.yaml" --set "output.dir=$results/$task" "$@"
done

echo
echo "== results ($((SECONDS - began)) s on $(nproc) cores)"
"$rmp" report "${tasks[@]/#/$results/}"
