#include "core/taps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows are collected one after another; entries of a row that fall on one position are summed in double. */
typedef struct builder {
    rmp_taps *taps;
    int64_t row, count, capacity;
    int64_t row_count, row_capacity;
    int64_t *row_index;
    double *row_weight;
} builder;

static void builder_clear(builder *b)
{
    rmp_taps_destroy(&b->taps);
    free(b->row_index);
    free(b->row_weight);
    *b = (builder){0};
}

static rmp_status taps_create(int64_t in, int64_t out_length, rmp_taps **out)
{
    *out = NULL;
    RMP_CHECK(in >= 1 && in <= INT32_MAX && out_length >= 1 && out_length <= INT32_MAX, RMP_ERR_ARGUMENT,
              "taps: lengths must be between 1 and 2^31 - 1, not %lld and %lld", (long long)in, (long long)out_length);
    rmp_taps *taps = calloc(1, sizeof *taps);
    if (taps) {
        taps->in = in;
        taps->out = out_length;
        taps->start = calloc((size_t)out_length + 1, sizeof *taps->start);
    }
    if (!taps || !taps->start) {
        rmp_taps_destroy(&taps);
        return RMP_FAIL(RMP_ERR_MEMORY, "out of memory for taps of %lld rows", (long long)out_length);
    }
    *out = taps;
    return RMP_OK;
}

static rmp_status builder_start(builder *b, int64_t in, int64_t out_length)
{
    *b = (builder){0};
    return taps_create(in, out_length, &b->taps);
}

static rmp_status builder_put(builder *b, int64_t index, double weight)
{
    if (b->row_count == b->row_capacity) {
        int64_t capacity = b->row_capacity ? 2 * b->row_capacity : 64;
        int64_t *index_grown = realloc(b->row_index, (size_t)capacity * sizeof *index_grown);
        if (index_grown) b->row_index = index_grown;
        double *weight_grown = realloc(b->row_weight, (size_t)capacity * sizeof *weight_grown);
        if (weight_grown) b->row_weight = weight_grown;
        RMP_CHECK(index_grown && weight_grown, RMP_ERR_MEMORY, "out of memory for a row of taps");
        b->row_capacity = capacity;
    }
    /* insertion keeps the row sorted; folded rows are short and nearly sorted */
    int64_t at = b->row_count;
    while (at > 0 && b->row_index[at - 1] > index)
        at--;
    if (at > 0 && b->row_index[at - 1] == index) {
        b->row_weight[at - 1] += weight;
        return RMP_OK;
    }
    memmove(b->row_index + at + 1, b->row_index + at, (size_t)(b->row_count - at) * sizeof *b->row_index);
    memmove(b->row_weight + at + 1, b->row_weight + at, (size_t)(b->row_count - at) * sizeof *b->row_weight);
    b->row_index[at] = index;
    b->row_weight[at] = weight;
    b->row_count++;
    return RMP_OK;
}

/* Ends the row; `scale` multiplies its weights. */
static rmp_status builder_end_row(builder *b, double scale)
{
    rmp_taps *taps = b->taps;
    if (b->count + b->row_count > b->capacity) {
        int64_t capacity = 2 * b->capacity + b->row_count + 64;
        int32_t *index = realloc(taps->index, (size_t)capacity * sizeof *index);
        if (index) taps->index = index;
        float *weight = realloc(taps->weight, (size_t)capacity * sizeof *weight);
        if (weight) taps->weight = weight;
        RMP_CHECK(index && weight, RMP_ERR_MEMORY, "out of memory for %lld taps", (long long)capacity);
        b->capacity = capacity;
    }
    for (int64_t i = 0; i < b->row_count; i++) {
        if (b->row_weight[i] == 0) continue;
        taps->index[b->count] = (int32_t)b->row_index[i];
        taps->weight[b->count] = (float)(b->row_weight[i] * scale);
        b->count++;
    }
    b->row_count = 0;
    taps->start[++b->row] = b->count;
    return RMP_OK;
}

static void builder_finish(builder *b, rmp_taps **out)
{
    *out = b->taps;
    b->taps = NULL;
    builder_clear(b);
}

void rmp_taps_destroy(rmp_taps **taps)
{
    if (!taps || !*taps) return;
    free((*taps)->start);
    free((*taps)->index);
    free((*taps)->weight);
    free(*taps);
    *taps = NULL;
}

static rmp_status allocate_entries(rmp_taps *taps, int64_t count)
{
    size_t n = count ? (size_t)count : 1;
    taps->index = malloc(n * sizeof *taps->index);
    taps->weight = malloc(n * sizeof *taps->weight);
    RMP_CHECK(taps->index && taps->weight, RMP_ERR_MEMORY, "out of memory for %lld taps", (long long)count);
    return RMP_OK;
}

rmp_status rmp_taps_copy(const rmp_taps *taps, rmp_taps **out)
{
    rmp_taps *copy;
    rmp_status status;
    *out = NULL;
    RMP_TRY(taps_create(taps->in, taps->out, &copy));
    int64_t count = taps->start[taps->out];
    RMP_TRY_GOTO(allocate_entries(copy, count), failed);
    memcpy(copy->start, taps->start, (size_t)(taps->out + 1) * sizeof *copy->start);
    if (count) {
        memcpy(copy->index, taps->index, (size_t)count * sizeof *copy->index);
        memcpy(copy->weight, taps->weight, (size_t)count * sizeof *copy->weight);
    }
    *out = copy;
    return RMP_OK;
failed:
    rmp_taps_destroy(&copy);
    return status;
}

rmp_status rmp_taps_transpose(const rmp_taps *taps, rmp_taps **out)
{
    rmp_taps *t;
    rmp_status status;
    *out = NULL;
    RMP_TRY(taps_create(taps->out, taps->in, &t));
    int64_t count = taps->start[taps->out];
    RMP_TRY_GOTO(allocate_entries(t, count), failed);
    for (int64_t e = 0; e < count; e++)
        t->start[taps->index[e] + 1]++;
    for (int64_t i = 0; i < t->out; i++)
        t->start[i + 1] += t->start[i];
    /* start[j] serves as the cursor of row j and ends as start[j + 1]: shifted back afterwards */
    for (int64_t i = 0; i < taps->out; i++) {
        for (int64_t e = taps->start[i]; e < taps->start[i + 1]; e++) {
            int64_t to = t->start[taps->index[e]]++;
            t->index[to] = (int32_t)i;
            t->weight[to] = taps->weight[e];
        }
    }
    memmove(t->start + 1, t->start, (size_t)t->out * sizeof *t->start);
    t->start[0] = 0;
    *out = t;
    return RMP_OK;
failed:
    rmp_taps_destroy(&t);
    return status;
}

rmp_status rmp_taps_from_dense(int64_t out_length, int64_t in_length, const double *matrix, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_TRY(builder_start(&b, in_length, out_length));
    for (int64_t i = 0; i < out_length; i++) {
        for (int64_t j = 0; j < in_length; j++) {
            double weight = matrix[i * in_length + j];
            if (weight != 0) RMP_TRY_GOTO(builder_put(&b, j, weight), failed);
        }
        RMP_TRY_GOTO(builder_end_row(&b, 1), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

static int64_t modulo(int64_t a, int64_t n)
{
    int64_t r = a % n;
    return r < 0 ? r + n : r;
}

/* ... 1 0 | 0 1 2 | 2 1 ... */
static int64_t mirror_half(int64_t j, int64_t length)
{
    int64_t r = modulo(j, 2 * length);
    return r < length ? r : 2 * length - 1 - r;
}

/* ... 2 1 | 0 1 2 | 1 0 ... */
static int64_t mirror_whole(int64_t j, int64_t length)
{
    if (length == 1) return 0;
    int64_t r = modulo(j, 2 * (length - 1));
    return r < length ? r : 2 * (length - 1) - r;
}

/* Keys' cubic convolution kernel with a = -1/2. */
static double cubic(double t)
{
    const double a = -0.5;
    t = fabs(t);
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2) return a * (((t - 5) * t + 8) * t - 4);
    return 0;
}

/* Row i: cubic kernel of `stretch` input pixels a unit around (i + 1/2) ratio - 1/2. */
static rmp_status cubic_taps(int64_t in, int64_t out_length, double ratio, double stretch, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_TRY(builder_start(&b, in, out_length));
    for (int64_t i = 0; i < out_length; i++) {
        double centre = ((double)i + 0.5) * ratio - 0.5;
        double sum = 0;
        int64_t first = (int64_t)ceil(centre - 2 * stretch), last = (int64_t)floor(centre + 2 * stretch);
        for (int64_t j = first; j <= last; j++) {
            double weight = cubic(((double)j - centre) / stretch);
            sum += weight;
            RMP_TRY_GOTO(builder_put(&b, mirror_half(j, in), weight), failed);
        }
        RMP_TRY_GOTO(builder_end_row(&b, 1 / sum), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

static rmp_status check_factor(int64_t factor)
{
    RMP_CHECK(factor >= 1 && factor <= 1 << 20, RMP_ERR_ARGUMENT, "taps: factor %lld", (long long)factor);
    return RMP_OK;
}

rmp_status rmp_taps_bicubic_down(int64_t in_length, int64_t factor, rmp_taps **out)
{
    RMP_TRY(check_factor(factor));
    return cubic_taps(in_length, in_length / factor + (in_length % factor != 0), (double)factor, (double)factor, out);
}

rmp_status rmp_taps_bicubic_up(int64_t in_length, int64_t out_length, rmp_taps **out)
{
    RMP_CHECK(out_length >= in_length, RMP_ERR_ARGUMENT, "taps: enlargement of %lld to %lld", (long long)in_length,
              (long long)out_length);
    return cubic_taps(in_length, out_length, (double)in_length / (double)out_length, 1, out);
}

rmp_status rmp_taps_box_down(int64_t in_length, int64_t factor, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_TRY(check_factor(factor));
    RMP_TRY(builder_start(&b, in_length, in_length / factor + (in_length % factor != 0)));
    for (int64_t begin = 0; begin < in_length; begin += factor) {
        int64_t end = begin + factor < in_length ? begin + factor : in_length;
        for (int64_t j = begin; j < end; j++)
            RMP_TRY_GOTO(builder_put(&b, j, 1), failed);
        RMP_TRY_GOTO(builder_end_row(&b, 1 / (double)(end - begin)), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

/* Row i: mean of positions [max(i - before, 0), min(i + after, length - 1)]. */
static rmp_status mean_taps(int64_t length, int64_t rows, int64_t before, int64_t after, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_TRY(builder_start(&b, length, rows));
    for (int64_t i = 0; i < rows; i++) {
        const int64_t first = i > before ? i - before : 0, last = after < length - i ? i + after : length - 1;
        for (int64_t j = first; j <= last; j++)
            RMP_TRY_GOTO(builder_put(&b, j, 1), failed);
        RMP_TRY_GOTO(builder_end_row(&b, 1 / (double)(last - first + 1)), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

rmp_status rmp_taps_mean(int64_t length, int64_t size, rmp_taps **out)
{
    RMP_CHECK(size >= 1 && size % 2 == 1 && size <= 1 << 20, RMP_ERR_ARGUMENT,
              "mean: the size must be odd and positive, not %lld", (long long)size);
    return mean_taps(length, length, size / 2, size / 2, out);
}

rmp_status rmp_taps_mean_all(int64_t length, rmp_taps **out) { return mean_taps(length, 1, 0, length, out); }

rmp_status rmp_taps_linear(int64_t in_length, int64_t out_length, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_TRY(builder_start(&b, in_length, out_length));
    const double ratio = (double)in_length / (double)out_length;
    for (int64_t i = 0; i < out_length; i++) {
        const double centre = fmax(((double)i + 0.5) * ratio - 0.5, 0);
        const int64_t first = (int64_t)floor(centre) < in_length - 1 ? (int64_t)floor(centre) : in_length - 1;
        const int64_t second = first < in_length - 1 ? first + 1 : first;
        const double far = centre - (double)first;
        RMP_TRY_GOTO(builder_put(&b, first, 1 - far), failed);
        RMP_TRY_GOTO(builder_put(&b, second, far), failed);
        RMP_TRY_GOTO(builder_end_row(&b, 1), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

rmp_status rmp_taps_gaussian(int64_t length, int64_t size, double std, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_CHECK(size >= 1 && size % 2 == 1 && size <= 1 << 20, RMP_ERR_ARGUMENT,
              "gaussian blur: the size must be odd and positive, not %lld", (long long)size);
    RMP_CHECK(std > 0 && isfinite(std), RMP_ERR_ARGUMENT, "gaussian blur: standard deviation %g", std);
    RMP_TRY(builder_start(&b, length, length));
    int64_t radius = size / 2;
    for (int64_t i = 0; i < length; i++) {
        double sum = 0;
        for (int64_t k = -radius; k <= radius; k++) {
            double weight = exp(-0.5 * (double)(k * k) / (std * std));
            sum += weight;
            RMP_TRY_GOTO(builder_put(&b, mirror_whole(i + k, length), weight), failed);
        }
        RMP_TRY_GOTO(builder_end_row(&b, 1 / sum), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

rmp_status rmp_taps_reflect_pad(int64_t length, int64_t before, int64_t after, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_CHECK(before >= 0 && after >= 0 && before <= INT32_MAX && after <= INT32_MAX, RMP_ERR_ARGUMENT,
              "reflection pad: %lld before, %lld after", (long long)before, (long long)after);
    RMP_TRY(builder_start(&b, length, length + before + after));
    for (int64_t i = 0; i < length + before + after; i++) {
        RMP_TRY_GOTO(builder_put(&b, mirror_whole(i - before, length), 1), failed);
        RMP_TRY_GOTO(builder_end_row(&b, 1), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

rmp_status rmp_taps_crop(int64_t length, int64_t begin, int64_t count, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_CHECK(begin >= 0 && count >= 1 && begin <= length - count, RMP_ERR_ARGUMENT,
              "crop: %lld positions from %lld of %lld", (long long)count, (long long)begin, (long long)length);
    RMP_TRY(builder_start(&b, length, count));
    for (int64_t i = 0; i < count; i++) {
        RMP_TRY_GOTO(builder_put(&b, begin + i, 1), failed);
        RMP_TRY_GOTO(builder_end_row(&b, 1), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}

rmp_status rmp_taps_fir(int64_t length, int taps, const double kernel[], double gain, int64_t up, int64_t down,
                        int64_t pad_before, int64_t pad_after, rmp_taps **out)
{
    builder b;
    rmp_status status;
    *out = NULL;
    RMP_CHECK(taps >= 1, RMP_ERR_ARGUMENT, "FIR: %d taps", taps);
    RMP_TRY(check_factor(up));
    RMP_TRY(check_factor(down));
    RMP_CHECK(length >= 1 && length <= INT32_MAX && llabs(pad_before) <= INT32_MAX && llabs(pad_after) <= INT32_MAX,
              RMP_ERR_ARGUMENT, "FIR: length %lld, pad %lld and %lld", (long long)length, (long long)pad_before,
              (long long)pad_after);
    int64_t padded = length * up + pad_before + pad_after;
    RMP_CHECK(padded >= taps, RMP_ERR_ARGUMENT, "FIR: %d taps on %lld padded positions", taps, (long long)padded);
    double sum = 0;
    for (int k = 0; k < taps; k++)
        sum += kernel[k];
    RMP_CHECK(sum != 0 && isfinite(sum), RMP_ERR_ARGUMENT, "FIR: the kernel sums to %g", sum);

    RMP_TRY(builder_start(&b, length, (padded - taps) / down + 1));
    for (int64_t i = 0; i < b.taps->out; i++) {
        for (int k = 0; k < taps; k++) { /* a convolution: the kernel runs backwards */
            int64_t at = i * down + k - pad_before;
            if (at < 0 || at >= length * up || at % up) continue;
            RMP_TRY_GOTO(builder_put(&b, at / up, kernel[taps - 1 - k]), failed);
        }
        RMP_TRY_GOTO(builder_end_row(&b, gain / sum), failed);
    }
    builder_finish(&b, out);
    return RMP_OK;
failed:
    builder_clear(&b);
    return status;
}
