/* What the kinds of operators share with core/operator.c; not for anybody else. */
#pragma once

#include "core/operator.h"

typedef struct rmp_operator_class {
    const char *name;
    bool mask;
    bool nonlinear;
    bool magnitudes;
    bool whole; /* cannot be a part of compose */
    /* Refuses what a user can get wrong: RMP_ERR_CONFIG with the key named. */
    rmp_status (*check)(const rmp_operator_config *config);
    /* Also refuses images that this operator cannot take. */
    rmp_status (*measured_shape)(const rmp_operator_config *config, rmp_shape image, rmp_shape *out);
    rmp_status (*image_shape)(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out);
    /* Appends A to op->graph. */
    rmp_status (*build)(rmp_operator *op, rmp_value x, rmp_value *y);
    /* NULL: none. Fills op->constant, whose space `build` has set, for all images: input 1 of op->graph. */
    rmp_status (*constant)(rmp_operator *op);
    /* NULL: no spectrum. Fills op->basis (the graph of an orthogonal basis; left NULL for the identity) and
     * op->eigenvalues; leaves eigenvalues NULL if this size is too large. In a dry run only sizes matter. */
    rmp_status (*spectrum)(rmp_operator *op);
    /* Draws one mask (h, w); NULL: masks come from the caller. */
    rmp_status (*draw)(const rmp_operator *op, rmp_key key, float *mask);
} rmp_operator_class;

struct rmp_operator {
    const rmp_operator_class *class;
    rmp_operator_config config;
    rmp_device *device;
    uint64_t seed;
    bool dry;               /* compiled for its memory only */
    bool masked, nonlinear; /* as its class, or as a part */
    rmp_space domain, range;

    rmp_graph *graph;
    rmp_plan *plan;
    bool primed; /* the plan's last forward saw the masks that are set now */

    rmp_space mask_space;
    rmp_field *mask;   /* (n, h, w, 1) */
    bool *mask_set;    /* (n) */
    int64_t *measured; /* (n) */

    rmp_space constant_space;
    rmp_field *constant;

    float *code_values;
    rmp_tensor code; /* of code_values: (kernel_dim, h, w) */

    float *kernel;     /* (size, size) */
    float *depthwise;  /* (c, 1, size, size): the kernel for each channel, turned */
    rmp_tensor weight; /* of depthwise, or a grayscale's */

    rmp_operator *child[RMP_OPERATOR_MOST_PARTS]; /* compose: parts that build into this operator's graph */
    int64_t children;

    rmp_graph *basis; /* y -> coefficients */
    rmp_plan *basis_plan;
    double *eigenvalues; /* of A A^T, one for each coefficient; NULL: no spectrum */
    rmp_space value_space;
    rmp_field *value;        /* the same on the device: one image, or n where masks differ: their masks, (n, h, w, c) */
    rmp_field *coefficients; /* range */
    float *basis_matrix;     /* matrix: (M, M) */
    rmp_tensor basis_weight;
};

extern const rmp_operator_class rmp_operator_super_resolution;
extern const rmp_operator_class rmp_operator_gaussian_blur;
extern const rmp_operator_class rmp_operator_motion_blur;
extern const rmp_operator_class rmp_operator_inpaint_box;
extern const rmp_operator_class rmp_operator_inpaint_random;
extern const rmp_operator_class rmp_operator_inpaint_mask;
extern const rmp_operator_class rmp_operator_denoise;
extern const rmp_operator_class rmp_operator_matrix_class;
extern const rmp_operator_class rmp_operator_phase_retrieval;
extern const rmp_operator_class rmp_operator_hdr;
extern const rmp_operator_class rmp_operator_gamma;
extern const rmp_operator_class rmp_operator_grayscale;
extern const rmp_operator_class rmp_operator_compose;
extern const rmp_operator_class rmp_operator_nonlinear_blur;

/* Longest side of a measurement for which a basis is computed: beyond it an eigen-decomposition and its dense matrices
 * cost more than the conjugate gradients that replace them. */
enum { RMP_SPECTRUM_LONGEST = 1024 };

/* NULL for a kind that there is not. */
const rmp_operator_class *rmp_operator_class_of(rmp_operator_kind kind);

/* An operator without graphs, plans and memory, on which a class can build. */
rmp_status rmp_operator_begin(rmp_device *device, const rmp_operator_config *config, uint64_t seed, int64_t n,
                              rmp_shape image, bool dry, rmp_operator **out) RMP_MUST_CHECK;

/* Nothing to refuse. */
rmp_status rmp_operator_check_nothing(const rmp_operator_config *config);

/* All eigenvalues of A A^T are `value`, in the measurement's own basis. */
rmp_status rmp_operator_flat_spectrum(rmp_operator *op, double value);

/* Shapes that do not change. */
rmp_status rmp_operator_same_shape(const rmp_operator_config *config, rmp_shape in, rmp_shape *out);

/* A camera-shake path as a (size, size) kernel: see motion_kernel.c. */
void rmp_motion_kernel(uint64_t seed, int64_t size, double intensity, float *kernel);
