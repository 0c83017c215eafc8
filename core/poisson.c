#include "core/poisson.h"

static const double INVERTED_BELOW = 10.0; /* PTRS holds from here on */

enum {
    ATTEMPT_BITS = 24, /* of a block's number; PTRS accepts nine of ten */
    MOST_COUNT = 200   /* of an inverted distribution: rounding may leave its sum below a number close to 1 */
};

/* In (0, 1), of 53 bits. */
static double uniform(uint32_t high, uint32_t low)
{
    const uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return ((double)bits + 0.5) * 0x1p-53;
}

static double invert(double mean, double u)
{
    double p = exp(-mean), sum = p;
    int k = 0;
    while (u > sum && k < MOST_COUNT) {
        k++;
        p *= mean / k;
        sum += p;
    }
    return k;
}

/* log k!, by Stirling's series from 10 on: error below 1e-12. */
static double log_factorial(double k)
{
    if (k < 10.0) {
        double product = 1.0;
        for (int i = 2; i <= (int)k; i++)
            product *= i;
        return log(product);
    }
    const double half_log_2_pi = 0.91893853320467274178, r = 1.0 / k, z = r * r;
    const double series = r * (1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z / 1680.0)));
    return (k + 0.5) * log(k) - k + half_log_2_pi + series;
}

static double reject(const uint32_t stream[4], uint64_t index, double mean)
{
    const double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), quick = 0.9277 - 3.6224 / (b - 2.0);
    for (uint64_t attempt = 0;; attempt++) {
        uint32_t word[4];
        rmp_random_block(stream, (index << ATTEMPT_BITS) + attempt, word);
        const double u = uniform(word[0], word[1]) - 0.5, v = uniform(word[2], word[3]), us = 0.5 - fabs(u);
        const double k = floor((2.0 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= quick) return k;
        if (k < 0.0 || (us < 0.013 && v > us)) continue;
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= k * log(mean) - mean - log_factorial(k)) return k;
    }
}

void rmp_random_poissons(rmp_key key, uint32_t step, uint32_t purpose, int64_t n, double values[])
{
    uint32_t stream[4], word[4];
    rmp_random_stream(key, step, purpose, stream);
    for (int64_t i = 0; i < n; i++) {
        const double mean = values[i];
        if (isnan(mean)) continue;
        if (mean <= 0.0) {
            values[i] = 0.0;
        } else if (mean < INVERTED_BELOW) {
            rmp_random_block(stream, (uint64_t)i << ATTEMPT_BITS, word);
            values[i] = invert(mean, uniform(word[0], word[1]));
        } else {
            values[i] = reject(stream, (uint64_t)i, mean);
        }
    }
}
