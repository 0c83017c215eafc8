/* `rmp metrics DIR_A DIR_B`: PSNR and SSIM of two folders of images, file by file. */
#pragma once

#include "core/status.h"

#include <stdio.h>

/* Images are paired by file name without extension; those of DIR_A that have no partner, a partner of another size or
 * cannot be read are reported and counted. Prints one line a pair in byte order of the names ("id psnr ssim",
 * tab-separated, %.6f) and the means to `out`. argv[0] is "metrics". RMP_ERR_CONFIG: usage, or no pair at all. *failed
 * (may be NULL) receives the number of images without a score. */
rmp_status rmp_compare_command(int argc, char *argv[], FILE *out, int64_t *failed) RMP_MUST_CHECK;
