# To be sourced: lets mpirun start ranks as root (containers) and keeps Open MPI quiet where a container forbids it to
# read another process's memory. `launch N COMMAND...` starts N ranks, also on fewer cores.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Open MPI 5: without this it complains of an unreachable network between ranks of one machine.
export OMPI_MCA_reachable=weighted

launch() {
    local ranks=$1
    shift
    mpirun --oversubscribe -n "$ranks" "$@"
}
