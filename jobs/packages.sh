#!/bin/bash
# The Debian packages of this project, in one place. Installs those that are missing and is silent and fast when none
# is. The names exist in Debian 12 and 13.
#
#   jobs/packages.sh build   what the program needs to be built and run
#   jobs/packages.sh test    that, and what the tests and checks need
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build pkg-config
    libopenmpi-dev openmpi-bin libdnnl-dev libopenblas-dev
    libtiff-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev
    libsqlite3-dev libyaml-dev libcyaml-dev libjansson-dev)
test=(clang libomp-dev clang-format clang-tidy cppcheck codespell libcriterion-dev sqlite3 git procps)

case "${1:-}" in
build) wanted=("${build[@]}") ;;
test) wanted=("${build[@]}" "${test[@]}") ;;
*)
    echo "usage: jobs/packages.sh build | test" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "packages.sh: this is not Debian; please install the equivalents of: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "packages.sh: neither root nor sudo: ask an administrator for: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi
echo "packages.sh: installing ${missing[*]}"
"${root[@]}" apt-get update -q
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
