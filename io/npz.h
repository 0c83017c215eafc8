/* Arrays of NumPy in a .npz file (a zip archive of .npy files): what pytorch-fid keeps means and covariances of
 * features in. Written: float64, stored, the same bytes for the same numbers. Read: float64 or float32, in C or Fortran
 * order, stored (numpy.savez) or deflated (numpy.savez_compressed); numbers of the machine's byte order, little-endian.
 */
#pragma once

#include "core/status.h"

typedef struct rmp_npz_array {
    const char *name; /* "mu" */
    int rank;         /* 1 or 2 */
    int64_t dims[2];
    double *values; /* row-major; borrowed: read into by rmp_npz_read */
} rmp_npz_array;

/* dir/name, atomically. RMP_ERR_IO. */
rmp_status rmp_npz_write(const char *dir, const char *name, int count, const rmp_npz_array arrays[]) RMP_MUST_CHECK;

/* Reads arrays of exactly these shapes; others in the file are left alone. RMP_ERR_FORMAT names the file, the array and
 * what is wrong with it: missing, damaged, another shape, another type, not finite. */
rmp_status rmp_npz_read(const char *path, int count, const rmp_npz_array arrays[]) RMP_MUST_CHECK;
