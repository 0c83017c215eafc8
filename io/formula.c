#include "io/formula.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t rmp_formula_seed(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return h;
}

float rmp_formula_value(uint64_t seed, uint64_t index, double a, double b)
{
    uint64_t z = seed + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    const double r = 2.0 * ((double)(z >> 40) * 0x1p-24) - 1.0;
    const double scaled = a * r; /* two roundings: the build has no contraction to FMA */
    return (float)(b + scaled);
}

void rmp_formula_rule(const char *name, const rmp_tensor *tensor, double gain, double fourier_scale, double *a,
                      double *b)
{
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    *b = 0.0;
    if (strncmp(name, "lin", 3) == 0 && isdigit((unsigned char)name[3])) {
        *a = 0.1;
        *b = 0.1;
    } else if (tensor->rank >= 2) {
        double fan_in = 1.0;
        for (int i = 1; i < tensor->rank; i++)
            fan_in *= (double)tensor->dims[i];
        if (strcmp(last, "W") == 0) fan_in = (double)tensor->dims[0]; /* stored (in, out) */
        *a = gain * sqrt(3.0 / fan_in);
    } else if (strcmp(last, "W") == 0 || strcmp(name, "time_proj.weight") == 0) {
        *a = fourier_scale;
    } else if (strcmp(last, "weight") == 0 || strcmp(last, "running_var") == 0) {
        *a = 0.2;
        *b = 1.0;
    } else {
        *a = gain * 0.1;
    }
}

static rmp_status add_filled(rmp_weights *set, const char *name, const rmp_tensor *shape, double a, double b)
{
    rmp_tensor t = *shape;
    const int64_t count = rmp_tensor_count(&t);
    float *values = malloc((size_t)count * sizeof *values);
    RMP_CHECK(values, RMP_ERR_MEMORY, "no memory for tensor '%s' (%lld values)", name, (long long)count);
    const rmp_status status = rmp_weights_adopt(set, values, free);
    if (status != RMP_OK) {
        free(values);
        return status;
    }
    const uint64_t seed = rmp_formula_seed(name);
    for (int64_t i = 0; i < count; i++)
        values[i] = rmp_formula_value(seed, (uint64_t)i, a, b);
    t.dtype = RMP_F32;
    t.data = values;
    return rmp_weights_add(set, name, &t);
}

rmp_status rmp_formula_weights(const rmp_weights *list, double gain, double fourier_scale, rmp_weights **out)
{
    rmp_weights *set = NULL;
    *out = NULL;
    RMP_TRY(rmp_weights_create(&set));
    for (int64_t i = 0; i < rmp_weights_count(list); i++) {
        const char *name = rmp_weights_name(list, i);
        const rmp_tensor *t = rmp_weights_tensor(list, i);
        double a, b;
        rmp_formula_rule(name, t, gain, fourier_scale, &a, &b);
        const rmp_status status = add_filled(set, name, t, a, b);
        if (status != RMP_OK) {
            rmp_weights_destroy(&set);
            return status;
        }
    }
    *out = set;
    return RMP_OK;
}
