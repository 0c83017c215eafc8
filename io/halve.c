#include "io/halve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float HALF_LIMIT = 65520.0F; /* rounds to infinity from here on */
enum { CHUNK = 4096 };

uint16_t rmp_half_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const float magnitude = fabsf(value);
    if (!(magnitude < HALF_LIMIT)) return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x1p-14F) /* steps of 2^-24; the default rounding mode is to nearest even */
        return (uint16_t)(sign | (unsigned)lrintf(magnitude * 0x1p24F));
    memcpy(&bits, &magnitude, sizeof bits);
    bits += 0xfffu + (bits >> 13 & 1u); /* a carry goes into the exponent, as it should */
    return (uint16_t)(sign | ((bits >> 13) - (112u << 10)));
}

static rmp_status halve(rmp_weights *out, const char *name, const rmp_tensor *t)
{
    float values[CHUNK];
    const int64_t count = rmp_tensor_count(t);
    uint16_t *bits = malloc((size_t)count * sizeof *bits + 1);
    RMP_CHECK(bits, RMP_ERR_MEMORY, "no memory for tensor '%s'", name);
    rmp_status status = RMP_OK;
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int64_t size = count - at < CHUNK ? count - at : CHUNK;
        rmp_tensor_read_f32(t, at, size, values);
        for (int64_t i = 0; i < size; i++) {
            RMP_CHECK_GOTO(fabsf(values[i]) < HALF_LIMIT, RMP_ERR_FORMAT, failed,
                           "tensor '%s': %g cannot be held by float16", name, (double)values[i]);
            bits[at + i] = rmp_half_bits(values[i]);
        }
    }
    RMP_TRY_GOTO(rmp_weights_adopt(out, bits, free), failed);
    rmp_tensor made = *t;
    made.dtype = RMP_F16;
    made.data = bits;
    return rmp_weights_add(out, name, &made);
failed:
    free(bits);
    return status;
}

rmp_status rmp_weights_halve(const rmp_weights *weights, rmp_weights **out)
{
    rmp_weights *made = NULL;
    rmp_status status = RMP_OK;
    *out = NULL;
    RMP_TRY(rmp_weights_create(&made));
    for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
        const rmp_tensor *t = rmp_weights_tensor(weights, i);
        const char *name = rmp_weights_name(weights, i);
        const bool wide = t->dtype == RMP_F32 || t->dtype == RMP_F64 || t->dtype == RMP_BF16;
        RMP_TRY_GOTO(wide && t->rank >= 2 ? halve(made, name, t) : rmp_weights_add(made, name, t), failed);
    }
    *out = made;
    return RMP_OK;
failed:
    rmp_weights_destroy(&made);
    return status;
}
