/* Operators that act on rows and columns one after the other: super_resolution and gaussian_blur. With A = Th (x) Tw,
 * A A^T = (Th Th^T) (x) (Tw Tw^T): two small eigen-decompositions give the spectrum of the whole. */
#include "core/operators/internal.h"

#include <stdlib.h>

static rmp_status reduction_taps(const rmp_operator_config *config, int64_t length, rmp_taps **out)
{
    return config->reduction == RMP_REDUCTION_BOX ? rmp_taps_box_down(length, config->factor, out)
                                                  : rmp_taps_bicubic_down(length, config->factor, out);
}

static rmp_status taps_of(const rmp_operator_config *config, int64_t length, rmp_taps **out)
{
    return config->kind == RMP_OPERATOR_GAUSSIAN_BLUR
               ? rmp_taps_gaussian(length, config->kernel_size, config->kernel_std, out)
               : reduction_taps(config, length, out);
}

static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    rmp_taps *rows = NULL, *columns = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(taps_of(&op->config, op->domain.shape.h, &rows), done);
    RMP_TRY_GOTO(taps_of(&op->config, op->domain.shape.w, &columns), done);
    RMP_TRY_GOTO(rmp_graph_resample(op->graph, x, rows, columns, y), done);
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    return status;
}

/* gram (out, out) = T T^T. */
static rmp_status gram_of(const rmp_taps *taps, double *gram)
{
    double *row = calloc((size_t)taps->in, sizeof *row);
    RMP_CHECK(row != NULL, RMP_ERR_MEMORY, "no memory for %lld numbers", (long long)taps->in);
    for (int64_t i = 0; i < taps->out; ++i) {
        for (int64_t e = taps->start[i]; e < taps->start[i + 1]; ++e)
            row[taps->index[e]] += (double)taps->weight[e];
        for (int64_t j = 0; j <= i; ++j) {
            double sum = 0.0;
            for (int64_t e = taps->start[j]; e < taps->start[j + 1]; ++e)
                sum += row[taps->index[e]] * (double)taps->weight[e];
            gram[i * taps->out + j] = gram[j * taps->out + i] = sum;
        }
        for (int64_t e = taps->start[i]; e < taps->start[i + 1]; ++e)
            row[taps->index[e]] = 0.0;
    }
    free(row);
    return RMP_OK;
}

/* Eigenvalues of T T^T for one direction and the basis as dense taps. */
static rmp_status basis_of(const rmp_operator *op, int64_t length, double **values, rmp_taps **basis)
{
    rmp_taps *taps = NULL;
    double *gram = NULL, *vectors = NULL;
    rmp_status status = RMP_OK;
    RMP_TRY(taps_of(&op->config, length, &taps));
    const int64_t m = taps->out;
    gram = malloc((size_t)(m * m) * sizeof *gram);
    vectors = malloc((size_t)(m * m) * sizeof *vectors);
    *values = malloc((size_t)m * sizeof **values);
    RMP_CHECK_GOTO(gram != NULL && vectors != NULL && *values != NULL, RMP_ERR_MEMORY, done,
                   "no memory for a basis of %lld vectors", (long long)m);
    if (op->dry) {
        for (int64_t i = 0; i < m * m; ++i)
            vectors[i] = 1.0;
        for (int64_t i = 0; i < m; ++i)
            (*values)[i] = 1.0;
    } else {
        RMP_TRY_GOTO(gram_of(taps, gram), done);
        RMP_TRY_GOTO(rmp_device_symmetric_eigen(op->device, m, gram, *values, vectors), done);
    }
    RMP_TRY_GOTO(rmp_taps_from_dense(m, m, vectors, basis), done);
done:
    rmp_taps_destroy(&taps);
    free(gram);
    free(vectors);
    return status;
}

static rmp_status spectrum(rmp_operator *op)
{
    const rmp_shape y = op->range.shape;
    if (y.h > RMP_SPECTRUM_LONGEST || y.w > RMP_SPECTRUM_LONGEST) return RMP_OK;
    rmp_taps *rows = NULL, *columns = NULL;
    double *row_values = NULL, *column_values = NULL;
    rmp_status status = RMP_OK;
    rmp_value in, out;
    RMP_TRY_GOTO(basis_of(op, op->domain.shape.h, &row_values, &rows), done);
    RMP_TRY_GOTO(basis_of(op, op->domain.shape.w, &column_values, &columns), done);
    RMP_TRY_GOTO(rmp_graph_create(&op->basis), done);
    RMP_TRY_GOTO(rmp_graph_input(op->basis, y, &in), done);
    RMP_TRY_GOTO(rmp_graph_resample(op->basis, in, rows, columns, &out), done);
    RMP_TRY_GOTO(rmp_graph_output(op->basis, out), done);
    op->eigenvalues = malloc((size_t)rmp_shape_count(y) * sizeof *op->eigenvalues);
    RMP_CHECK_GOTO(op->eigenvalues != NULL, RMP_ERR_MEMORY, done, "no memory for %lld eigenvalues",
                   (long long)rmp_shape_count(y));
    for (int64_t i = 0; i < y.h; ++i)
        for (int64_t j = 0; j < y.w; ++j)
            for (int64_t k = 0; k < y.c; ++k)
                op->eigenvalues[(i * y.w + j) * y.c + k] = row_values[i] * column_values[j];
done:
    rmp_taps_destroy(&rows);
    rmp_taps_destroy(&columns);
    free(row_values);
    free(column_values);
    return status;
}

static rmp_status reduction_check(const rmp_operator_config *config)
{
    RMP_CHECK(config->factor >= 1 && config->factor <= 64, RMP_ERR_CONFIG,
              "operator.factor: %lld is not between 1 and 64", (long long)config->factor);
    return RMP_OK;
}

static rmp_status reduction_measured(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    const int64_t f = config->factor;
    *out = (rmp_shape){(image.h + f - 1) / f, (image.w + f - 1) / f, image.c};
    return RMP_OK;
}

static rmp_status reduction_image(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    *out = (rmp_shape){measured.h * config->factor, measured.w * config->factor, measured.c};
    return RMP_OK;
}

static rmp_status blur_check(const rmp_operator_config *config)
{
    RMP_CHECK(config->kernel_size >= 1 && config->kernel_size <= 1023 && config->kernel_size % 2 == 1, RMP_ERR_CONFIG,
              "operator.kernel_size: %lld is not an odd number between 1 and 1023", (long long)config->kernel_size);
    RMP_CHECK(config->kernel_std > 0.0 && config->kernel_std <= 1000.0, RMP_ERR_CONFIG,
              "operator.kernel_std: %g is not between 0 and 1000 pixels", config->kernel_std);
    return RMP_OK;
}

const rmp_operator_class rmp_operator_super_resolution = {
    .name = "super_resolution",
    .check = reduction_check,
    .measured_shape = reduction_measured,
    .image_shape = reduction_image,
    .build = build,
    .spectrum = spectrum,
};

const rmp_operator_class rmp_operator_gaussian_blur = {
    .name = "gaussian_blur",
    .check = blur_check,
    .measured_shape = rmp_operator_same_shape,
    .image_shape = rmp_operator_same_shape,
    .build = build,
    .spectrum = spectrum,
};
