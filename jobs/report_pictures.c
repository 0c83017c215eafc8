#include "core/log.h"
#include "io/file.h"
#include "jobs/message.h"
#include "jobs/picture.h"
#include "jobs/report_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void rmp_pictures_free(rmp_pictures *pictures)
{
    rmp_image_free(&pictures->original);
    rmp_image_free(&pictures->measurement);
    rmp_image_free(&pictures->restored);
    rmp_image_free(&pictures->deviation);
}

/* Replaces a picture by one of at most max_side pixels. */
static rmp_status shrink(rmp_image *image, int64_t max_side)
{
    rmp_image smaller;
    RMP_TRY(rmp_picture_shrink(image, max_side, &smaller));
    rmp_image_free(image);
    *image = smaller;
    return RMP_OK;
}

/* A picture of the report that cannot be had is missing in it, and that is all; only a lack of memory goes on up. */
static rmp_status tolerate(rmp_status status, const char *id, const char *what)
{
    if (status == RMP_OK || status == RMP_ERR_MEMORY) return status;
    RMP_LOG_WARN("report", "no picture of the %s of %s: %s", what, id, rmp_fail_message());
    rmp_fail_clear();
    return RMP_OK;
}

static rmp_status read_small(const char *path, int64_t max_side, rmp_image *out)
{
    RMP_TRY(rmp_image_read(path, out));
    return shrink(out, max_side);
}

/* The part of it that was worked on. */
static rmp_status read_original(const char *path, const rmp_row *row, int64_t max_side, rmp_image *out)
{
    RMP_TRY(rmp_image_read(path, out));
    if (row->height > 0) RMP_TRY(rmp_image_crop(out, row->height, row->width));
    return shrink(out, max_side);
}

/* DIR/measurements/ID.EXT, whatever the extension; *found false if there is none. */
static rmp_status kept_measurement(const rmp_finder *finder, const char *id, int64_t max_side, rmp_image *out,
                                   bool *found)
{
    static const rmp_image_format format[] = {RMP_PNG8, RMP_TIFF8};
    for (size_t i = 0; i < sizeof format / sizeof *format && !*found; i++) {
        char name[512], *path = NULL;
        struct stat info;
        if (snprintf(name, sizeof name, "measurements/%s.%s", id, rmp_image_format_extension(format[i])) >=
            (int)sizeof name)
            return RMP_OK;
        RMP_TRY(rmp_path_join(finder->dir, name, &path));
        rmp_status status = RMP_OK;
        *found = stat(path, &info) == 0;
        if (*found) status = read_small(path, max_side, out);
        free(path);
        RMP_TRY(status);
    }
    return RMP_OK;
}

static rmp_status find_measurement(const rmp_finder *finder, const rmp_item *item, int64_t max_side, rmp_image *out)
{
    bool found = false;
    RMP_TRY(kept_measurement(finder, item->id, max_side, out, &found));
    if (found) return RMP_OK;
    if (item->measurement) return read_small(item->measurement, max_side, out);
    if (!finder->measure || !item->image) return RMP_OK;
    RMP_TRY(finder->measure(finder->context, item, out));
    return shrink(out, max_side);
}

static rmp_status find_deviation(const rmp_finder *finder, const char *id, int64_t max_side, rmp_image *out)
{
    char name[512], *path = NULL;
    struct stat info;
    if (snprintf(name, sizeof name, RMP_FOLDER_UNCERTAINTY "/%s.png", id) >= (int)sizeof name) return RMP_OK;
    RMP_TRY(rmp_path_join(finder->dir, name, &path));
    const rmp_status status = stat(path, &info) == 0 ? read_small(path, max_side, out) : RMP_OK;
    free(path);
    return status;
}

rmp_status rmp_pictures_load(const rmp_finder *finder, const rmp_item *item, const rmp_row *row, int64_t max_side,
                             rmp_pictures *out)
{
    *out = (rmp_pictures){0};
    char *path = NULL;
    rmp_status status = RMP_OK;
    if (item->image)
        RMP_TRY_GOTO(tolerate(read_original(item->image, row, max_side, &out->original), item->id, "original"), done);
    RMP_TRY_GOTO(tolerate(find_measurement(finder, item, max_side, &out->measurement), item->id, "measurement"), done);
    if (row->output) {
        RMP_TRY_GOTO(rmp_path_join(finder->dir, row->output, &path), done);
        RMP_TRY_GOTO(tolerate(read_small(path, max_side, &out->restored), item->id, "restored image"), done);
    }
    if (isfinite(row->std))
        RMP_TRY_GOTO(tolerate(find_deviation(finder, item->id, max_side, &out->deviation), item->id, "deviation"),
                     done);
done:
    free(path);
    if (status != RMP_OK) rmp_pictures_free(out);
    return status;
}
