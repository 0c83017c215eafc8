#include "core/operator.h"

#include "core/operators/internal.h"

#include <math.h>
#include <stdlib.h>

static const rmp_operator_class *const classes[RMP_OPERATOR_KINDS] = {
    [RMP_OPERATOR_SUPER_RESOLUTION] = &rmp_operator_super_resolution,
    [RMP_OPERATOR_GAUSSIAN_BLUR] = &rmp_operator_gaussian_blur,
    [RMP_OPERATOR_MOTION_BLUR] = &rmp_operator_motion_blur,
    [RMP_OPERATOR_INPAINT_BOX] = &rmp_operator_inpaint_box,
    [RMP_OPERATOR_INPAINT_RANDOM] = &rmp_operator_inpaint_random,
    [RMP_OPERATOR_INPAINT_MASK] = &rmp_operator_inpaint_mask,
    [RMP_OPERATOR_DENOISE] = &rmp_operator_denoise,
    [RMP_OPERATOR_MATRIX] = &rmp_operator_matrix_class,
    [RMP_OPERATOR_PHASE_RETRIEVAL] = &rmp_operator_phase_retrieval,
    [RMP_OPERATOR_HDR] = &rmp_operator_hdr,
    [RMP_OPERATOR_GAMMA] = &rmp_operator_gamma,
    [RMP_OPERATOR_GRAYSCALE] = &rmp_operator_grayscale,
    [RMP_OPERATOR_COMPOSE] = &rmp_operator_compose,
    [RMP_OPERATOR_NONLINEAR_BLUR] = &rmp_operator_nonlinear_blur,
};

const rmp_operator_class *rmp_operator_class_of(rmp_operator_kind kind)
{
    return (int)kind >= 0 && kind < RMP_OPERATOR_KINDS ? classes[kind] : NULL;
}

static rmp_status class_of(const rmp_operator_config *config, const rmp_operator_class **out)
{
    *out = rmp_operator_class_of(config->kind);
    RMP_CHECK(*out != NULL, RMP_ERR_CONFIG, "operator.kind: number %d is not a kind of operator", (int)config->kind);
    return (*out)->check(config);
}

/* The parts that make up a configuration: itself, but for compose. */
static int64_t parts_of(const rmp_operator_config *config, const rmp_operator_config **part)
{
    const bool compose = config->kind == RMP_OPERATOR_COMPOSE;
    *part = compose ? config->part : config;
    return compose ? config->parts : 1;
}

bool rmp_operator_config_is_linear(const rmp_operator_config *config)
{
    const rmp_operator_config *part = NULL;
    const int64_t parts = parts_of(config, &part);
    for (int64_t i = 0; i < parts; ++i) {
        const rmp_operator_class *class = rmp_operator_class_of(part[i].kind);
        if (class == NULL || class->nonlinear) return false;
    }
    return true;
}

rmp_status rmp_operator_config_check(const rmp_operator_config *config)
{
    const rmp_operator_class *class = NULL;
    return class_of(config, &class);
}

bool rmp_operator_config_may_have_spectrum(const rmp_operator_config *config)
{
    const rmp_operator_class *class = rmp_operator_class_of(config->kind);
    return class != NULL && class->spectrum != NULL;
}

bool rmp_operator_config_has_kernel(const rmp_operator_config *config)
{
    const rmp_operator_config *part = NULL;
    const int64_t parts = parts_of(config, &part);
    for (int64_t i = 0; i < parts; ++i)
        if (part[i].kind == RMP_OPERATOR_MOTION_BLUR || part[i].kind == RMP_OPERATOR_NONLINEAR_BLUR) return true;
    return false;
}

int64_t rmp_operator_config_channels(const rmp_operator_config *config, int64_t image)
{
    const rmp_operator_config *part = NULL;
    const int64_t parts = parts_of(config, &part);
    for (int64_t i = 0; i < parts; ++i)
        if (part[i].kind == RMP_OPERATOR_GRAYSCALE) return 1;
    return image;
}

bool rmp_operator_config_has_magnitudes(const rmp_operator_config *config)
{
    const rmp_operator_config *part = NULL;
    const int64_t parts = parts_of(config, &part);
    for (int64_t i = 0; i < parts; ++i) {
        const rmp_operator_class *class = rmp_operator_class_of(part[i].kind);
        if (class != NULL && class->magnitudes) return true;
    }
    return false;
}

const rmp_operator_config *rmp_operator_config_mask(const rmp_operator_config *config)
{
    const rmp_operator_config *part = NULL;
    const int64_t parts = parts_of(config, &part);
    const rmp_operator_class *last = parts > 0 ? rmp_operator_class_of(part[parts - 1].kind) : NULL;
    return last != NULL && last->mask ? &part[parts - 1] : NULL;
}

rmp_status rmp_operator_check_nothing(const rmp_operator_config *config)
{
    (void)config;
    return RMP_OK;
}

rmp_status rmp_operator_flat_spectrum(rmp_operator *op, double value)
{
    const int64_t count = rmp_shape_count(op->range.shape);
    op->eigenvalues = malloc((size_t)count * sizeof *op->eigenvalues);
    RMP_CHECK(op->eigenvalues != NULL, RMP_ERR_MEMORY, "no memory for %lld eigenvalues", (long long)count);
    for (int64_t i = 0; i < count; ++i)
        op->eigenvalues[i] = value;
    return RMP_OK;
}

rmp_status rmp_operator_same_shape(const rmp_operator_config *config, rmp_shape in, rmp_shape *out)
{
    (void)config;
    *out = in;
    return RMP_OK;
}

rmp_status rmp_operator_measured_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    const rmp_operator_class *class = NULL;
    RMP_TRY(class_of(config, &class));
    return class->measured_shape(config, image, out);
}

rmp_status rmp_operator_image_shape(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    const rmp_operator_class *class = NULL;
    RMP_TRY(class_of(config, &class));
    return class->image_shape(config, measured, out);
}

static rmp_status compile(rmp_operator *op)
{
    rmp_value x, y;
    const rmp_plan_options options = {.batch = op->domain.n, .precision = RMP_PRECISION_FP32, .vjp = true};
    RMP_TRY(rmp_graph_create(&op->graph));
    RMP_TRY(rmp_graph_input(op->graph, op->domain.shape, &x));
    RMP_TRY(op->class->build(op, x, &y));
    RMP_TRY(rmp_graph_output(op->graph, y));
    RMP_TRY(rmp_plan_create(op->device, op->graph, &options, &op->plan));
    if (op->class->spectrum != NULL) RMP_TRY(op->class->spectrum(op));
    if (op->basis != NULL) RMP_TRY(rmp_plan_create(op->device, op->basis, &options, &op->basis_plan));
    return RMP_OK;
}

rmp_status rmp_operator_begin(rmp_device *device, const rmp_operator_config *config, uint64_t seed, int64_t n,
                              rmp_shape image, bool dry, rmp_operator **out)
{
    *out = NULL;
    RMP_CHECK(n >= 1 && image.h >= 1 && image.w >= 1 && image.c >= 1, RMP_ERR_ARGUMENT,
              "an operator for %lld images of %lldx%lldx%lld", (long long)n, (long long)image.h, (long long)image.w,
              (long long)image.c);
    const rmp_operator_class *class = NULL;
    rmp_shape measured = {0, 0, 0};
    RMP_TRY(class_of(config, &class));
    RMP_TRY(class->measured_shape(config, image, &measured));
    rmp_operator *op = calloc(1, sizeof *op);
    RMP_CHECK(op != NULL, RMP_ERR_MEMORY, "no memory for an operator");
    op->class = class;
    op->config = *config;
    op->device = device;
    op->seed = seed;
    op->dry = dry;
    op->masked = rmp_operator_config_mask(config) != NULL;
    op->nonlinear = !rmp_operator_config_is_linear(config);
    rmp_space_local(&op->domain, device, n, image);
    rmp_space_local(&op->range, device, n, measured);
    rmp_space_local(&op->mask_space, device, n, (rmp_shape){measured.h, measured.w, 1});
    rmp_space_local(&op->value_space, device, op->masked ? n : 1, measured);
    *out = op;
    return RMP_OK;
}

/* Everything up to the compiled plans; nothing large yet. */
static rmp_status prepare(rmp_device *device, const rmp_operator_config *config, uint64_t seed, int64_t n,
                          rmp_shape image, bool dry, rmp_operator **out)
{
    rmp_operator *op = NULL;
    *out = NULL;
    RMP_TRY(rmp_operator_begin(device, config, seed, n, image, dry, &op));
    const rmp_status status = compile(op);
    if (status != RMP_OK) {
        rmp_operator_destroy(&op);
        return status;
    }
    *out = op;
    return RMP_OK;
}

static rmp_status upload_eigenvalues(rmp_operator *op)
{
    const int64_t count = rmp_shape_count(op->range.shape);
    float *values = malloc((size_t)count * sizeof *values);
    RMP_CHECK(values != NULL, RMP_ERR_MEMORY, "no memory for %lld eigenvalues", (long long)count);
    for (int64_t i = 0; i < count; ++i) /* rounding leaves tiny negative values where A A^T is singular */
        values[i] = op->eigenvalues[i] > 0.0 ? (float)op->eigenvalues[i] : 0.0f;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < op->value_space.n && status == RMP_OK; ++i)
        status = rmp_field_put(op->value, i, values);
    free(values);
    return status;
}

static rmp_status allocate(rmp_operator *op)
{
    const int64_t n = op->domain.n;
    op->mask_set = calloc((size_t)n, sizeof *op->mask_set);
    op->measured = calloc((size_t)n, sizeof *op->measured);
    RMP_CHECK(op->mask_set != NULL && op->measured != NULL, RMP_ERR_MEMORY, "no memory for an operator");
    for (int64_t i = 0; i < n; ++i)
        op->measured[i] = rmp_shape_count(op->range.shape);
    RMP_TRY(rmp_plan_allocate(op->plan));
    if (op->masked) RMP_TRY(rmp_field_create(&op->mask_space, &op->mask));
    if (op->masked || op->eigenvalues != NULL) RMP_TRY(rmp_field_create(&op->value_space, &op->value));
    if (op->eigenvalues != NULL) RMP_TRY(upload_eigenvalues(op));
    if (op->class->constant) {
        RMP_TRY(rmp_field_create(&op->constant_space, &op->constant));
        RMP_TRY(op->class->constant(op));
    }
    if (op->basis != NULL) {
        RMP_TRY(rmp_plan_allocate(op->basis_plan));
        RMP_TRY(rmp_field_create(&op->range, &op->coefficients));
    }
    return RMP_OK;
}

rmp_status rmp_operator_create(rmp_device *device, const rmp_operator_config *config, uint64_t seed, int64_t n,
                               rmp_shape image, rmp_operator **out)
{
    rmp_operator *op = NULL;
    *out = NULL;
    RMP_TRY(prepare(device, config, seed, n, image, false, &op));
    const rmp_status status = allocate(op);
    if (status != RMP_OK) {
        rmp_operator_destroy(&op);
        return status;
    }
    *out = op;
    return RMP_OK;
}

void rmp_operator_destroy(rmp_operator **op)
{
    if (op == NULL || *op == NULL) return;
    rmp_operator *o = *op;
    rmp_plan_destroy(&o->plan);
    rmp_plan_destroy(&o->basis_plan);
    rmp_graph_destroy(&o->graph);
    rmp_graph_destroy(&o->basis);
    for (int64_t i = 0; i < o->children; ++i)
        rmp_operator_destroy(&o->child[i]);
    rmp_field_destroy(&o->mask);
    rmp_field_destroy(&o->constant);
    rmp_field_destroy(&o->value);
    rmp_field_destroy(&o->coefficients);
    free(o->mask_set);
    free(o->measured);
    free(o->code_values);
    free(o->kernel);
    free(o->depthwise);
    free(o->eigenvalues);
    free(o->basis_matrix);
    free(o);
    *op = NULL;
}

static int64_t plan_bytes(const rmp_plan *plan)
{
    if (plan == NULL) return 0;
    const rmp_plan_memory memory = rmp_plan_estimate(plan);
    return memory.arena + memory.weights + memory.saved;
}

static int64_t space_bytes(const rmp_space *space)
{
    return space->n * rmp_shape_count(space->shape) * (int64_t)sizeof(float);
}

rmp_status rmp_operator_estimate(rmp_device *device, const rmp_operator_config *config, int64_t n, rmp_shape image,
                                 int64_t *bytes)
{
    rmp_operator *op = NULL;
    RMP_TRY(prepare(device, config, 0, n, image, true, &op));
    *bytes = plan_bytes(op->plan) + plan_bytes(op->basis_plan);
    if (op->masked) *bytes += space_bytes(&op->mask_space);
    if (op->masked || op->eigenvalues != NULL) *bytes += space_bytes(&op->value_space);
    if (op->class->constant) *bytes += space_bytes(&op->constant_space);
    if (op->basis != NULL) *bytes += space_bytes(&op->range);
    rmp_operator_destroy(&op);
    return RMP_OK;
}

const rmp_space *rmp_operator_domain(const rmp_operator *op) { return &op->domain; }
const rmp_space *rmp_operator_range(const rmp_operator *op) { return &op->range; }
const char *rmp_operator_name(const rmp_operator *op) { return op->class->name; }
bool rmp_operator_has_mask(const rmp_operator *op) { return op->masked; }
bool rmp_operator_has_spectrum(const rmp_operator *op) { return op->eigenvalues != NULL; }

double rmp_operator_largest_eigenvalue(const rmp_operator *op)
{
    double largest = 0.0;
    for (int64_t i = 0; op->eigenvalues != NULL && i < rmp_shape_count(op->range.shape); ++i)
        largest = fmax(largest, op->eigenvalues[i]);
    return largest;
}

bool rmp_operator_is_linear(const rmp_operator *op) { return !op->nonlinear; }

int64_t rmp_operator_measured(const rmp_operator *op, int64_t image) { return op->measured[image]; }

const float *rmp_operator_kernel(const rmp_operator *op, int64_t *size)
{
    for (int64_t i = 0; i < op->children; ++i)
        if (op->child[i]->kernel != NULL) return rmp_operator_kernel(op->child[i], size);
    *size = op->kernel != NULL ? op->config.kernel_size : 0;
    return op->kernel;
}

const rmp_tensor *rmp_operator_code(const rmp_operator *op) { return op->code_values != NULL ? &op->code : NULL; }

rmp_status rmp_operator_draw(rmp_operator *op, const rmp_key key[])
{
    const rmp_operator *drawing = op->children > 0 ? op->child[op->children - 1] : op;
    if (drawing->class->draw == NULL) return RMP_OK;
    const int64_t pixels = rmp_shape_count(op->mask_space.shape);
    float *mask = malloc((size_t)pixels * sizeof *mask);
    RMP_CHECK(mask != NULL, RMP_ERR_MEMORY, "no memory for a mask of %lld pixels", (long long)pixels);
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < op->domain.n && status == RMP_OK; ++i) {
        status = drawing->class->draw(drawing, key[i], mask);
        if (status == RMP_OK) status = rmp_operator_set_mask(op, i, mask);
    }
    free(mask);
    return status;
}

rmp_status rmp_operator_set_mask(rmp_operator *op, int64_t image, const float *mask)
{
    RMP_CHECK(op->masked, RMP_ERR_ARGUMENT, "%s has no mask", op->class->name);
    RMP_CHECK(image >= 0 && image < op->domain.n, RMP_ERR_ARGUMENT, "mask of image %lld of %lld", (long long)image,
              (long long)op->domain.n);
    const int64_t pixels = rmp_shape_count(op->mask_space.shape), c = op->range.shape.c;
    int64_t measured = 0;
    for (int64_t i = 0; i < pixels; ++i) {
        RMP_CHECK(mask[i] == 0.0f || mask[i] == 1.0f, RMP_ERR_ARGUMENT, "a mask holds %g; it may hold 0 and 1",
                  (double)mask[i]);
        measured += mask[i] == 1.0f ? c : 0;
    }
    float *spread = malloc((size_t)(pixels * c) * sizeof *spread);
    RMP_CHECK(spread != NULL, RMP_ERR_MEMORY, "no memory for a mask of %lld pixels", (long long)pixels);
    for (int64_t i = 0; i < pixels * c; ++i)
        spread[i] = mask[i / c];
    rmp_status status = rmp_field_put(op->mask, image, mask);
    if (status == RMP_OK) status = rmp_field_put(op->value, image, spread);
    free(spread);
    RMP_TRY(status);
    op->measured[image] = measured;
    op->mask_set[image] = true;
    op->primed = false;
    return RMP_OK;
}

rmp_status rmp_operator_get_mask(const rmp_operator *op, int64_t image, float *mask)
{
    RMP_CHECK(op->masked, RMP_ERR_ARGUMENT, "%s has no mask", op->class->name);
    return rmp_field_get(op->mask, image, mask);
}

static rmp_status check_field(const rmp_operator *op, const rmp_field *field, const rmp_space *space, const char *role)
{
    RMP_CHECK(field->space->device == space->device && field->space->n == space->n &&
                  rmp_shape_count(field->space->shape) == rmp_shape_count(space->shape),
              RMP_ERR_ARGUMENT, "%s: the %s is %lld of %lldx%lldx%lld, not %lld of %lldx%lldx%lld", op->class->name,
              role, (long long)field->space->n, (long long)field->space->shape.h, (long long)field->space->shape.w,
              (long long)field->space->shape.c, (long long)space->n, (long long)space->shape.h,
              (long long)space->shape.w, (long long)space->shape.c);
    return RMP_OK;
}

static rmp_status check_masks(const rmp_operator *op)
{
    for (int64_t i = 0; op->masked && i < op->domain.n; ++i)
        RMP_CHECK(op->mask_set[i], RMP_ERR_ARGUMENT, "%s: image %lld has no mask yet", op->class->name, (long long)i);
    return RMP_OK;
}

rmp_status rmp_operator_forward(rmp_operator *op, const rmp_field *x, rmp_field *y)
{
    RMP_TRY(check_field(op, x, &op->domain, "image"));
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_TRY(check_masks(op));
    const rmp_field *second = op->masked ? op->mask : op->constant;
    const rmp_buffer *const input[2] = {x->buffer, second != NULL ? second->buffer : NULL};
    RMP_TRY(rmp_plan_forward(op->plan, second != NULL ? 2 : 1, input, y->buffer));
    op->primed = true;
    return RMP_OK;
}

/* The plan's VJP belongs to a forward; that of a linear operator does not depend on which. */
static rmp_status prime(rmp_operator *op)
{
    rmp_field *x = NULL, *y = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(rmp_field_create(&op->domain, &x), done);
    RMP_TRY_GOTO(rmp_field_create(&op->range, &y), done);
    RMP_TRY_GOTO(rmp_operator_forward(op, x, y), done);
done:
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    return status;
}

rmp_status rmp_operator_adjoint(rmp_operator *op, const rmp_field *y, rmp_field *x)
{
    RMP_TRY(check_field(op, x, &op->domain, "image"));
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_CHECK(!op->nonlinear, RMP_ERR_ARGUMENT, "%s is not linear: it has no adjoint", op->class->name);
    if (!op->primed) RMP_TRY(prime(op));
    return rmp_plan_vjp(op->plan, y->buffer, x->buffer);
}

rmp_status rmp_operator_vjp(rmp_operator *op, const rmp_field *y, rmp_field *x)
{
    if (!op->nonlinear) return rmp_operator_adjoint(op, y, x);
    RMP_TRY(check_field(op, x, &op->domain, "image"));
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_CHECK(op->primed, RMP_ERR_ARGUMENT, "%s: a gradient before a forward map", op->class->name);
    return rmp_plan_vjp(op->plan, y->buffer, x->buffer);
}

rmp_status rmp_operator_mask_measurement(rmp_operator *op, rmp_field *y)
{
    if (!op->masked) return RMP_OK;
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_TRY(check_masks(op));
    return rmp_field_multiply(op->value, y);
}

rmp_status rmp_operator_solve(rmp_operator *op, const double a[], const double b[], rmp_field *y)
{
    RMP_CHECK(op->eigenvalues != NULL, RMP_ERR_ARGUMENT, "%s of this size has no spectrum", op->class->name);
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_TRY(check_masks(op));
    for (int64_t i = 0; i < op->range.n; ++i)
        RMP_CHECK(a[i] > 0.0 && b[i] >= 0.0, RMP_ERR_ARGUMENT, "%s: (%g I + %g A A^T) cannot be solved",
                  op->class->name, a[i], b[i]);
    if (op->basis == NULL) return rmp_field_divide(a, b, op->value, y);
    const rmp_buffer *const input[1] = {y->buffer};
    RMP_TRY(rmp_plan_forward(op->basis_plan, 1, input, op->coefficients->buffer));
    RMP_TRY(rmp_field_divide(a, b, op->value, op->coefficients));
    return rmp_plan_vjp(op->basis_plan, op->coefficients->buffer, y->buffer);
}

static rmp_status fill_weights(const rmp_operator *op, double (*f)(void *context, double eigenvalue), void *context,
                               rmp_field *weights)
{
    const int64_t count = rmp_shape_count(op->range.shape);
    if (op->masked) return rmp_field_axpby1(f(context, 1.0), op->value, 0.0, weights);
    float *values = malloc((size_t)count * sizeof *values);
    RMP_CHECK(values != NULL, RMP_ERR_MEMORY, "no memory for %lld weights", (long long)count);
    for (int64_t i = 0; i < count; ++i)
        values[i] = (float)f(context, fmax(op->eigenvalues[i], 0.0));
    rmp_status status = RMP_OK;
    for (int64_t i = 0; i < op->range.n && status == RMP_OK; ++i)
        status = rmp_field_put(weights, i, values);
    free(values);
    return status;
}

rmp_status rmp_operator_filter(rmp_operator *op, double (*f)(void *context, double eigenvalue), void *context,
                               rmp_field *weights, rmp_field *y)
{
    RMP_CHECK(op->eigenvalues != NULL, RMP_ERR_ARGUMENT, "%s of this size has no spectrum", op->class->name);
    RMP_TRY(check_field(op, y, &op->range, "measurement"));
    RMP_TRY(check_masks(op));
    RMP_TRY(fill_weights(op, f, context, weights));
    if (op->basis == NULL) return rmp_field_multiply(weights, y);
    const rmp_buffer *const input[1] = {y->buffer};
    RMP_TRY(rmp_plan_forward(op->basis_plan, 1, input, op->coefficients->buffer));
    RMP_TRY(rmp_field_multiply(weights, op->coefficients));
    return rmp_plan_vjp(op->basis_plan, op->coefficients->buffer, y->buffer);
}

rmp_status rmp_operator_matrix(rmp_operator *op, int64_t image, double *matrix)
{
    const int64_t d = rmp_shape_count(op->domain.shape), m = rmp_shape_count(op->range.shape);
    RMP_CHECK(!op->nonlinear, RMP_ERR_ARGUMENT, "%s is not linear: it has no matrix", op->class->name);
    RMP_CHECK(image >= 0 && image < op->domain.n, RMP_ERR_ARGUMENT, "matrix of image %lld of %lld", (long long)image,
              (long long)op->domain.n);
    rmp_field *x = NULL, *y = NULL;
    rmp_status status = RMP_OK;
    float *unit = calloc((size_t)d, sizeof *unit), *column = malloc((size_t)m * sizeof *column);
    RMP_CHECK_GOTO(unit != NULL && column != NULL, RMP_ERR_MEMORY, done, "no memory for a matrix of %lldx%lld",
                   (long long)m, (long long)d);
    RMP_TRY_GOTO(rmp_field_create(&op->domain, &x), done);
    RMP_TRY_GOTO(rmp_field_create(&op->range, &y), done);
    for (int64_t j = 0; j < d; ++j) {
        unit[j] = 1.0f;
        RMP_TRY_GOTO(rmp_field_put(x, image, unit), done);
        RMP_TRY_GOTO(rmp_operator_forward(op, x, y), done);
        RMP_TRY_GOTO(rmp_field_get(y, image, column), done);
        for (int64_t i = 0; i < m; ++i)
            matrix[i * d + j] = (double)column[i];
        unit[j] = 0.0f;
    }
done:
    rmp_field_destroy(&x);
    rmp_field_destroy(&y);
    free(unit);
    free(column);
    return status;
}
