/* The path of a shaken camera during one exposure. A point moves for STEPS equal times:
 *   - its length is drawn between 0.4 and 0.8 of the kernel's size;
 *   - its heading turns at a rate that is an Ornstein-Uhlenbeck process (a hand that drifts): smooth curves;
 *   - now and then (on average 3 x intensity times) the heading jumps (a hand that corrects itself): corners;
 *   - its speed wavers in the same smooth way: bright and dark parts.
 * Intensity 0 is a straight line at constant speed. The path is moved so that its centre of mass is the middle of the
 * kernel, shrunk if it would leave it, and drawn with bilinear weights.
 * Only sums, products, quotients and square roots: the same kernel on every machine. Rotations are Cayley transforms.
 */
#include "core/operators/internal.h"

#include <math.h>

enum { STEPS = 1024, MEMORY = 128 }; /* steps of the path; correlation of turning and speed in steps */

static const double TURNING = 3.0; /* radians, standard deviation of drift over one MEMORY at intensity 1 */
static const double JUMP = 1.2;    /* radians, standard deviation of a jump */
static const double WAVER = 0.6;   /* of the speed at intensity 1 */

typedef struct path {
    double x[STEPS], y[STEPS];
} path;

static void rotate(double *c, double *s, double angle)
{
    const double half = 0.5 * angle, scale = 1.0 / (1.0 + half * half);
    const double rc = (1.0 - half * half) * scale, rs = angle * scale;
    const double c0 = *c;
    *c = rc * c0 - rs * *s;
    *s = rs * c0 + rc * *s;
}

static void walk(rmp_key key, double length, double intensity, path *out)
{
    double c = rmp_random_normal(key, 0, RMP_PURPOSE_KERNEL, 0), s = rmp_random_normal(key, 0, RMP_PURPOSE_KERNEL, 1);
    const double norm = sqrt(c * c + s * s);
    c = norm > 0.0 ? c / norm : 1.0;
    s = norm > 0.0 ? s / norm : 0.0;
    const double keep = 1.0 - 1.0 / MEMORY, kick = sqrt(1.0 - keep * keep);
    double turn = rmp_random_normal(key, 1, RMP_PURPOSE_KERNEL, 0), waver = 0.0, x = 0.0, y = 0.0;
    for (uint64_t i = 0; i < STEPS; ++i) {
        out->x[i] = x;
        out->y[i] = y;
        turn = keep * turn + kick * (double)rmp_random_normal(key, 2, RMP_PURPOSE_KERNEL, i);
        waver = keep * waver + kick * (double)rmp_random_normal(key, 3, RMP_PURPOSE_KERNEL, i);
        rotate(&c, &s, turn * intensity * TURNING / MEMORY);
        if (rmp_random_uniform(key, 4, RMP_PURPOSE_KERNEL, i) < 3.0 * intensity / STEPS)
            rotate(&c, &s, JUMP * (double)rmp_random_normal(key, 5, RMP_PURPOSE_KERNEL, i));
        const double speed = fmax(1.0 + WAVER * intensity * waver, 0.1) * length / STEPS;
        x += speed * c;
        y += speed * s;
    }
}

/* Moves the centre of mass to the origin and shrinks to fit `radius`. */
static void centre(path *p, double radius)
{
    double mx = 0.0, my = 0.0, reach = 0.0;
    for (int i = 0; i < STEPS; ++i) {
        mx += p->x[i] / STEPS;
        my += p->y[i] / STEPS;
    }
    for (int i = 0; i < STEPS; ++i) {
        p->x[i] -= mx;
        p->y[i] -= my;
        reach = fmax(reach, fmax(fabs(p->x[i]), fabs(p->y[i])));
    }
    const double scale = reach > radius ? radius / reach : 1.0;
    for (int i = 0; i < STEPS; ++i) {
        p->x[i] *= scale;
        p->y[i] *= scale;
    }
}

void rmp_motion_kernel(uint64_t seed, int64_t size, double intensity, float *kernel)
{
    const rmp_key key = {.seed = seed, .item = 0};
    const double radius = (double)(size / 2);
    path p;
    walk(key, (0.4 + 0.4 * rmp_random_uniform(key, 6, RMP_PURPOSE_KERNEL, 0)) * (double)size, intensity, &p);
    centre(&p, radius);
    for (int64_t i = 0; i < size * size; ++i)
        kernel[i] = 0.0f;
    for (int i = 0; i < STEPS; ++i) {
        const double x = p.x[i] + radius, y = p.y[i] + radius;
        const int64_t left = (int64_t)floor(x), top = (int64_t)floor(y);
        const double fx = x - (double)left, fy = y - (double)top;
        for (int corner = 0; corner < 4; ++corner) {
            const int64_t column = left + (corner & 1), row = top + (corner >> 1);
            const double weight = ((corner & 1) ? fx : 1.0 - fx) * ((corner >> 1) ? fy : 1.0 - fy);
            if (row < 0 || column < 0 || row >= size || column >= size) continue; /* weight 0, or a rounding error */
            kernel[row * size + column] += (float)(weight / STEPS);
        }
    }
    double sum = 0.0;
    for (int64_t i = 0; i < size * size; ++i)
        sum += (double)kernel[i];
    for (int64_t i = 0; i < size * size; ++i)
        kernel[i] = (float)((double)kernel[i] / sum);
}
