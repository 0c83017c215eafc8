/* Winograd convolution of one instruction set (gpu/host/kernels.h). Only for gpu/host/isa/kernels.c. */
#pragma once

#include "gpu/host/isa/vector.h"

#if W >= 16
#define NV 4 /* vectors of output channels in a register block: 6 x 4 accumulators of 32 registers */
#else
#define NV 2
#endif
#define ROWS 6 /* tiles in a register block */

#define PA   0.75F
#define PB   1.5F
#define PA2  (PA * PA)
#define PB2  (PB * PB)

static int64_t pack_floats(int64_t ic, int64_t oc) { return RMP_WINO_POINTS * round_up(ic, W) * round_up(oc, W); }

static void wino_plan(rmp_wino *job)
{
    int64_t down = (job->h + 3) / 4, across = (job->w + 3) / 4;
    job->icp = round_up(job->ic, W);
    job->ocp = round_up(job->oc, W);
    /* Transformed inputs of a unit should stay in the second-level cache; fewer than two register blocks would
     * read the weights too often. */
    int64_t bytes_a_tile = RMP_WINO_POINTS * (int64_t)sizeof(float) * (job->icp + min64(job->ocp, NV * W));
    int64_t tiles = min64(max64(768 * 1024 / bytes_a_tile, 2 * ROWS), 60);
    int64_t segments = (across + tiles - 1) / tiles;
    job->cols = (across + segments - 1) / segments;
    int64_t bands = max64(1, min64(down, tiles / job->cols));
    bands = (down + bands - 1) / bands;
    job->rows = (down + bands - 1) / bands;
    job->unit_rows = (down + job->rows - 1) / job->rows;
    job->unit_cols = (across + job->cols - 1) / job->cols;
    job->units = job->n * job->unit_rows * job->unit_cols;
    /* Small images have few units: cut their output channels, so that many cores have work. */
    int64_t blocks = (job->ocp + NV * W - 1) / (NV * W);
    job->splits = min64(blocks, max64(1, (16 + job->units - 1) / job->units));
    tiles = job->rows * job->cols;
    job->scratch = (4 * job->rows + 2) * (4 * job->cols + 2) * job->icp + RMP_WINO_POINTS * tiles * job->icp +
                   RMP_WINO_POINTS * tiles * NV * W + 4 * W;
}

/* U = G g G^T, packed (block of NV vectors of oc)(point)(ic)(oc in block); a last block may be narrower. */
static void wino_pack(int64_t ic, int64_t oc, int64_t first, int64_t last, bool transposed, const float *plain,
                      float *packed)
{
    const double points[5] = {0, 0.75, -0.75, 1.5, -1.5};
    double g[RMP_WINO_IN][3] = {{0}};
    for (int i = 0; i < 5; i++) {
        double f = 1;
        for (int j = 0; j < 5; j++)
            f *= j == i ? 1 : points[i] - points[j];
        g[i][0] = 1 / f;
        g[i][1] = points[i] / f;
        g[i][2] = points[i] * points[i] / f;
    }
    g[5][2] = 1;
    int64_t icp = round_up(ic, W), ocp = round_up(oc, W);
    for (int64_t o = first; o < last; o++) {
        int64_t block = o / (NV * W) * (NV * W), width = min64(NV * W, ocp - block);
        float *base = packed + RMP_WINO_POINTS * icp * block + (o - block);
        for (int64_t i = 0; i < ic; i++) {
            const float *k = transposed ? plain + (i * oc + o) * 9 : plain + (o * ic + i) * 9;
            double t[RMP_WINO_IN][3];
            for (int a = 0; a < RMP_WINO_IN; a++) {
                for (int c = 0; c < 3; c++) {
                    t[a][c] = 0;
                    for (int r = 0; r < 3; r++)
                        t[a][c] += g[a][r] * (double)(transposed ? k[8 - 3 * r - c] : k[3 * r + c]);
                }
            }
            for (int a = 0; a < RMP_WINO_IN; a++) {
                for (int b = 0; b < RMP_WINO_IN; b++) {
                    double u = t[a][0] * g[b][0] + t[a][1] * g[b][1] + t[a][2] * g[b][2];
                    base[((a * RMP_WINO_IN + b) * icp + i) * width] = (float)u;
                }
            }
        }
    }
}

static inline vf gather_one(const rmp_source *s, int64_t offset, const float *x, const float *a, const float *b,
                            const float *r, int64_t n)
{
    vf v = load_n(x, n);
    switch (s->gather) {
    case RMP_GATHER_COPY:
        return v;
    case RMP_GATHER_NORM:
        return load_n(a, n) * v + load_n(b, n);
    case RMP_GATHER_NORM_SILU:
        return silu(load_n(a, n) * v + load_n(b, n));
    case RMP_GATHER_NORM_BACKWARD:
        return load_n(a, n) * load_n(s->d + offset, n) + load_n(b, n) + load_n(r, n) * v;
    }
    return v;
}

/* Channels of the source pixel (y, x) of `image`, normalised, to out (icp floats). */
static inline void gather_pixel(const rmp_source *s, int64_t image, int64_t y, int64_t x, float *out)
{
    int64_t pixel = (image * s->h + y) * s->w + x, base = 0;
    int64_t coefficient = image * s->x.channels;
    for (int p = 0; p < s->x.count; p++) {
        int64_t c = s->x.part[p].c;
        const float *from = s->x.part[p].data + pixel * c;
        for (int64_t k = 0; k < c; k += W) {
            int64_t at = base + k, n = min64(W, c - k);
            vf v = gather_one(s, pixel * s->x.channels + at, from + k, s->a ? s->a + coefficient + at : NULL,
                              s->b ? s->b + coefficient + at : NULL, s->r ? s->r + coefficient + at : NULL, n);
            store_n(out + at, v, n);
        }
        base += c;
    }
}

static void gather_row(const rmp_wino *job, int64_t image, int64_t y, int64_t x0, int64_t count, float *out,
                       float *temp)
{
    const rmp_source *s = &job->source;
    int64_t icp = job->icp;
    for (int64_t i = 0; i < count; i++, out += icp) {
        int64_t x = x0 + i;
        if (y < 0 || y >= job->h || x < 0 || x >= job->w) {
            memset(out, 0, (size_t)icp * sizeof *out);
            continue;
        }
        if (job->ic != icp) memset(out + job->ic, 0, (size_t)(icp - job->ic) * sizeof *out);
        switch (s->resize) {
        case RMP_RESIZE_NONE:
            gather_pixel(s, image, y, x, out);
            break;
        case RMP_RESIZE_UP2:
            /* neighbours in a row share their source pixel */
            if (i > 0 && (x & 1)) {
                memcpy(out, out - icp, (size_t)icp * sizeof *out);
            } else {
                gather_pixel(s, image, y / 2, x / 2, out);
            }
            break;
        case RMP_RESIZE_DOWN2:
            gather_pixel(s, image, 2 * y, 2 * x, out);
            for (int64_t q = 1; q < 4; q++) {
                gather_pixel(s, image, 2 * y + q / 2, 2 * x + q % 2, temp);
                for (int64_t k = 0; k < job->ic; k++)
                    out[k] += temp[k];
            }
            for (int64_t k = 0; k < job->ic; k++)
                out[k] *= 0.25F;
            break;
        }
    }
}

static inline void input_1d(const vf d[6], vf out[6])
{
    vf even_a = d[4] - splat(PB2) * d[2], odd_a = splat(PA) * (d[3] - splat(PB2) * d[1]);
    vf even_b = d[4] - splat(PA2) * d[2], odd_b = splat(PB) * (d[3] - splat(PA2) * d[1]);
    out[0] = splat(PA2 * PB2) * d[0] - splat(PA2 + PB2) * d[2] + d[4];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = splat(PA2 * PB2) * d[1] - splat(PA2 + PB2) * d[3] + d[5];
}

static inline void output_1d(const vf m[6], vf out[4])
{
    vf sum_a = m[1] + m[2], dif_a = m[1] - m[2], sum_b = m[3] + m[4], dif_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[1] = splat(PA) * dif_a + splat(PB) * dif_b;
    out[2] = splat(PA2) * sum_a + splat(PB2) * sum_b;
    out[3] = splat(PA2 * PA) * dif_a + splat(PB2 * PB) * dif_b + m[5];
}

/* V[point][tile][ic] from the gathered patch, rows of `stride` floats. */
static void input_transform(const rmp_wino *job, int64_t rows, int64_t cols, const float *patch, int64_t stride,
                            float *v)
{
    int64_t icp = job->icp, tiles = rows * cols;
    for (int64_t tile = 0; tile < tiles; tile++) {
        const float *corner = patch + tile / cols * 4 * stride + tile % cols * 4 * icp;
        for (int64_t k = 0; k < icp; k += W) {
            vf t[6][6];
            for (int x = 0; x < 6; x++) {
                vf column[6], out[6];
                for (int y = 0; y < 6; y++)
                    column[y] = load(corner + y * stride + x * icp + k);
                input_1d(column, out);
                for (int y = 0; y < 6; y++)
                    t[y][x] = out[y];
            }
            for (int y = 0; y < 6; y++) {
                vf out[6];
                input_1d(t[y], out);
                for (int x = 0; x < 6; x++)
                    store(v + ((y * 6 + x) * tiles + tile) * icp + k, out[x]);
            }
        }
    }
}

/* m[r][nv vectors] = a[r][.] u: R tiles, one block of output channels. */
#define GEMM_BLOCK(R, V)                                                                                               \
    static void gemm_##R##_##V(int64_t depth, const float *restrict a, const float *restrict u, float *restrict m,     \
                               int64_t row)                                                                            \
    {                                                                                                                  \
        vf acc[R][V];                                                                                                  \
        for (int i = 0; i < (R); i++)                                                                                  \
            for (int j = 0; j < (V); j++)                                                                              \
                acc[i][j] = (vf){0};                                                                                   \
        for (int64_t k = 0; k < depth; k++) {                                                                          \
            vf b[V];                                                                                                   \
            for (int j = 0; j < (V); j++)                                                                              \
                b[j] = load(u + (k * (V) + j) * W);                                                                    \
            for (int i = 0; i < (R); i++) {                                                                            \
                vf x = splat(a[i * depth + k]);                                                                        \
                for (int j = 0; j < (V); j++)                                                                          \
                    acc[i][j] += x * b[j];                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        for (int i = 0; i < (R); i++)                                                                                  \
            for (int j = 0; j < (V); j++)                                                                              \
                store(m + i * row + j * W, acc[i][j]);                                                                 \
    }

#define GEMM_ROWS(V)                                                                                                   \
    GEMM_BLOCK(1, V) GEMM_BLOCK(2, V) GEMM_BLOCK(3, V) GEMM_BLOCK(4, V) GEMM_BLOCK(5, V) GEMM_BLOCK(6, V)
#define GEMM_TABLE(V)                                                                                                  \
    {                                                                                                                  \
        gemm_1_##V, gemm_2_##V, gemm_3_##V, gemm_4_##V, gemm_5_##V, gemm_6_##V                                         \
    }

typedef void gemm_function(int64_t depth, const float *restrict a, const float *restrict u, float *restrict m,
                           int64_t row);

GEMM_ROWS(1)
GEMM_ROWS(2)
#if NV == 4
GEMM_ROWS(3)
GEMM_ROWS(4)
static gemm_function *const gemm[NV][ROWS] = {GEMM_TABLE(1), GEMM_TABLE(2), GEMM_TABLE(3), GEMM_TABLE(4)};
#else
static gemm_function *const gemm[NV][ROWS] = {GEMM_TABLE(1), GEMM_TABLE(2)};
#endif

static void multiply(int64_t tiles, int64_t depth, int vectors, const float *v, const float *u, float *m)
{
    int64_t row = vectors * W;
    for (int64_t t = 0; t < tiles;) {
        /* 8 tiles left are better cut 4 + 4 than 6 + 2 */
        int64_t left = tiles - t;
        int64_t r = left <= ROWS ? left : (left < 2 * ROWS ? (left + 1) / 2 : ROWS);
        gemm[vectors - 1][r - 1](depth, v + t * depth, u, m + t * row, row);
        t += r;
    }
}

/* Position of channel `c` of parts: pointer to (pixel 0, c) and the stride of a pixel. */
static const float *part_at(const rmp_parts *parts, int64_t c, int64_t *stride)
{
    for (int p = 0; p < parts->count; p++) {
        if (c < parts->part[p].c) {
            *stride = parts->part[p].c;
            return parts->part[p].data + c;
        }
        c -= parts->part[p].c;
    }
    *stride = 0;
    return NULL;
}

typedef struct unit_place {
    int64_t image, y, x; /* of the first output pixel */
    int64_t rows, cols;  /* tiles */
} unit_place;

/* Sums of one vector of channels about `origin`: the value of a pixel, so that a mean that is large beside the
 * deviation costs no digits. */
typedef struct centred {
    vf origin, first, second;
} centred;

/* A^T m A for one tile and one vector of channels [c, c + W), then bias, addend, sums; writes the pixels inside. */
static void output_tile(const rmp_wino *job, const unit_place *at, int64_t tile, int64_t tiles, const float *m,
                        int64_t row, int64_t c, centred *sums)
{
    vf t[4][6], y[4][4];
    for (int x = 0; x < 6; x++) {
        vf column[6], out[4];
        for (int r = 0; r < 6; r++)
            column[r] = load(m + ((r * 6 + x) * tiles + tile) * row);
        output_1d(column, out);
        for (int r = 0; r < 4; r++)
            t[r][x] = out[r];
    }
    for (int r = 0; r < 4; r++)
        output_1d(t[r], y[r]);

    int64_t n = min64(W, job->oc - c);
    int64_t y0 = at->y + tile / at->cols * 4, x0 = at->x + tile % at->cols * 4;
    int64_t ny = min64(4, job->h - y0), nx = min64(4, job->w - x0);
    int64_t first = (at->image * job->h + y0) * job->w + x0;
    vf bias = job->bias ? load_n(job->bias + c, n) : (vf){0};
    if (job->image_bias) bias += load_n(job->image_bias + at->image * job->image_stride + c, n);
    int64_t x_stride = 0;
    const float *fx = job->finish == RMP_FINISH_NORM_BACKWARD ? part_at(&job->finish_x, c, &x_stride) : NULL;
    vf fa = fx ? load_n(job->finish_a + at->image * job->oc + c, n) : (vf){0};
    vf fb = fx ? load_n(job->finish_b + at->image * job->oc + c, n) : (vf){0};
    for (int64_t r = 0; r < ny; r++) {
        for (int64_t q = 0; q < nx; q++) {
            int64_t pixel = first + r * job->w + q;
            vf v = y[r][q] + bias;
            if (job->addend) v += load_n(job->addend + pixel * job->oc + c, n);
            if (fx) {
                vf xv = load_n(fx + pixel * x_stride, n);
                if (job->finish_silu) v *= silu_slope(fa * xv + fb);
                if (pixel == first && tile == 0) sums->origin = xv;
                sums->first += v;
                sums->second += v * (xv - sums->origin);
            } else {
                if (pixel == first && tile == 0) sums->origin = v;
                vf d = v - sums->origin;
                sums->first += d;
                sums->second += d * d;
            }
            store_n(job->result + pixel * job->oc + c, v, n);
        }
    }
}

static void wino_unit(const rmp_wino *job, int64_t unit, int64_t split, float *scratch)
{
    int64_t down = (job->h + 3) / 4, across = (job->w + 3) / 4, icp = job->icp;
    int64_t column = unit % job->unit_cols, band = unit / job->unit_cols % job->unit_rows;
    unit_place at = {.image = unit / (job->unit_cols * job->unit_rows),
                     .y = band * job->rows * 4,
                     .x = column * job->cols * 4,
                     .rows = min64(job->rows, down - band * job->rows),
                     .cols = min64(job->cols, across - column * job->cols)};
    int64_t tiles = at.rows * at.cols;
    int64_t stride = (4 * at.cols + 2) * icp;
    float *patch = scratch, *v = patch + (4 * at.rows + 2) * stride, *m = v + RMP_WINO_POINTS * tiles * icp;

    for (int64_t y = 0; y < 4 * at.rows + 2; y++) {
        gather_row(job, at.image, at.y + y - 1, at.x - 1, 4 * at.cols + 2, patch + y * stride, v);
    }
    input_transform(job, at.rows, at.cols, patch, stride, v);

    int64_t blocks = (job->ocp + NV * W - 1) / (NV * W);
    int64_t end = min64(job->ocp, (split + 1) * blocks / job->splits * NV * W);
    for (int64_t block = split * blocks / job->splits * NV * W; block < end; block += NV * W) {
        int vectors = (int)(min64(NV * W, job->ocp - block) / W);
        int64_t row = vectors * W;
        const float *u = job->weights + RMP_WINO_POINTS * icp * block;
        for (int64_t p = 0; p < RMP_WINO_POINTS; p++) {
            multiply(tiles, icp, vectors, v + p * tiles * icp, u + p * icp * row, m + p * tiles * row);
        }
        for (int j = 0; j < vectors; j++) {
            int64_t c = block + j * W;
            centred sums = {{0}, {0}, {0}};
            for (int64_t tile = 0; tile < tiles; tile++)
                output_tile(job, &at, tile, tiles, m + j * W, row, c, &sums);
            if (job->finish != RMP_FINISH_NONE) {
                int64_t pixels = min64(4 * at.rows, job->h - at.y) * min64(4 * at.cols, job->w - at.x);
                float *to = job->sums + unit * RMP_SUM_ROWS * job->ocp + c;
                store(to, sums.origin);
                store(to + job->ocp, sums.first);
                store(to + 2 * job->ocp, sums.second);
                store(to + 3 * job->ocp, splat((float)pixels));
            }
        }
    }
}
