/* One operator after another. Each part is an operator of its own that builds into the graph of the whole; it has
 * neither plans nor fields. */
#include "core/operators/internal.h"

#include <stdlib.h>

static rmp_status check(const rmp_operator_config *config)
{
    RMP_CHECK(config->parts >= 1 && config->parts <= RMP_OPERATOR_MOST_PARTS && config->part != NULL, RMP_ERR_CONFIG,
              "operator.parts: %lld parts; compose takes 1 to %d", (long long)config->parts, RMP_OPERATOR_MOST_PARTS);
    for (int64_t i = 0; i < config->parts; ++i) {
        const rmp_operator_class *class = rmp_operator_class_of(config->part[i].kind);
        RMP_CHECK(class != NULL && !class->whole, RMP_ERR_CONFIG, "operator.parts: part %lld (%s) cannot be a part",
                  (long long)i + 1, class != NULL ? class->name : "no kind");
        RMP_CHECK(!class->mask || i + 1 == config->parts, RMP_ERR_CONFIG,
                  "operator.parts: part %lld (%s) has a mask, which only the last part can have", (long long)i + 1,
                  class->name);
        const rmp_status status = class->check(&config->part[i]);
        if (status != RMP_OK)
            return rmp_fail_context(status, "operator.parts: part %lld (%s)", (long long)i + 1, class->name);
    }
    return RMP_OK;
}

static rmp_status measured_shape(const rmp_operator_config *config, rmp_shape image, rmp_shape *out)
{
    *out = image;
    for (int64_t i = 0; i < config->parts; ++i)
        RMP_TRY(rmp_operator_class_of(config->part[i].kind)->measured_shape(&config->part[i], *out, out));
    return RMP_OK;
}

static rmp_status image_shape(const rmp_operator_config *config, rmp_shape measured, rmp_shape *out)
{
    *out = measured;
    for (int64_t i = config->parts - 1; i >= 0; --i)
        RMP_TRY(rmp_operator_class_of(config->part[i].kind)->image_shape(&config->part[i], *out, out));
    return RMP_OK;
}

/* Parts that draw a kernel draw different ones: the part's number goes into its seed. */
static rmp_status build(rmp_operator *op, rmp_value x, rmp_value *y)
{
    rmp_shape shape = op->domain.shape;
    for (int64_t i = 0; i < op->config.parts; ++i) {
        rmp_operator *child = NULL;
        RMP_TRY(rmp_operator_begin(op->device, &op->config.part[i], op->seed + (uint64_t)i, op->domain.n, shape,
                                   op->dry, &child));
        op->child[op->children++] = child;
        child->graph = op->graph;
        const rmp_status status = child->class->build(child, x, &x);
        child->graph = NULL; /* the parent's */
        RMP_TRY(status);
        shape = child->range.shape;
    }
    *y = x;
    return RMP_OK;
}

const rmp_operator_class rmp_operator_compose = {
    .name = "compose",
    .whole = true,
    .check = check,
    .measured_shape = measured_shape,
    .image_shape = image_shape,
    .build = build,
};
