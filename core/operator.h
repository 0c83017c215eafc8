/* Measurement operators y = A(x) (METHOD.md section 6). Written once as a graph; the device gives the
 * forward map and its VJP, which for a linear operator is the adjoint.
 *
 * Measurements of the inpainting operators keep the image's size: missing pixels are zero, in A(x) as well as in a
 * measurement with noise (rmp_operator_mask_measurement), and nothing counts them.
 *
 * Not linear:
 *   phase_retrieval  y = |F P x|: magnitudes of the Fourier transform of each channel, unitary, frequency 0 in the
 *                    middle, after padding with zeros, as in Chung et al. 2023 (DPS): oversampling 2 pads a quarter of
 *                    the side on each side, which gives 2.25 times as many numbers. x and -x measure the same, and so
 *                    do x and x turned by half a turn.
 *   hdr              y = min(max(2 x, -1), 1)
 *   gamma            (y + 1) / 2 = ((x + 1) / 2)^gamma, (x + 1) / 2 clipped to [0.001, 1] first */
#pragma once

#include "core/field.h"
#include "core/nets/kernel_wizard.h"

typedef enum rmp_operator_kind {
    RMP_OPERATOR_SUPER_RESOLUTION,
    RMP_OPERATOR_GAUSSIAN_BLUR,
    RMP_OPERATOR_MOTION_BLUR,
    RMP_OPERATOR_INPAINT_BOX,
    RMP_OPERATOR_INPAINT_RANDOM,
    RMP_OPERATOR_INPAINT_MASK,
    RMP_OPERATOR_DENOISE,
    RMP_OPERATOR_MATRIX,
    RMP_OPERATOR_PHASE_RETRIEVAL,
    RMP_OPERATOR_HDR,
    RMP_OPERATOR_GAMMA,
    RMP_OPERATOR_GRAYSCALE,
    RMP_OPERATOR_COMPOSE,
    RMP_OPERATOR_NONLINEAR_BLUR,
    RMP_OPERATOR_KINDS
} rmp_operator_kind;

typedef enum rmp_reduction { RMP_REDUCTION_BICUBIC, RMP_REDUCTION_BOX } rmp_reduction;

typedef struct rmp_operator_config {
    rmp_operator_kind kind;
    int64_t factor;               /* super_resolution */
    rmp_reduction reduction;      /* super_resolution */
    int64_t kernel_size;          /* gaussian_blur, motion_blur: odd */
    double kernel_std;            /* gaussian_blur: pixels */
    double intensity;             /* motion_blur: 0 (straight) .. 1 (shaky) */
    int64_t box_h, box_w, margin; /* inpaint_box: pixels; the box is drawn at least `margin` from the edge */
    double fraction;              /* inpaint_random: masked share, exact count */
    const float *kernel;          /* motion_blur: borrowed (kernel_size^2, normalised) instead of drawing one; or NULL.
                                     y[p] = sum_q kernel[q] x[p - (q - centre)]: convolution; a single bright pixel becomes the
                                     kernel as it is, not turned */
    const rmp_tensor *matrix;     /* matrix: A (M, D), borrowed */
    double oversampling;          /* phase_retrieval: zeros of side * oversampling / 8, rounded down, on every side */
    double gamma;                 /* gamma: exponent */
    /* compose: A = part[parts - 1] ... part[0], borrowed. A mask can only come last; matrix, nonlinear_blur
     * and compose cannot be parts. */
    const struct rmp_operator_config *part;
    int64_t parts;
    const rmp_kernel_wizard *network; /* nonlinear_blur: borrowed */
    const rmp_tensor *code; /* nonlinear_blur: kernel code (kernel_dim, h, w), borrowed, used as it is; cell (i, j)
                               of an image's 128 x 128 pixels takes number (i mod h, j mod w). NULL: (kernel_dim,
                               2, 2) is drawn from the seed */
    double code_scale;      /* nonlinear_blur: standard deviation of a drawn code */
} rmp_operator_config;

typedef struct rmp_operator rmp_operator;

enum { RMP_OPERATOR_MOST_PARTS = 8 };

/* What a configuration tells without an operator; false for a kind that there is not. */
bool rmp_operator_config_is_linear(const rmp_operator_config *config);
/* True if measurements are magnitudes of a transform: no picture, and on no scale of one. */
bool rmp_operator_config_has_magnitudes(const rmp_operator_config *config);
/* True if a kernel or a code is drawn or given (motion_blur, nonlinear_blur, or a part of that kind). */
bool rmp_operator_config_has_kernel(const rmp_operator_config *config);
/* Channels that are measured of images of `image` channels. */
int64_t rmp_operator_config_channels(const rmp_operator_config *config, int64_t image);
/* RMP_ERR_CONFIG with the key named for values that no image makes good. */
rmp_status rmp_operator_config_check(const rmp_operator_config *config) RMP_MUST_CHECK;
/* True if a spectrum is known for images that are not too large. */
bool rmp_operator_config_may_have_spectrum(const rmp_operator_config *config);
/* The configuration that masks come from, which is `config` or its last part; NULL if there are no masks. */
const rmp_operator_config *rmp_operator_config_mask(const rmp_operator_config *config);

/* Everything an operator needs for n images of one shape on one device: plans, masks, spectra. */
rmp_status rmp_operator_create(rmp_device *device, const rmp_operator_config *config, uint64_t seed, int64_t n,
                               rmp_shape image, rmp_operator **out) RMP_MUST_CHECK;
void rmp_operator_destroy(rmp_operator **op);

/* Bytes that create will take (plans, masks, spectra) for these arguments; compiles but does not allocate. */
rmp_status rmp_operator_estimate(rmp_device *device, const rmp_operator_config *config, int64_t n, rmp_shape image,
                                 int64_t *bytes) RMP_MUST_CHECK;

/* Shape of a measurement of an image of that shape. */
rmp_status rmp_operator_measured_shape(const rmp_operator_config *config, rmp_shape image,
                                       rmp_shape *out) RMP_MUST_CHECK;
/* The image shape that a measurement of that shape belongs to (super_resolution: times factor). */
rmp_status rmp_operator_image_shape(const rmp_operator_config *config, rmp_shape measured,
                                    rmp_shape *out) RMP_MUST_CHECK;

/* Image and measurement spaces; owned by the operator. */
const rmp_space *rmp_operator_domain(const rmp_operator *op);
const rmp_space *rmp_operator_range(const rmp_operator *op);
bool rmp_operator_is_linear(const rmp_operator *op);

/* True if masks differ from item to item (inpaint_*, compose that ends in one): draw or set them before use. */
bool rmp_operator_has_mask(const rmp_operator *op);
/* Draws the masks of all n items from their keys: the same item, the same mask. */
rmp_status rmp_operator_draw(rmp_operator *op, const rmp_key key[]) RMP_MUST_CHECK;
/* The mask of one image, (h, w) of the measurement, 1 = measured, 0 = missing; other values are RMP_ERR_ARGUMENT, and
 * so is using an operator while an image has no mask. */
rmp_status rmp_operator_set_mask(rmp_operator *op, int64_t image, const float *mask) RMP_MUST_CHECK;
rmp_status rmp_operator_get_mask(const rmp_operator *op, int64_t image, float *mask) RMP_MUST_CHECK;

/* Zeros the missing pixels of measurements (of their noise, too). Does nothing for operators without masks. */
rmp_status rmp_operator_mask_measurement(rmp_operator *op, rmp_field *y) RMP_MUST_CHECK;
/* Numbers measured of one image: M of METHOD.md; missing pixels do not count. */
int64_t rmp_operator_measured(const rmp_operator *op, int64_t image);

/* The blur kernel that is in use (kernel_size^2, owned by the operator), or NULL. Drawn from the job's seed. */
const float *rmp_operator_kernel(const rmp_operator *op, int64_t *size);

/* The kernel code that is in use, (kernel_dim, h, w) float32 (owned by the operator), or NULL. */
const rmp_tensor *rmp_operator_code(const rmp_operator *op);

rmp_status rmp_operator_forward(rmp_operator *op, const rmp_field *x, rmp_field *y) RMP_MUST_CHECK;
/* x = A^T y; RMP_ERR_ARGUMENT for an operator that is not linear. */
rmp_status rmp_operator_adjoint(rmp_operator *op, const rmp_field *y, rmp_field *x) RMP_MUST_CHECK;

/* x = (dA/dx)^T y at the x of the last forward, which must be unchanged; of a linear operator the adjoint. */
rmp_status rmp_operator_vjp(rmp_operator *op, const rmp_field *y, rmp_field *x) RMP_MUST_CHECK;

/* True if the operator knows an orthogonal basis in which A A^T is diagonal. */
bool rmp_operator_has_spectrum(const rmp_operator *op);
/* The largest eigenvalue of A A^T; 0 without a spectrum. */
double rmp_operator_largest_eigenvalue(const rmp_operator *op);
/* y_i <- (a_i I + b_i A A^T)^-1 y_i in closed form. Only with a spectrum; a_i > 0, b_i >= 0. */
rmp_status rmp_operator_solve(rmp_operator *op, const double a[], const double b[], rmp_field *y) RMP_MUST_CHECK;

/* y_i <- U f(lambda) U^T y_i in the basis U of the spectrum, for a function f of the eigenvalues of A A^T, computed
 * anew at each call. Only with a spectrum; f(0) must be 0 where there are masks. weights: scratch, range. */
rmp_status rmp_operator_filter(rmp_operator *op, double (*f)(void *context, double eigenvalue), void *context,
                               rmp_field *weights, rmp_field *y) RMP_MUST_CHECK;

/* The dense matrix A (M, D) of a linear operator (else RMP_ERR_ARGUMENT) for one image, row-major, in double: for
 * ground truth in small spaces. Costs D forward maps. */
rmp_status rmp_operator_matrix(rmp_operator *op, int64_t image, double *matrix) RMP_MUST_CHECK;

const char *rmp_operator_name(const rmp_operator *op); /* "super_resolution", ... */
