/* Arithmetic of the host device that no library has, compiled once for each instruction set (CMakeLists.txt) and chosen
 * when the program starts. Everything here is single-threaded work on a piece of an image; gpu/host/run.c spreads the
 * pieces over threads. How pieces are cut depends on shapes only, never on the number of threads, so that results do
 * not either.
 *
 * 3x3 convolutions are Winograd F(4x4, 3x3) (Lavin & Gray 2016) with the points 0, +-3/4, +-3/2, infinity, whose error
 * in float32 is about twice that of the direct sum. Around the matrix products, which take nearly all of the time, a
 * convolution also does what would otherwise cost a pass over memory: the normalisation and activation of its input
 * while it is gathered, bias, residual, and the sums that the next normalisation needs while its result is in
 * registers. */
#pragma once

#include "core/status.h"

/* Sums of a piece are RMP_SUM_ROWS rows of channels: an origin K (a value of the piece), two sums, the number of
 * pixels. */
enum { RMP_SUM_ROWS = 4 };
enum { RMP_MAX_PARTS = 8, RMP_WINO_TILE = 4, RMP_WINO_IN = 6, RMP_WINO_POINTS = 36 };

/* Channels of several tensors of equal height and width, one after another (a concatenation that was never made). */
typedef struct rmp_parts {
    int count;
    int64_t channels; /* of all parts */
    struct {
        const float *data; /* (n, h, w, c) */
        int64_t c;
    } part[RMP_MAX_PARTS];
} rmp_parts;

typedef enum rmp_gather {
    RMP_GATHER_COPY,
    RMP_GATHER_NORM,         /* a x + b */
    RMP_GATHER_NORM_SILU,    /* silu(a x + b) */
    RMP_GATHER_NORM_BACKWARD /* p d + q + r x: gradient of a normalisation from d = g act'(a x + b) */
} rmp_gather;

typedef enum rmp_resize { RMP_RESIZE_NONE, RMP_RESIZE_UP2, RMP_RESIZE_DOWN2 } rmp_resize;

typedef enum rmp_finish {
    RMP_FINISH_NONE,
    RMP_FINISH_SUMS,         /* per channel: sum y - K, sum (y - K)^2 */
    RMP_FINISH_NORM_BACKWARD /* y <- y act\'(a x + b); per channel: sum y, sum y (x - K) */
} rmp_finish;

/* How an input is read: (n, h, w, channels) after resizing. */
typedef struct rmp_source {
    rmp_parts x;
    rmp_gather gather;
    rmp_resize resize;
    int64_t h, w;       /* of x, before resizing */
    const float *d;     /* NORM_BACKWARD: (n, h, w, channels) */
    const float *a, *b; /* (n, channels); NORM_BACKWARD: p and q */
    const float *r;     /* (n, channels) NORM_BACKWARD */
} rmp_source;

typedef struct rmp_wino {
    int64_t n, h, w, ic, oc;             /* of the convolution: input and output have h x w */
    int64_t icp, ocp;                    /* rounded up to the vector length */
    int64_t rows, cols;                  /* tiles of a unit, at most */
    int64_t unit_rows, unit_cols, units; /* units down, across, in all (n x unit_rows x unit_cols) */
    int64_t splits;                      /* parts of the output channels: pieces of work are units x splits */
    int64_t scratch;                     /* floats a thread needs */
    rmp_source source;
    const float *weights;    /* packed, see pack */
    const float *bias;       /* (oc) or NULL */
    const float *image_bias; /* one more bias an image, or NULL: image_bias[image * image_stride + channel] */
    int64_t image_stride;
    const float *addend; /* (n, h, w, oc) or NULL */
    float *result;       /* (n, h, w, oc) */
    rmp_finish finish;
    float *sums;                      /* (units, RMP_SUM_ROWS, ocp) */
    rmp_parts finish_x;               /* NORM_BACKWARD: x of the normalisation, oc channels */
    const float *finish_a, *finish_b; /* (n, oc) */
    bool finish_silu;
} rmp_wino;

/* Elementwise work on `pixels` pixels of image `image` that start at pixel `first`. */
typedef struct rmp_norm_pass {
    int64_t n, h, w; /* of x */
    rmp_parts x;
    const float *a, *b, *r; /* (n, channels) */
    bool silu;
    rmp_resize resize;                  /* forward: of the result; backward: how the gradient was resized */
    float *out;                         /* forward: (n, h', w', channels), float32; or NULL */
    uint16_t *out_bf16;                 /* the same in bf16; or NULL */
    const float *g;                     /* backward 1: gradient of the (resized) result */
    float *d;                           /* backward 1: result; backward 2: input */
    float *dx[RMP_MAX_PARTS];           /* backward 2: gradients of the parts */
    const float *addend[RMP_MAX_PARTS]; /* backward 2: added to them; or NULL */
    float *sums;                        /* sums, backward 1: (pieces, RMP_SUM_ROWS, channels) */
} rmp_norm_pass;

typedef struct rmp_kernels {
    const char *name; /* "avx512", "avx2", "generic" */
    int64_t width;    /* floats of a vector */

    /* Winograd: `plan` fills icp .. scratch from n .. oc; packed weights take pack_floats. plain: (oc, ic, 3, 3), or
     * with `transposed` (ic, oc, 3, 3) to be flipped: the transposed convolution. Packs output channels [first, last)
     * into zeroed memory. */
    void (*wino_plan)(rmp_wino *job);
    int64_t (*wino_pack_floats)(int64_t ic, int64_t oc);
    void (*wino_pack)(int64_t ic, int64_t oc, int64_t first, int64_t last, bool transposed, const float *plain,
                      float *packed);
    void (*wino_unit)(const rmp_wino *job, int64_t unit, int64_t split, float *scratch);

    /* Normalisation passes over rows [first, last) of image `image`; sums of the rows go to sums[piece]. */
    void (*norm_sums)(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last, float *sums);
    void (*norm_apply)(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last);
    void (*norm_backward1)(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last, float *sums);
    void (*norm_backward2)(const rmp_norm_pass *pass, int64_t image, int64_t first, int64_t last);

    void (*axpby)(int64_t n, float a, const float *x, float b, float *y); /* y = a x + b y; b == 0: y is not read */
    void (*add)(int64_t n, float a, const float *x, float b, const float *y, float *out);
    double (*dot)(int64_t n, const float *x, const float *y); /* n at most a few thousand */
    void (*silu)(int64_t n, const float *x, float *y);
    void (*silu_backward)(int64_t n, const float *x, const float *g, float *dx);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);
    void (*softmax)(int64_t n, float scale, float *x); /* x = softmax(scale x) */
} rmp_kernels;

/* The best set for this processor. */
const rmp_kernels *rmp_kernels_choose(void);
/* Every set that this processor can run, best first (for tests); returns how many. */
int rmp_kernels_usable(const rmp_kernels *out[3]);
