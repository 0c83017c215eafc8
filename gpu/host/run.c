/* Executes the steps of a plan. Work is cut into pieces by shape alone; threads take pieces. */
#include "gpu/host/host.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 16384 }; /* floats of elementwise work at a time */

int64_t rmp_host_thread(void) { return omp_get_thread_num(); }

/* Where a slot of the images at work is. */
static void *at(const rmp_host_plan *p, rmp_slot slot)
{
    if (slot == RMP_NONE) return NULL;
    const rmp_slot_info *s = &p->slot[slot];
    const int64_t before = p->image * (s->bytes / p->n); /* of the images before them, in the caller's buffers */
    switch (s->place) {
    case RMP_IN_ARENA:
        if (s->kept) return p->arena + p->image / p->n * p->kept_bytes + s->offset;
        return p->arena + p->base.options.batch / p->n * p->kept_bytes + s->offset;
    case RMP_IN_INPUT:
        return (char *)(uintptr_t)p->input[s->external] + before;
    case RMP_IN_OUTPUT:
        return (char *)p->output + before;
    case RMP_IN_COTANGENT:
        return (char *)(uintptr_t)p->cotangent + before;
    case RMP_IN_GRADIENT:
        return (char *)p->gradient + before;
    }
    return NULL;
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static rmp_parts parts_of(const rmp_host_plan *p, const rmp_step_parts *x)
{
    rmp_parts out = {.count = x->count};
    for (int i = 0; i < x->count; i++) {
        out.part[i].data = at(p, x->slot[i]);
        out.part[i].c = x->c[i];
        out.channels += x->c[i];
    }
    return out;
}

static void run_wino(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    rmp_wino job = s->wino;
    job.source.x = parts_of(p, &s->x);
    job.source.h = s->in.h;
    job.source.w = s->in.w;
    job.source.d = at(p, s->y);
    job.source.a = at(p, s->a);
    job.source.b = at(p, s->b);
    job.source.r = at(p, s->r);
    job.weights = rmp_host_weight_data(s->weight);
    job.bias = s->bias ? rmp_host_weight_data(s->bias) : NULL;
    if (s->film != RMP_NONE) {
        job.image_bias = (const float *)at(p, s->film) + s->offset;
        job.image_stride = s->film_length;
    }
    job.addend = at(p, s->addend[0]);
    job.result = at(p, s->result);
    job.sums = at(p, s->sums);
    for (int i = 0; i < job.finish_x.count; i++)
        job.finish_x.part[i].data = at(p, s->finish_x[i]);
    job.finish_a = at(p, s->finish_a);
    job.finish_b = at(p, s->finish_b);
    float *scratch = at(p, s->scratch);
#pragma omp parallel for num_threads(host->threads) schedule(dynamic)
    for (int64_t piece = 0; piece < job.units * job.splits; piece++) {
        host->kernels->wino_unit(&job, piece / job.splits, piece % job.splits,
                                 scratch + rmp_host_thread() * job.scratch);
    }
}

static rmp_norm_pass pass_of(const rmp_host_plan *p, const rmp_step *s)
{
    rmp_norm_pass pass = {.n = p->n,
                          .h = s->in.h,
                          .w = s->in.w,
                          .x = parts_of(p, &s->x),
                          .a = at(p, s->a),
                          .b = at(p, s->b),
                          .r = at(p, s->r),
                          .silu = s->silu,
                          .resize = s->resize,
                          .sums = at(p, s->sums)};
    return pass;
}

static void run_sums(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    rmp_norm_pass pass = pass_of(p, s);
    bool backward = s->kind == RMP_STEP_BACKWARD1;
    if (backward) {
        pass.g = at(p, s->y);
        pass.d = at(p, s->result);
    }
    int64_t rows = (pass.h + s->pieces - 1) / s->pieces;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t piece = 0; piece < pass.n * s->pieces; piece++) {
        int64_t image = piece / s->pieces, first = piece % s->pieces * rows;
        float *sums = pass.sums + piece * RMP_SUM_ROWS * pass.x.channels;
        int64_t last = min64(pass.h, first + rows);
        if (first > last) first = last;
        if (backward) {
            host->kernels->norm_backward1(&pass, image, first, last, sums);
        } else {
            host->kernels->norm_sums(&pass, image, first, last, sums);
        }
    }
}

/* Pieces' sums about their origins to sums about zero, in double: (n, 2, channels) of x and x^2, or of d and d x. */
static void run_reduce(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const float *sums = at(p, s->sums);
    double *out = at(p, s->result);
    int64_t c = s->in.c, width = s->piece_width;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t image = 0; image < p->n; image++) {
        double *one = out + image * 2 * c, *two = one + c;
        memset(one, 0, (size_t)(2 * c) * sizeof *one);
        for (int64_t piece = 0; piece < s->pieces; piece++) {
            const float *row = sums + (image * s->pieces + piece) * RMP_SUM_ROWS * width;
            for (int64_t k = 0; k < c; k++) {
                double origin = (double)row[k], first = (double)row[width + k], second = (double)row[2 * width + k];
                if (s->squares) {
                    double pixels = (double)row[3 * width + k];
                    one[k] += first + pixels * origin;
                    two[k] += second + 2 * origin * first + pixels * origin * origin;
                } else {
                    one[k] += first;
                    two[k] += second + origin * first;
                }
            }
        }
    }
}

static void run_coefficients(const rmp_host_plan *p, const rmp_step *s)
{
    const rmp_node *node = rmp_graph_node(p->base.graph, s->node);
    const float *gamma = rmp_host_weight_data(s->weight), *beta = rmp_host_weight_data(s->bias), *film = at(p, s->film);
    float *a = at(p, s->a), *b = at(p, s->b);
    double *stats = at(p, s->stats);
    int64_t c = s->in.c, groups = node->as.norm.groups, per = c / groups;
    double count = (double)(s->in.h * s->in.w * per);
    for (int64_t image = 0; image < p->n; image++) {
        const float *scale = film ? film + image * s->film_length + s->offset : NULL;
        int part = 0;
        int64_t base = 0;
        for (int64_t g = 0; g < groups; g++) {
            double sum = 0, square = 0;
            for (int64_t k = g * per; k < (g + 1) * per; k++) {
                while (k - base >= s->x.c[part])
                    base += s->x.c[part++];
                const double *sums = (const double *)at(p, s->x.slot[part]) + image * 2 * s->x.c[part];
                sum += sums[k - base];
                square += sums[s->x.c[part] + k - base];
            }
            double mean = sum / count, variance = square / count - mean * mean;
            double inverse = 1.0 / sqrt((variance > 0 ? variance : 0) + node->as.norm.eps);
            stats[(image * groups + g) * 2] = mean;
            stats[(image * groups + g) * 2 + 1] = inverse;
            for (int64_t k = g * per; k < (g + 1) * per; k++) {
                double w = (double)gamma[k] * inverse, shift = (double)beta[k] - mean * w;
                if (scale) {
                    w *= 1.0 + (double)scale[k];
                    shift = shift * (1.0 + (double)scale[k]) + (double)scale[c + k];
                }
                a[image * c + k] = (float)w;
                b[image * c + k] = (float)shift;
            }
        }
    }
}

/* With d the gradient before the affine map and S1 = sum d, S2 = sum d x by channel (core/graph.h, group_norm):
 * dx = a d + q + r x, r = -i^2 m2, q = -i m1 - mean r, m1 = mean of (a / i) d, m2 = mean of (a / i) d xhat, i = 1 /
 * deviation. */
static void run_coefficients_backward(const rmp_host_plan *p, const rmp_step *s)
{
    const rmp_node *node = rmp_graph_node(p->base.graph, s->node);
    const float *a = at(p, s->a);
    const double *stats = at(p, s->stats), *sums = at(p, s->sums);
    float *q = at(p, s->b), *r = at(p, s->r);
    int64_t c = s->in.c, groups = node->as.norm.groups, per = c / groups;
    double count = (double)(s->in.h * s->in.w * per);
    for (int64_t image = 0; image < p->n; image++) {
        for (int64_t g = 0; g < groups; g++) {
            double mean = stats[(image * groups + g) * 2], inverse = stats[(image * groups + g) * 2 + 1], m1 = 0,
                   m2 = 0;
            for (int64_t k = g * per; k < (g + 1) * per; k++) {
                double weight = (double)a[image * c + k] / inverse;
                double s1 = sums[image * 2 * c + k], s2 = sums[(image * 2 + 1) * c + k];
                m1 += weight * s1;
                m2 += weight * (s2 - mean * s1) * inverse;
            }
            m1 /= count;
            m2 /= count;
            double slope = -inverse * inverse * m2;
            for (int64_t k = g * per; k < (g + 1) * per; k++) {
                r[image * c + k] = (float)slope;
                q[image * c + k] = (float)(-inverse * m1 - mean * slope);
            }
        }
    }
}

static void run_norm(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    rmp_norm_pass pass = pass_of(p, s);
    bool backward = s->kind == RMP_STEP_BACKWARD2;
    if (backward) {
        pass.d = at(p, s->y);
        for (int i = 0; i < s->x.count; i++) {
            pass.dx[i] = at(p, s->results[i]);
            pass.addend[i] = at(p, s->addend[i]);
        }
    } else if (s->bf16) {
        pass.out_bf16 = at(p, s->result);
    } else {
        pass.out = at(p, s->result);
    }
    int64_t rows = !backward && s->resize == RMP_RESIZE_DOWN2 ? pass.h / 2 : pass.h;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t task = 0; task < pass.n * rows; task++) {
        int64_t image = task / rows, row = task % rows;
        if (backward) {
            host->kernels->norm_backward2(&pass, image, row, row + 1);
        } else {
            host->kernels->norm_apply(&pass, image, row, row + 1);
        }
    }
}

static void run_elementwise(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const rmp_kernels *k = host->kernels;
    int64_t total = p->n * rmp_shape_count(s->out);
    const float *x = at(p, s->x.slot[0]), *y = at(p, s->y);
    float *out = at(p, s->result);
    float a = (float)s->alpha, b = (float)s->beta;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t first = 0; first < total; first += CHUNK) {
        int64_t n = min64(CHUNK, total - first);
        const float *xi = x + first, *yi = y ? y + first : NULL;
        float *oi = out + first;
        switch (s->kind) {
        case RMP_STEP_ADD:
            k->add(n, a, xi, b, yi, oi);
            break;
        case RMP_STEP_SILU:
            k->silu(n, xi, oi);
            break;
        case RMP_STEP_SILU_BACKWARD:
            k->silu_backward(n, yi, xi, oi);
            break;
        case RMP_STEP_BF16:
            k->to_bf16(n, xi, (uint16_t *)at(p, s->result) + first);
            break;
        case RMP_STEP_AFFINE:
            for (int64_t i = 0; i < n; i++)
                oi[i] = a * xi[i] + b;
            break;
        case RMP_STEP_CLIP:
            for (int64_t i = 0; i < n; i++)
                oi[i] = xi[i] < a ? a : (xi[i] > b ? b : xi[i]);
            break;
        case RMP_STEP_CLIP_BACKWARD:
            for (int64_t i = 0; i < n; i++)
                oi[i] = yi[i] > a && yi[i] < b ? xi[i] : 0.0F;
            break;
        case RMP_STEP_LEAKY_RELU:
            for (int64_t i = 0; i < n; i++)
                oi[i] = xi[i] > 0.0F ? xi[i] : a * xi[i];
            break;
        case RMP_STEP_LEAKY_RELU_BACKWARD:
            for (int64_t i = 0; i < n; i++)
                oi[i] = yi[i] > 0.0F ? xi[i] : a * xi[i];
            break;
        case RMP_STEP_TANH:
            for (int64_t i = 0; i < n; i++)
                oi[i] = tanhf(xi[i]);
            break;
        case RMP_STEP_TANH_BACKWARD:
            for (int64_t i = 0; i < n; i++) {
                const float t = tanhf(yi[i]);
                oi[i] = xi[i] * (1.0F - t * t);
            }
            break;
        case RMP_STEP_SQUARE:
            for (int64_t i = 0; i < n; i++)
                oi[i] = xi[i] * xi[i];
            break;
        case RMP_STEP_SQUARE_BACKWARD:
            for (int64_t i = 0; i < n; i++)
                oi[i] = 2.0F * yi[i] * xi[i];
            break;
        case RMP_STEP_POWER:
            for (int64_t i = 0; i < n; i++)
                oi[i] = xi[i] > 0.0F ? powf(xi[i], a) : (isnan(xi[i]) ? xi[i] : 0.0F);
            break;
        case RMP_STEP_POWER_BACKWARD:
            for (int64_t i = 0; i < n; i++)
                oi[i] = yi[i] > 0.0F ? xi[i] * a * powf(yi[i], a - 1.0F) : 0.0F;
            break;
        default:
            break;
        }
    }
}

/* Work by pixel: channel bias, masks, copies of channels. */
static void run_by_pixel(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    int64_t c = s->kind == RMP_STEP_CHANNELS ? min64(s->in.c, s->out.c) : s->out.c;
    const float *x = at(p, s->x.slot[0]), *y = at(p, s->y), *film = at(p, s->film);
    float *out = at(p, s->result);
    int64_t mask_c = 0;
    if (s->kind == RMP_STEP_MULTIPLY) {
        mask_c = rmp_graph_shape(p->base.graph, rmp_graph_node(p->base.graph, s->node)->operand[1]).c;
    }
    bool join = s->kind == RMP_STEP_CHANNELS && s->out.c > s->in.c;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t row = 0; row < p->n * s->out.h; row++) {
        int64_t image = row / s->out.h;
        for (int64_t i = row * s->out.w; i < (row + 1) * s->out.w; i++) {
            switch (s->kind) {
            case RMP_STEP_CHANNEL_BIAS: {
                const float *v = film + image * s->film_length + s->offset;
                for (int64_t k = 0; k < c; k++)
                    out[i * c + k] = x[i * c + k] + v[k];
                break;
            }
            case RMP_STEP_MULTIPLY:
                for (int64_t k = 0; k < c; k++)
                    out[i * c + k] = x[i * c + k] * y[i * mask_c + (mask_c == 1 ? 0 : k)];
                break;
            default:
                memcpy(out + i * s->out.c + (join ? s->offset : 0), x + i * s->in.c + (join ? 0 : s->offset),
                       (size_t)c * sizeof *out);
                break;
            }
        }
    }
}

/* Blocks of factor x factor pixels to one (times alpha), or one pixel to a block. */
static void run_blocks(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const float *x = at(p, s->x.slot[0]);
    float *out = at(p, s->result), alpha = (float)s->alpha;
    int64_t c = s->out.c, factor = s->kind == RMP_STEP_POOL ? s->in.h / s->out.h : s->out.h / s->in.h;
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t row = 0; row < p->n * s->out.h; row++) {
        int64_t image = row / s->out.h, oy = row % s->out.h;
        for (int64_t ox = 0; ox < s->out.w; ox++) {
            float *to = out + (row * s->out.w + ox) * c;
            if (s->kind == RMP_STEP_SPREAD) {
                const float *from = x + ((image * s->in.h + oy / factor) * s->in.w + ox / factor) * c;
                for (int64_t k = 0; k < c; k++)
                    to[k] = alpha * from[k];
                continue;
            }
            memset(to, 0, (size_t)c * sizeof *to);
            for (int64_t b = 0; b < factor * factor; b++) {
                const float *from =
                    x + ((image * s->in.h + oy * factor + b / factor) * s->in.w + ox * factor + b % factor) * c;
                for (int64_t k = 0; k < c; k++)
                    to[k] += from[k];
            }
            for (int64_t k = 0; k < c; k++)
                to[k] *= alpha;
        }
    }
}

/* Channels to factor x factor pixels, or back (core/graph.h, pixel_shuffle). */
static void run_shuffle(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const bool back = s->out.h < s->in.h;
    const rmp_shape deep = back ? s->out : s->in, wide = back ? s->in : s->out;
    const int64_t factor = wide.h / deep.h, squared = factor * factor;
    const float *x = at(p, s->x.slot[0]);
    float *out = at(p, s->result);
#pragma omp parallel for num_threads(host->threads) schedule(static)
    for (int64_t row = 0; row < p->n * wide.h; row++) {
        const int64_t deep_row = row / wide.h * deep.h + row % wide.h / factor, first = row % wide.h % factor * factor;
        for (int64_t column = 0; column < wide.w; column++) {
            const int64_t many = (deep_row * deep.w + column / factor) * deep.c + first + column % factor;
            const int64_t one = (row * wide.w + column) * wide.c;
            for (int64_t k = 0; k < wide.c; k++) {
                if (back)
                    out[many + k * squared] = x[one + k];
                else
                    out[one + k] = x[many + k * squared];
            }
        }
    }
}

static void run_linear(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    bool transposed = s->beta != 0.0;
    int64_t in = rmp_shape_count(s->in), out = rmp_shape_count(s->out);
    const float *w = rmp_host_weight_data(s->weight), *bias = s->bias ? rmp_host_weight_data(s->bias) : NULL;
    const float *x = at(p, s->x.slot[0]);
    float *y = at(p, s->result);
    /* one image at a time: its result does not depend on the batch */
#pragma omp parallel for num_threads(host->threads) schedule(dynamic)
    for (int64_t image = 0; image < p->n; image++) {
        float *to = y + image * out;
        if (bias) {
            memcpy(to, bias, (size_t)out * sizeof *to);
        } else {
            memset(to, 0, (size_t)out * sizeof *to);
        }
        blasint rows = (blasint)(transposed ? in : out), columns = (blasint)(transposed ? out : in);
        cblas_sgemv(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, rows, columns, 1.0F, w, columns,
                    x + image * in, 1, 1.0F, to, 1);
    }
}

static void run_depthwise(const rmp_host_plan *p, const rmp_step *s)
{
    const rmp_node *n = rmp_graph_node(p->base.graph, s->node);
    const rmp_tensor *w = n->as.conv.weight;
    bool transposed = s->beta != 0.0;
    rmp_depthwise d = {.n = p->n,
                       .c = n->shape.c,
                       .kh = w->rank > 2 ? w->dims[2] : 1,
                       .kw = w->rank > 3 ? w->dims[3] : 1,
                       .stride = n->as.conv.stride,
                       .pad_top = n->as.conv.pad_top,
                       .pad_left = n->as.conv.pad_left,
                       .in = transposed ? s->out : s->in,
                       .out = transposed ? s->in : s->out};
    rmp_host_depthwise(&d, rmp_host_weight_data(s->weight), s->bias ? rmp_host_weight_data(s->bias) : NULL, transposed,
                       at(p, s->x.slot[0]), at(p, s->result));
}

static void run_attention(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const rmp_node *n = rmp_graph_node(p->base.graph, s->node);
    rmp_attention a = {p->n, n->shape.h * n->shape.w, n->shape.c, n->as.attention.heads, n->as.attention.order};
    if (s->kind == RMP_STEP_ATTENTION) {
        rmp_attention_forward(host->kernels, host->threads, &a, at(p, s->x.slot[0]), at(p, s->result),
                              at(p, s->scratch));
    } else {
        rmp_attention_backward(host->kernels, host->threads, &a, at(p, s->y), at(p, s->x.slot[0]), at(p, s->result),
                               at(p, s->scratch));
    }
}

static void run_features(const rmp_host_plan *p, const rmp_step *s)
{
    const rmp_node *n = rmp_graph_node(p->base.graph, s->node);
    const int64_t pixels = p->n * s->out.h * s->out.w;
    const float *x = at(p, s->x.slot[0]), *y = at(p, s->y); /* backward: the cotangent and the operand */
    float *out = at(p, s->result);
    if (s->kind == RMP_STEP_MAX_POOL)
        rmp_host_max_pool(&n->as.pool, p->n, s->in, s->out, x, out);
    else if (s->kind == RMP_STEP_MAX_POOL_BACKWARD)
        rmp_host_max_pool_backward(&n->as.pool, p->n, s->out, s->in, y, x, out);
    else if (s->kind == RMP_STEP_UNIT_CHANNELS)
        rmp_host_unit_channels(pixels, s->out.c, n->as.eps, x, out);
    else
        rmp_host_unit_channels_backward(pixels, s->out.c, n->as.eps, y, x, out);
}

static void run_fft_magnitude(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    const float *x = at(p, s->x.slot[0]), *y = at(p, s->y); /* backward: the cotangent and the operand */
    if (s->kind == RMP_STEP_FFT_MAGNITUDE)
        rmp_host_fft_magnitude(host->threads, p->n, s->in, s->out, x, at(p, s->result), at(p, s->scratch));
    else
        rmp_host_fft_magnitude_backward(host->threads, p->n, s->out, s->in, y, x, at(p, s->result), at(p, s->scratch));
}

static rmp_status run_step(const rmp_host_plan *p, const rmp_host *host, const rmp_step *s)
{
    int64_t n = p->n;
    switch (s->kind) {
    case RMP_STEP_WINO:
        run_wino(p, host, s);
        break;
    case RMP_STEP_CONV:
        return rmp_onednn_conv_run(s->conv, at(p, s->x.slot[0]), rmp_host_weight_data(s->weight),
                                   s->bias ? rmp_host_weight_data(s->bias) : NULL, at(p, s->addend[0]),
                                   at(p, s->result), at(p, s->scratch));
    case RMP_STEP_DEPTHWISE:
        run_depthwise(p, s);
        break;
    case RMP_STEP_LINEAR:
        run_linear(p, host, s);
        break;
    case RMP_STEP_ATTENTION:
    case RMP_STEP_ATTENTION_BACKWARD:
        run_attention(p, host, s);
        break;
    case RMP_STEP_SUMS:
    case RMP_STEP_BACKWARD1:
        run_sums(p, host, s);
        break;
    case RMP_STEP_REDUCE:
        run_reduce(p, host, s);
        break;
    case RMP_STEP_COEFFICIENTS:
        run_coefficients(p, s);
        break;
    case RMP_STEP_COEFFICIENTS_BACKWARD:
        run_coefficients_backward(p, s);
        break;
    case RMP_STEP_APPLY:
    case RMP_STEP_BACKWARD2:
        run_norm(p, host, s);
        break;
    case RMP_STEP_CHANNEL_BIAS:
    case RMP_STEP_MULTIPLY:
    case RMP_STEP_CHANNELS:
        run_by_pixel(p, host, s);
        break;
    case RMP_STEP_POOL:
    case RMP_STEP_SPREAD:
        run_blocks(p, host, s);
        break;
    case RMP_STEP_SHUFFLE:
        run_shuffle(p, host, s);
        break;
    case RMP_STEP_TAPS_H:
        rmp_host_taps_h(s->taps, n, s->in.w, s->in.c, at(p, s->x.slot[0]), at(p, s->result));
        break;
    case RMP_STEP_TAPS_W:
        rmp_host_taps_w(s->taps, n, s->in.h, s->in.c, at(p, s->x.slot[0]), at(p, s->result));
        break;
    case RMP_STEP_ADD:
    case RMP_STEP_AFFINE:
    case RMP_STEP_SILU:
    case RMP_STEP_SILU_BACKWARD:
    case RMP_STEP_CLIP:
    case RMP_STEP_CLIP_BACKWARD:
    case RMP_STEP_LEAKY_RELU:
    case RMP_STEP_LEAKY_RELU_BACKWARD:
    case RMP_STEP_TANH:
    case RMP_STEP_TANH_BACKWARD:
    case RMP_STEP_BF16:
    case RMP_STEP_SQUARE:
    case RMP_STEP_SQUARE_BACKWARD:
    case RMP_STEP_POWER:
    case RMP_STEP_POWER_BACKWARD:
        run_elementwise(p, host, s);
        break;
    case RMP_STEP_FFT_MAGNITUDE:
    case RMP_STEP_FFT_MAGNITUDE_BACKWARD:
        run_fft_magnitude(p, host, s);
        break;
    case RMP_STEP_MAX_POOL:
    case RMP_STEP_MAX_POOL_BACKWARD:
    case RMP_STEP_UNIT_CHANNELS:
    case RMP_STEP_UNIT_CHANNELS_BACKWARD:
        run_features(p, s);
        break;
    case RMP_STEP_KINDS:
        break;
    }
    return RMP_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

rmp_status rmp_host_run(rmp_host_plan *plan, int first, int last)
{
    const rmp_host *host = (const rmp_host *)plan->base.device;
    for (plan->image = 0; plan->image < plan->base.options.batch; plan->image += plan->n) {
        for (int i = first; i < last; i++) {
            double start = now();
            RMP_TRY(run_step(plan, host, &plan->step[i]));
            plan->step[i].seconds += now() - start;
        }
    }
    return RMP_OK;
}
