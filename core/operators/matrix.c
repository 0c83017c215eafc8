/* An explicit matrix on the flattened image: ground-truth experiments. */
#include "core/operators/internal.h"

#include <stdlib.h>

static rmp_status check(const rmp_operator_config *config)
{
    RMP_CHECK(config->matrix != NULL, RMP_ERR_CONFIG, "operator.file: a matrix operator needs a matrix");
    RMP_CHECK(config->matrix->rank == 2 && config->matrix->dims[0] >= 1 && config->matrix->dims[1] >= 1, RMP_ERR_CONFIG,
              "operator.file: A has rank %d, not the two dimensions (M, D)", config->matrix->rank);
    return RMP_OK;
}

static rmp_status measured_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    RMP_CHECK(rmp_shape_count(image) == config->matrix->dims[1], RMP_ERR_CONFIG,
              "operator.file: A has %lld columns, the image has %lld values", (long long)config->matrix->dims[1],
              (long long)rmp_shape_count(image));
    *out = (rmp_shape){1, 1, config->matrix->dims[0]};
    return RMP_OK;
}

static rmp_status image_shape(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    RMP_CHECK(rmp_shape_count(measured) == config->matrix->dims[0], RMP_ERR_CONFIG,
              "operator.file: A has %lld rows, the measurement has %lld values", (long long)config->matrix->dims[0],
              (long long)rmp_shape_count(measured));
    *out = (rmp_shape){1, 1, config->matrix->dims[1]};
    return RMP_OK;
}

static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    return rmp_graph_linear(op->graph, x, op->config.matrix, NULL, y);
}

/* Eigenvectors of A A^T as the weight of a linear map. */
static rmp_status eigen(rmp_operator *op, int64_t m, int64_t d)
{
    rmp_status status = RMP_OK;
    double *a = malloc((size_t)(m * d) * sizeof *a);
    double *gram = malloc((size_t)(m * m) * sizeof *gram), *vectors = malloc((size_t)(m * m) * sizeof *vectors);
    RMP_CHECK_GOTO(a != NULL && gram != NULL && vectors != NULL, RMP_ERR_MEMORY, done,
                   "no memory for the spectrum of a matrix of %lldx%lld", (long long)m, (long long)d);
    for (int64_t i = 0; i < m * d; ++i)
        a[i] = (double)(float)rmp_tensor_at(op->config.matrix, i);
    for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            double sum = 0.0;
            for (int64_t k = 0; k < d; ++k)
                sum += a[i * d + k] * a[j * d + k];
            gram[i * m + j] = gram[j * m + i] = sum;
        }
    RMP_TRY_GOTO(rmp_device_symmetric_eigen(op->device, m, gram, op->eigenvalues, vectors), done);
    for (int64_t i = 0; i < m * m; ++i)
        op->basis_matrix[i] = (float)vectors[i];
done:
    free(a);
    free(gram);
    free(vectors);
    return status;
}

static rmp_status spectrum(rmp_operator *op)
{
    const int64_t m = op->config.matrix->dims[0], d = op->config.matrix->dims[1];
    if (m > RMP_SPECTRUM_LONGEST) return RMP_OK;
    op->eigenvalues = calloc((size_t)m, sizeof *op->eigenvalues);
    op->basis_matrix = calloc((size_t)(m * m), sizeof *op->basis_matrix);
    RMP_CHECK(op->eigenvalues != NULL && op->basis_matrix != NULL, RMP_ERR_MEMORY,
              "no memory for a basis of %lld vectors", (long long)m);
    if (!op->dry) RMP_TRY(eigen(op, m, d));
    op->basis_weight = (rmp_tensor){.dtype = RMP_F32, .rank = 2, .dims = {m, m}, .data = op->basis_matrix};
    rmp_value in, out;
    RMP_TRY(rmp_graph_create(&op->basis));
    RMP_TRY(rmp_graph_input(op->basis, op->range.shape, &in));
    RMP_TRY(rmp_graph_linear(op->basis, in, &op->basis_weight, NULL, &out));
    return rmp_graph_output(op->basis, out);
}

const rmp_operator_class rmp_operator_matrix_class = {
    .name = "matrix",
    .whole = true,
    .check = check,
    .measured_shape = measured_shape,
    .image_shape = image_shape,
    .build = build,
    .spectrum = spectrum,
};
