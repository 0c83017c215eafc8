#!/bin/bash
# Each kind of mistake in a job file or on the command line: exit 2 before any work, with the key named.
source "$(dirname "$0")/lib.sh"
write_job good "$photos"

# mistake KEY SED: the job with that edit is refused, and the message names the key
mistake() {
    sed -E "$2" "$work/good.yaml" >"$work/wrong.yaml"
    ! cmp -s "$work/good.yaml" "$work/wrong.yaml" || fail "the edit did nothing: $2"
    expect 2 "$rmp" dataset "$work/wrong.yaml"
    logged "$1"
    [ ! -e "$work/good" ] || fail "an output folder appeared: $2"
}

mistake 'solver\.steps|steps' 's/^  T: 4/  steps: 4/'                        # unknown key
mistake 'answer' '1i answer: 42'                                             # unknown section
mistake 'input' '/^input:/,/images:/d'                                       # missing section
mistake 'operator\.kind' '/kind: super_resolution/d'                         # missing key
mistake 'solver\.T' 's/^  T: 4/  T: many/'                                   # wrong type
mistake 'solver\.T' 's/^  T: 4/  T: 4.5/'                                    # not an integer
mistake 'solver\.T' 's/^  T: 4/  T: 0/'                                      # out of range
mistake 'solver\.s1.*1\.9999' 's/^  T: 4/  T: 4\n  s1: 2/'                 # the message has what the solver takes
mistake 'solver\.T: 1000' 's/^  T: 4/  T: 1000/; s/ve_rmp/vp_rmp/'           # more than the network's schedule has
mistake 'solver\.cg_iterations' 's/likelihood: moment/likelihood: pigdm/'    # would have no effect
mistake 'solver\.likelihood.*moment' 's/likelihood: moment/likelihood: best/' # unknown word; the message lists them
mistake 'noise\.sigma' 's/sigma: 0.05/sigma: -1/'
mistake 'noise\.range' 's/\[-1,1\]/[-2,2]/'
mistake 'operator\.std' 's/^  factor: 4/  factor: 4\n  std: 3/'              # belongs to another kind
mistake 'photo65' 's/model: photo64/model: photo65/'                         # no such model
mistake 'nowhere' "s|images: .*|images: $work/nowhere|"                      # no such folder
mistake 'output' 's/^  dir: .*/  dir: ""/'
mistake 'line|wrong\.yaml:' 's/^seed: 7/seed: [7/'                           # not YAML
mistake 'seed' 's/^seed: 7/seed: 7\nseed: 8/'                                # twice

mistake 'wrong\.yaml:[0-9]+: a second' '$a---\nsolver:\n  T: 9'                # would not be read

expect 2 "$rmp" dataset "$work/absent.yaml"
logged 'absent\.yaml'
expect 2 "$rmp" dataset
expect 2 "$rmp" dataset "$work/good.yaml" --set solver.T=0
logged 'solver\.T'
expect 2 "$rmp" dataset "$work/good.yaml" --set solver.X=1
logged 'solver\.X|X'
expect 2 "$rmp" dataset "$work/good.yaml" --set nonsense
expect 2 "$rmp" dataset "$work/good.yaml" --resume --restart
expect 2 "$rmp" dataset "$work/good.yaml" --unknown
logged 'unknown'
expect 2 "$rmp" nonsense
logged 'nonsense'
expect 2 "${mpi2[@]}" "$rmp" dataset "$work/good.yaml" --set solver.T=0
expect 0 "$rmp" --help
expect 0 "$rmp" dataset --help
logged 'example'

mkdir "$work/nothing"
write_job empty "$work/nothing"
expect 2 "$rmp" dataset "$work/empty.yaml"
logged 'nothing'
mkdir "$work/both"
cp "$photos/coffee5.png" "$work/both"
write_job both "$work/both" # which is also its output.dir
expect 2 "$rmp" dataset "$work/both.yaml"
logged 'output\.dir.*input'
mkdir "$work/both/images" "$work/both/measurements"
for input in "$work/both/*.png" "$work/both/images" "$work/both/measurements/*"; do
    for command in dataset degrade; do
        cp "$photos/coffee5.png" "$work/both/images"
        cp "$photos/coffee5.png" "$work/both/measurements"
        expect 2 "$rmp" $command "$work/both.yaml" --set "input.images=$input"
        logged 'output\.dir.*input'
    done
done
[ -z "$(find "$work/both" -name '*.png' ! -exec cmp -s {} "$photos/coffee5.png" \; -print)" ] || fail "an input was replaced"
rm -r "$work/both/images" "$work/both/measurements"
[ "$(ls -A "$work/both")" = coffee5.png ] || fail "something was written among the inputs"
printf 'id,image\na,x.png\na,y.png\n' >"$work/twice.csv"
write_job twice "$work/twice.csv"
expect 2 "$rmp" dataset "$work/twice.yaml"
logged 'twice\.csv'
