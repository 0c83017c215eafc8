#include "gpu/reference/reference.h"

#include <math.h>

/* Statistics of one group: channels [first, first + width) of all pixels. */
typedef struct statistics {
    int64_t first, width, pixels;
    double mean, rstd;
} statistics;

static statistics statistics_of(const rmp_node *node, const float *x, int64_t group)
{
    int64_t channels = node->shape.c, width = channels / node->as.norm.groups, first = group * width;
    int64_t pixels = node->shape.h * node->shape.w;
    double count = (double)(pixels * width), mean = 0, var = 0;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = first; c < first + width; c++)
            mean += (double)x[p * channels + c];
    mean /= count;
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = first; c < first + width; c++) {
            double d = (double)x[p * channels + c] - mean;
            var += d * d;
        }
    return (statistics){first, width, pixels, mean, 1 / sqrt(var / count + node->as.norm.eps)};
}

/* z = gain xhat + shift of channel c. */
static void norm_coefficients(const ref_plan *plan, rmp_value v, int64_t image, int64_t c, double *gain, double *shift)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    *gain = plan->weights[v].forward[c];
    *shift = plan->weights[v].bias[c];
    if (node->as.norm.film == RMP_NONE) return;
    const float *film = ref_value(plan, node->as.norm.film, image) + node->as.norm.film_offset;
    double scale = 1 + (double)film[c];
    *gain *= scale;
    *shift = *shift * scale + (double)film[node->shape.c + c];
}

void ref_norm_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *x = ref_value(plan, node->operand[0], image);
    float *y = ref_value(plan, v, image);
    for (int64_t group = 0; group < node->as.norm.groups; group++) {
        statistics s = statistics_of(node, x, group);
        for (int64_t c = s.first; c < s.first + s.width; c++) {
            double gain, shift;
            norm_coefficients(plan, v, image, c, &gain, &shift);
            for (int64_t p = 0; p < s.pixels; p++) {
                int64_t at = p * node->shape.c + c;
                double z = gain * ((double)x[at] - s.mean) * s.rstd + shift;
                y[at] = (float)(node->as.norm.silu ? ref_silu(z) : z);
            }
        }
    }
}

/* Two passes over the group: sums of d and d xhat, then the gradient. */
void ref_norm_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *x = ref_value(plan, node->operand[0], image), *g = ref_grad(plan, v, image);
    float *gx = ref_grad(plan, node->operand[0], image);
    for (int64_t group = 0; group < node->as.norm.groups; group++) {
        statistics s = statistics_of(node, x, group);
        double count = (double)(s.pixels * s.width), mean_d = 0, mean_dx = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t c = s.first; c < s.first + s.width; c++) {
                double gain, shift;
                norm_coefficients(plan, v, image, c, &gain, &shift);
                for (int64_t p = 0; p < s.pixels; p++) {
                    int64_t at = p * node->shape.c + c;
                    double xhat = ((double)x[at] - s.mean) * s.rstd;
                    double d = (double)g[at] * gain * (node->as.norm.silu ? ref_silu_slope(gain * xhat + shift) : 1);
                    if (pass == 0) {
                        mean_d += d / count;
                        mean_dx += d * xhat / count;
                    } else {
                        gx[at] += (float)((d - mean_d - xhat * mean_dx) * s.rstd);
                    }
                }
            }
        }
    }
}
