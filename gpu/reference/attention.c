#include "gpu/reference/reference.h"

#include <math.h>
#include <string.h>

/* Where q, k and v of one head start in a position's channels. */
typedef struct head {
    int64_t length, width, stride; /* positions, channels of the head, channels of qkv */
    int64_t q, k, v;
    double scale;
} head;

static head head_of(const rmp_node *node, int64_t index)
{
    int64_t channels = node->shape.c, width = channels / node->as.attention.heads;
    bool blocks = node->as.attention.order == RMP_QKV_BLOCKS;
    int64_t first = blocks ? index * width : index * 3 * width, step = blocks ? channels : width;
    return (head){.length = node->shape.h * node->shape.w,
                  .width = width,
                  .stride = 3 * channels,
                  .q = first,
                  .k = first + step,
                  .v = first + 2 * step,
                  .scale = 1 / sqrt((double)width)};
}

static double dot(int64_t n, const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* p[j] = softmax over j of q_i . k_j scale. */
static void softmax_row(const head *h, const float *qkv, int64_t i, double *p)
{
    double most = -INFINITY, total = 0;
    for (int64_t j = 0; j < h->length; j++) {
        p[j] = dot(h->width, qkv + i * h->stride + h->q, qkv + j * h->stride + h->k) * h->scale;
        most = fmax(most, p[j]);
    }
    for (int64_t j = 0; j < h->length; j++)
        total += p[j] = exp(p[j] - most);
    for (int64_t j = 0; j < h->length; j++)
        p[j] /= total;
}

void ref_attention_forward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *qkv = ref_value(plan, node->operand[0], image);
    float *y = ref_value(plan, v, image);
    for (int64_t index = 0; index < node->as.attention.heads; index++) {
        head h = head_of(node, index);
        double *p = plan->scratch, *sum = p + h.length;
        for (int64_t i = 0; i < h.length; i++) {
            softmax_row(&h, qkv, i, p);
            memset(sum, 0, (size_t)h.width * sizeof *sum);
            for (int64_t j = 0; j < h.length; j++)
                for (int64_t c = 0; c < h.width; c++)
                    sum[c] += p[j] * (double)qkv[j * h.stride + h.v + c];
            for (int64_t c = 0; c < h.width; c++)
                y[i * node->shape.c + index * h.width + c] = (float)sum[c];
        }
    }
}

/* Row by row: gradients of k and v collect over the rows, in double. */
void ref_attention_backward(const ref_plan *plan, rmp_value v, int64_t image)
{
    const rmp_node *node = rmp_graph_node(plan->base.graph, v);
    const float *qkv = ref_value(plan, node->operand[0], image), *g = ref_grad(plan, v, image);
    float *gx = ref_grad(plan, node->operand[0], image);
    for (int64_t index = 0; index < node->as.attention.heads; index++) {
        head h = head_of(node, index);
        int64_t size = h.length * h.width;
        double *p = plan->scratch, *ds = p + h.length, *gq = ds + h.length, *gk = gq + h.width, *gv = gk + size;
        memset(gk, 0, (size_t)(2 * size) * sizeof *gk);
        for (int64_t i = 0; i < h.length; i++) {
            const float *gi = g + i * node->shape.c + index * h.width, *q = qkv + i * h.stride + h.q;
            double mean = 0;
            softmax_row(&h, qkv, i, p);
            for (int64_t j = 0; j < h.length; j++) {
                ds[j] = dot(h.width, gi, qkv + j * h.stride + h.v);
                mean += p[j] * ds[j];
            }
            memset(gq, 0, (size_t)h.width * sizeof *gq);
            for (int64_t j = 0; j < h.length; j++) {
                ds[j] = p[j] * (ds[j] - mean) * h.scale;
                for (int64_t c = 0; c < h.width; c++) {
                    gq[c] += ds[j] * (double)qkv[j * h.stride + h.k + c];
                    gk[j * h.width + c] += ds[j] * (double)q[c];
                    gv[j * h.width + c] += p[j] * (double)gi[c];
                }
            }
            for (int64_t c = 0; c < h.width; c++)
                gx[i * h.stride + h.q + c] += (float)gq[c];
        }
        for (int64_t j = 0; j < h.length; j++)
            for (int64_t c = 0; c < h.width; c++) {
                gx[j * h.stride + h.k + c] += (float)gk[j * h.width + c];
                gx[j * h.stride + h.v + c] += (float)gv[j * h.width + c];
            }
    }
}
