#include "jobs/compare.h"

#include "core/log.h"
#include "core/metrics.h"
#include "io/file.h"
#include "io/image.h"
#include "io/source.h"
#include "jobs/options.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct rmp_comparison {
    const char *other; /* DIR_B */
    FILE *out;
    int64_t pairs, failed, finite;
    double psnr, ssim; /* sums; of finite PSNR only */
} rmp_comparison;

/* The file of `dir` with the name of `path` and any extension of an image; NULL in *out if there is none. */
static rmp_status find_partner(const char *dir, const char *path, char **out)
{
    static const char *const extension[] = {"png", "tiff", "tif", "jpg", "jpeg", "PNG", "TIFF", "TIF", "JPG", "JPEG"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    int stem = dot ? (int)(dot - name) : (int)strlen(name);
    *out = NULL;
    for (size_t i = 0; i < sizeof extension / sizeof *extension; i++) {
        char file[512], *candidate = NULL;
        struct stat info;
        if (snprintf(file, sizeof file, "%.*s.%s", stem, name, extension[i]) >= (int)sizeof file) return RMP_OK;
        RMP_TRY(rmp_path_join(dir, file, &candidate));
        if (stat(candidate, &info) == 0) {
            *out = candidate;
            return RMP_OK;
        }
        free(candidate);
    }
    return RMP_OK;
}

static rmp_status score(const char *a, const char *b, double *psnr, double *ssim)
{
    rmp_image first = {0}, second = {0};
    rmp_status status = rmp_image_read(a, &first);
    if (status != RMP_OK) return status;
    RMP_TRY_GOTO(rmp_image_read(b, &second), done);
    rmp_shape p = first.shape, q = second.shape;
    RMP_CHECK_GOTO(p.h == q.h && p.w == q.w && p.c == q.c, RMP_ERR_FORMAT, done,
                   "%s is %" PRId64 " x %" PRId64 " with %" PRId64 " channels, %s is %" PRId64 " x %" PRId64
                   " with %" PRId64,
                   a, p.w, p.h, p.c, b, q.w, q.h, q.c);
    *psnr = rmp_psnr(first.values, second.values, p);
    *ssim = rmp_ssim(first.values, second.values, p);
done:
    rmp_image_free(&first);
    rmp_image_free(&second);
    return status;
}

static rmp_status compare_item(void *context, const rmp_item *item)
{
    rmp_comparison *c = context;
    char *partner = NULL;
    double psnr = NAN, ssim = NAN;
    RMP_TRY(find_partner(c->other, item->image, &partner));
    rmp_status status = partner ? score(item->image, partner, &psnr, &ssim)
                                : RMP_FAIL(RMP_ERR_FORMAT, "%s has no partner in %s", item->image, c->other);
    free(partner);
    if (status == RMP_ERR_MEMORY) return status;
    if (status != RMP_OK) {
        RMP_LOG_WARN("metrics", "%s", rmp_fail_message());
        rmp_fail_clear();
        c->failed++;
        return RMP_OK;
    }
    c->pairs++;
    c->ssim += ssim;
    if (isfinite(psnr)) {
        c->finite++;
        c->psnr += psnr;
    }
    fprintf(c->out, "%s\t%.6f\t%.6f\n", item->id, psnr, ssim);
    return RMP_OK;
}

rmp_status rmp_compare_command(int argc, char *argv[], FILE *out, int64_t *failed)
{
    static const rmp_command command = {
        .name = "metrics",
        .arguments = "DIR_A DIR_B",
        .summary = "Compares two folders of images, paired by file name without extension: one line a pair (id, PSNR "
                   "in dB,\nSSIM) and their means. PSNR of equal images is inf and not part of the mean.",
        .example = "rmp metrics photos results/sr4/images",
        .least = 2,
        .most = 2};
    char *dir[2];
    int count = 0;
    bool help = false;
    RMP_TRY(rmp_command_parse(&command, argc, argv, NULL, dir, &count, &help));
    if (failed) *failed = 0;
    if (help) {
        rmp_command_help(&command, out);
        return RMP_OK;
    }
    for (int i = 0; i < 2; i++) {
        struct stat info;
        RMP_CHECK(stat(dir[i], &info) == 0 && S_ISDIR(info.st_mode), RMP_ERR_CONFIG, "%s is not a folder", dir[i]);
    }
    rmp_comparison c = {.other = dir[1], .out = out};
    RMP_TRY(rmp_source_scan(dir[0], compare_item, &c));
    if (failed) *failed = c.failed;
    RMP_CHECK(c.pairs > 0, RMP_ERR_CONFIG, "no image of %s could be compared with one of %s", dir[0], dir[1]);
    fprintf(out, "mean of %" PRId64 "\t%.6f\t%.6f\n", c.pairs, c.finite > 0 ? c.psnr / (double)c.finite : INFINITY,
            c.ssim / (double)c.pairs);
    return RMP_OK;
}
