#!/bin/bash
# The house rules that a machine can check. usage: tests/house.sh [ROOT]; prints every violation, exit 1 if there is one.
set -euo pipefail
root=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" && pwd)
cd "$root"
violations=0

complain() {
    echo "house: $*"
    violations=$((violations + 1))
}

# What is, or is about to be, committed; without git everything but build folders.
list() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -path ./build -prune -o -path ./results -prune -o -path ./.git -prune -o -type f -printf '%P\n'
    fi
}
mapfile -t files < <(list | sort -u | while IFS= read -r f; do [ -f "$f" ] && echo "$f"; done)
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep -E '\.(c|h)$')
mapfile -t texts < <(printf '%s\n' "${files[@]}" | grep -Ev '\.(png|tiff?|jpe?g|safetensors|npz|json)$')

check_top() {
    local allowed=" jobs mpi core gpu io slurm tests CMakeLists.txt CMakePresets.json README.md LICENSE .ci .clang-format \
.clang-tidy .editorconfig .gitignore "
    local entry
    while IFS= read -r entry; do
        [[ $allowed == *" $entry "* ]] || complain "top-level entry $entry"
    done < <(printf '%s\n' "${files[@]}" | cut -d/ -f1 | sort -u)
}

# folder -> folders it may include
check_includes() {
    local -A may=([core]="core" [gpu]="core gpu" [io]="core io" [mpi]="core mpi"
        [jobs]="core gpu io mpi jobs" [tests]="core gpu io mpi jobs tests")
    local file folder line target
    for file in "${sources[@]}"; do
        folder=${file%%/*}
        while IFS= read -r line; do
            target=${line#*\"}
            target=${target%%\"*}
            case $target in
            ../* | ./*) complain "$file: relative include $target" ;;
            */*)
                [[ " ${may[$folder]:-} " == *" ${target%%/*} "* ]] || complain "$file: $folder may not include $target"
                ;;
            *) complain "$file: include \"$target\" without its folder" ;;
            esac
        done < <(grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file" || true)
    done
}

# complain_lines WHAT PATTERN FILE...: one complaint a matching line
complain_lines() {
    local what=$1 pattern=$2 line
    shift 2
    [ $# -gt 0 ] || return 0
    while IFS= read -r line; do
        complain "$what: $line"
    done < <(grep -nHE -- "$pattern" "$@" || true)
}

check_types() {
    local others
    mapfile -t others < <(printf '%s\n' "${sources[@]}" | grep -Ev '^(mpi|jobs|tests)/')
    complain_lines "MPI outside mpi/ and jobs/" \
        '<mpi\.h>|\bMPI_(Comm|Request|Status|Datatype|Op|Win|Group|Message|Init|Send|Recv|[A-Z][a-z_]+ *\()' "${others[@]}"
    mapfile -t others < <(printf '%s\n' "${sources[@]}" | grep -Ev '^gpu/cuda/')
    complain_lines "CUDA outside gpu/cuda/" '<(cuda|cudnn|cublas|nccl)|\bcuda[A-Z][A-Za-z]+|\b(cudnn|cublas|nccl)[A-Z]' \
        "${others[@]}"
    mapfile -t others < <(printf '%s\n' "${sources[@]}" | grep -Ev '^(jobs/main\.c|mpi/.*|tests/.*)$')
    complain_lines "only jobs/main.c ends the program" '(^|[^_[:alnum:]])(_?exit|_Exit|abort|MPI_Abort) *\(' "${others[@]}"
}

check_texts() {
    local file lines
    for file in "${texts[@]}"; do
        [ "$file" = LICENSE ] && continue
        lines=$(wc -l <"$file")
        [ "$lines" -le 600 ] || complain "$file has $lines lines, at most 600 are allowed"
    done
    local own='tests/house.sh' checked
    mapfile -t checked < <(printf '%s\n' "${texts[@]}" | grep -Fxv -e "$own" -e LICENSE)
    complain_lines "a path of one machine" '(^|[^A-Za-z0-9_.])/(home|Users|root|mnt|media)/[A-Za-z0-9_]' "${checked[@]}"
    complain_lines "left to do" '\b(TODO|FIXME|XXX)\b' "${checked[@]}"
    # The place of this checkout, wherever that is.
    local line
    while IFS= read -r line; do
        complain "the path of this checkout: $line"
    done < <(grep -nHF -- "$root/" "${checked[@]}" || true)
    complain_lines "tab or trailing blank" $'\t|[ ]+$' "${sources[@]}"
}

check_headers() {
    local file
    for file in "${sources[@]}"; do
        case $file in
        *.h) grep -q '^#pragma once$' "$file" || complain "$file: no #pragma once" ;;
        esac
    done
}

check_scripts() {
    local file
    for file in "${files[@]}"; do
        case $file in
        *.sh | .ci/run) bash -n "$file" || complain "$file: not valid bash" ;;
        esac
    done
}

# The formatter's rules differ between versions: only the one the house is formatted with counts.
check_format() {
    if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
        clang-format --dry-run --Werror "${sources[@]}" || complain "clang-format would change files"
    else
        echo "house: clang-format is not version 14: format not checked"
    fi
}

check_top
check_includes
check_types
check_texts
check_headers
check_scripts
check_format
if [ "$violations" -gt 0 ]; then
    echo "house: $violations violations"
    exit 1
fi
echo "house: ${#files[@]} files in order"
