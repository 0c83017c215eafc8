#include "jobs/compare.h"

#include "core/frechet.h"
#include "core/log.h"
#include "core/metrics.h"
#include "gpu/devices.h"
#include "io/file.h"
#include "io/image.h"
#include "io/source.h"
#include "jobs/fid.h"
#include "jobs/options.h"
#include "jobs/scorer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct rmp_compare_options {
    const char *lpips, *fid, *save;
    int64_t threads;
} rmp_compare_options;

typedef struct rmp_comparison {
    const rmp_compare_options *options;
    const char *other; /* DIR_B; NULL: there are no pairs */
    FILE *out;
    rmp_device *device; /* with scorer and nets where a network is asked for */
    rmp_scorer_nets *nets;
    rmp_scorer *scorer;
    rmp_frechet *features; /* of the set that is being read; NULL: no FID */
    int64_t pairs, alone, failed, finite, perceived;
    double psnr, ssim, lpips; /* sums; of finite PSNR only */
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

typedef struct rmp_scores {
    double psnr, ssim, lpips;
} rmp_scores;

static rmp_status score_lpips(rmp_comparison *c, const char *path, const rmp_image *a, const rmp_image *b, double *out)
{
    rmp_status status = rmp_scorer_lpips(c->scorer, a->values, b->values, a->shape, out);
    if (status != RMP_ERR_ARGUMENT) return status;
    RMP_LOG_WARN("metrics", "%s: %s", path, rmp_fail_message());
    rmp_fail_clear();
    return RMP_OK;
}

/* RMP_ERR_FORMAT where there is nothing to compare. */
static rmp_status score_pair(rmp_comparison *c, const char *path, const rmp_image *a, rmp_scores *out)
{
    rmp_image b = {{0, 0, 0}, NULL};
    char *partner = NULL;
    RMP_TRY(find_partner(c->other, path, &partner));
    RMP_CHECK(partner, RMP_ERR_FORMAT, "%s has no partner in %s", path, c->other);
    rmp_status status;
    RMP_TRY_GOTO(rmp_image_read(partner, &b), done);
    const rmp_shape p = a->shape, q = b.shape;
    RMP_CHECK_GOTO(p.h == q.h && p.w == q.w && p.c == q.c, RMP_ERR_FORMAT, done,
                   "%s is %" PRId64 " x %" PRId64 " with %" PRId64 " channels, %s is %" PRId64 " x %" PRId64
                   " with %" PRId64,
                   path, p.w, p.h, p.c, partner, q.w, q.h, q.c);
    out->psnr = rmp_psnr(a->values, b.values, p);
    out->ssim = rmp_ssim(a->values, b.values, p);
    if (c->options->lpips) status = score_lpips(c, path, a, &b, &out->lpips);
done:
    rmp_image_free(&b);
    free(partner);
    return status;
}

static void print_scores(rmp_comparison *c, const char *id, const rmp_scores *s)
{
    c->pairs++;
    c->ssim += s->ssim;
    if (isfinite(s->psnr)) {
        c->finite++;
        c->psnr += s->psnr;
    }
    fprintf(c->out, "%s\t%.6f\t%.6f", id, s->psnr, s->ssim);
    if (c->options->lpips) {
        if (isfinite(s->lpips)) {
            c->perceived++;
            c->lpips += s->lpips;
        }
        fprintf(c->out, "\t%.6f", s->lpips);
    }
    fputc('\n', c->out);
}

static rmp_status add_features(rmp_comparison *c, const rmp_image *image)
{
    float features[RMP_INCEPTION_FEATURES];
    if (!c->features) return RMP_OK;
    RMP_TRY(rmp_scorer_features(c->scorer, image->values, image->shape, features));
    return rmp_frechet_add(c->features, features);
}

/* One image that cannot be scored is told and counted, and does not end the work. */
static rmp_status note_failure(rmp_comparison *c, rmp_status status)
{
    if (status != RMP_ERR_FORMAT && status != RMP_ERR_IO && status != RMP_ERR_ARGUMENT) return status;
    RMP_LOG_WARN("metrics", "%s", rmp_fail_message());
    rmp_fail_clear();
    c->failed++;
    return RMP_OK;
}

static rmp_status compare_item(void *context, const rmp_item *item)
{
    rmp_comparison *c = context;
    rmp_scores scores = {NAN, NAN, NAN};
    rmp_image image = {{0, 0, 0}, NULL};
    rmp_status status = rmp_image_read(item->image, &image);
    if (status == RMP_OK) status = add_features(c, &image);
    if (status == RMP_ERR_ARGUMENT) status = rmp_fail_context(status, "%s", item->image);
    if (status != RMP_OK || !c->other) {
        rmp_image_free(&image);
        return note_failure(c, status);
    }
    status = score_pair(c, item->image, &image, &scores);
    rmp_image_free(&image);
    if (status == RMP_OK) {
        print_scores(c, item->id, &scores);
        return RMP_OK;
    }
    if (!c->features || status != RMP_ERR_FORMAT) return note_failure(c, status);
    rmp_fail_clear(); /* sets need no pairs for FID */
    c->alone++;
    return RMP_OK;
}

static bool is_statistics(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".npz") == 0;
}

/* Moments of a folder's features or of a file; *images is 0 for a file. Scores pairs on the way if c->other is set. */
static rmp_status take_moments(rmp_comparison *c, const char *set, rmp_fid_moments *out, int64_t *images)
{
    *images = 0;
    if (is_statistics(set)) return rmp_fid_read(set, out);
    RMP_TRY(rmp_frechet_create(RMP_INCEPTION_FEATURES, &c->features));
    rmp_status status;
    RMP_TRY_GOTO(rmp_source_scan(set, compare_item, c), done);
    *images = rmp_frechet_count(c->features);
    RMP_CHECK_GOTO(*images >= 2, RMP_ERR_CONFIG, done, "%s: FID needs at least 2 images, %" PRId64 " could be used",
                   set, *images);
    RMP_TRY_GOTO(rmp_fid_allocate(out), done);
    status = rmp_frechet_moments(c->features, out->mean, out->covariance);
done:
    rmp_frechet_destroy(&c->features);
    return status;
}

static rmp_status save(const char *path, const rmp_fid_moments *moments)
{
    char *folder;
    const char *slash = strrchr(path, '/');
    RMP_TRY(rmp_path_folder(path, &folder));
    rmp_status status = rmp_fid_write(folder, slash ? slash + 1 : path, moments);
    free(folder);
    return status;
}

static void print_set(FILE *out, const char *set, int64_t images)
{
    if (images > 0)
        fprintf(out, "%" PRId64 " images of %s", images, set);
    else
        fprintf(out, "statistics %s", set);
}

static void print_means(const rmp_comparison *c)
{
    if (c->pairs > 0) {
        fprintf(c->out, "mean of %" PRId64 "\t%.6f\t%.6f", c->pairs,
                c->finite > 0 ? c->psnr / (double)c->finite : INFINITY, c->ssim / (double)c->pairs);
        if (c->options->lpips) fprintf(c->out, "\t%.6f", c->perceived > 0 ? c->lpips / (double)c->perceived : NAN);
        fputc('\n', c->out);
        if (c->options->lpips)
            fprintf(c->out, "# LPIPS: %s; images as they are in their files, no resize\n",
                    rmp_perceptual_name(rmp_perceptual_net_kind(rmp_scorer_nets_lpips(c->nets))));
    }
    if (c->alone > 0)
        fprintf(c->out, "# %" PRId64 " images without a partner of their size are in FID only\n", c->alone);
}

static rmp_status compare_sets(rmp_comparison *c, int count, char *const set[])
{
    rmp_fid_moments moments[2] = {{NULL, NULL}, {NULL, NULL}};
    int64_t images[2] = {0, 0};
    double fid;
    rmp_status status;
    if (count == 2 && !is_statistics(set[0]) && !is_statistics(set[1])) c->other = set[1];
    RMP_TRY_GOTO(take_moments(c, set[0], &moments[0], &images[0]), done);
    c->other = NULL;
    print_means(c);
    if (c->options->save) RMP_TRY_GOTO(save(c->options->save, &moments[0]), done);
    if (count == 1) goto done;
    RMP_TRY_GOTO(take_moments(c, set[1], &moments[1], &images[1]), done);
    RMP_TRY_GOTO(rmp_fid_distance(c->device, &moments[0], &moments[1], NULL, &fid), done);
    fprintf(c->out, "FID\t%.9g\n# FID: inception; resize: %s; images as they are in their files; ", fid,
            RMP_SCORER_RESIZE);
    print_set(c->out, set[0], images[0]);
    fputs(" and ", c->out);
    print_set(c->out, set[1], images[1]);
    fputc('\n', c->out);
    for (int i = 0; i < 2; i++) {
        if (images[i] == 0 || images[i] >= RMP_SCORER_UNBIASED) continue;
        fprintf(c->out, "# %s\n", RMP_SCORER_BIASED);
        break;
    }
done:
    rmp_fid_free(&moments[0]);
    rmp_fid_free(&moments[1]);
    return status;
}

static rmp_status compare(rmp_comparison *c, int count, char *const set[])
{
    const rmp_compare_options *o = c->options;
    RMP_TRY(rmp_scorer_nets_open("--", o->lpips, o->fid, NULL, &c->nets));
    if (c->nets) {
        const rmp_device_request request = {.kind = "auto", .threads = (int)o->threads};
        RMP_TRY(rmp_device_create(&request, &c->device));
        RMP_TRY(rmp_scorer_create(c->device, c->nets, &c->scorer));
    }
    if (o->fid) return compare_sets(c, count, set);
    c->other = set[1];
    RMP_TRY(rmp_source_scan(set[0], compare_item, c));
    RMP_CHECK(c->pairs > 0, RMP_ERR_CONFIG, "no image of %s could be compared with one of %s", set[0], set[1]);
    print_means(c);
    return RMP_OK;
}

static rmp_status check_arguments(const rmp_compare_options *o, int count, char *const set[])
{
    RMP_CHECK(o->fid || !o->save, RMP_ERR_CONFIG, "--save-statistics needs --fid, the network");
    RMP_CHECK(count == 2 || o->save, RMP_ERR_CONFIG, "rmp metrics: two folders are needed; --help shows how");
    RMP_CHECK(!o->save || is_statistics(o->save), RMP_ERR_CONFIG, "--save-statistics %s: the name must end with .npz",
              o->save);
    for (int i = 0; i < count; i++) {
        struct stat info;
        if (o->fid && is_statistics(set[i])) continue;
        RMP_CHECK(stat(set[i], &info) == 0 && S_ISDIR(info.st_mode), RMP_ERR_CONFIG, "%s is not a folder%s", set[i],
                  is_statistics(set[i]) ? "; statistics are compared with --fid" : "");
    }
    return RMP_OK;
}

#define AT(field) offsetof(rmp_compare_options, field)

rmp_status rmp_compare_command(int argc, char *argv[], FILE *out, int64_t *failed)
{
    static const rmp_option options_table[] = {
        {"lpips", "FILE", "weights of a network of LPIPS: one more column", RMP_OPTION_TEXT, AT(lpips), 0, 0, NULL,
         false},
        {"fid", "FILE", "weights of Inception-v3: FID of both sets, of any names and sizes, or .npz statistics",
         RMP_OPTION_TEXT, AT(fid), 0, 0, NULL, false},
        {"save-statistics", "OUT.npz", "of the first set, as pytorch-fid keeps them; DIR_B may be left out then",
         RMP_OPTION_TEXT, AT(save), 0, 0, NULL, false},
        {"threads", "N", "for the networks; default: all cores", RMP_OPTION_INTEGER, AT(threads), 1, 4096, NULL,
         false}};
    static const rmp_command command = {
        .name = "metrics",
        .arguments = "DIR_A DIR_B [options]",
        .summary = "Compares two folders of images, paired by file name without extension: one line a pair (id, PSNR "
                   "in dB,\nSSIM) and their means. PSNR of equal images is inf and not part of the mean. Runs as one "
                   "process, not\nunder mpirun.",
        .example = "rmp metrics photos results/sr4/images --lpips lpips_alex.safetensors",
        .options = options_table,
        .count = sizeof options_table / sizeof *options_table,
        .least = 1,
        .most = 2};
    rmp_compare_options options = {.threads = 0};
    char *set[2];
    int count = 0;
    bool help = false;
    RMP_TRY(rmp_command_parse(&command, argc, argv, &options, set, &count, &help));
    if (failed) *failed = 0;
    if (help) {
        rmp_command_help(&command, out);
        return RMP_OK;
    }
    RMP_TRY(check_arguments(&options, count, set));
    rmp_comparison c = {.options = &options, .out = out};
    rmp_status status = compare(&c, count, set);
    rmp_scorer_destroy(&c.scorer);
    rmp_scorer_nets_close(&c.nets);
    rmp_device_destroy(&c.device);
    if (failed) *failed = c.failed;
    return status;
}
