#include "core/prior_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Noise levels whose conditioning vectors are kept: more than any job has. A job that still needs more starts over. */
enum { CACHE_LEVELS = 4096 };

typedef struct network_prior {
    rmp_prior base;
    const rmp_net *net;
    double *abar;
    int64_t steps;

    rmp_graph *graph; /* pad, network, crop */
    rmp_plan *plan, *embed_plan;
    rmp_field *scaled; /* x / sqrt(1 + s^2): what the network saw last */
    rmp_buffer *condition, *embed_in, *embed_out;
    double s; /* of the last denoise */

    double *level;  /* (levels) cached noise levels */
    float *vectors; /* (levels, condition) */
    int64_t levels, capacity;
    double bound; /* the level that `condition` holds; 0 = none */
} network_prior;

double rmp_schedule_time(const double *abar, int64_t steps, double s)
{
    const double target = log(s);
    int64_t low = 0, high = steps - 1;
    double log_low = 0.5 * log((1.0 - abar[low]) / abar[low]), log_high = 0.5 * log((1.0 - abar[high]) / abar[high]);
    if (target <= log_low) return 0.0;
    if (target >= log_high) return (double)high;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        const double log_middle = 0.5 * log((1.0 - abar[middle]) / abar[middle]);
        if (log_middle <= target) {
            low = middle;
            log_low = log_middle;
        } else {
            high = middle;
            log_high = log_middle;
        }
    }
    return (double)low + (target - log_low) / (log_high - log_low);
}

static rmp_status append_padded(const rmp_net *net, rmp_shape image, rmp_graph *graph)
{
    const int64_t multiple = net->multiple;
    const int64_t more_h = (multiple - image.h % multiple) % multiple;
    const int64_t more_w = (multiple - image.w % multiple) % multiple;
    const int64_t top = more_h / 2, left = more_w / 2;
    rmp_taps *pad_h = NULL, *pad_w = NULL, *crop_h = NULL, *crop_w = NULL;
    rmp_status status = RMP_OK;
    rmp_value x, condition, y;
    RMP_TRY_GOTO(rmp_graph_input(graph, image, &x), done);
    RMP_TRY_GOTO(rmp_graph_input(graph, (rmp_shape){1, 1, net->condition}, &condition), done);
    if (more_h > 0) {
        RMP_TRY_GOTO(rmp_taps_reflect_pad(image.h, top, more_h - top, &pad_h), done);
        RMP_TRY_GOTO(rmp_taps_crop(image.h + more_h, top, image.h, &crop_h), done);
    }
    if (more_w > 0) {
        RMP_TRY_GOTO(rmp_taps_reflect_pad(image.w, left, more_w - left, &pad_w), done);
        RMP_TRY_GOTO(rmp_taps_crop(image.w + more_w, left, image.w, &crop_w), done);
    }
    const bool padded = pad_h != NULL || pad_w != NULL;
    if (padded) RMP_TRY_GOTO(rmp_graph_resample(graph, x, pad_h, pad_w, &x), done);
    RMP_TRY_GOTO(rmp_net_append(net, graph, x, condition, net->in_channels, &y), done);
    if (padded) RMP_TRY_GOTO(rmp_graph_resample(graph, y, crop_h, crop_w, &y), done);
    RMP_TRY_GOTO(rmp_graph_output(graph, y), done);
done:
    rmp_taps_destroy(&pad_h);
    rmp_taps_destroy(&pad_w);
    rmp_taps_destroy(&crop_h);
    rmp_taps_destroy(&crop_w);
    return status;
}

static rmp_status compile(rmp_device *device, const rmp_net *net, const rmp_space *space, rmp_precision precision,
                          rmp_graph **graph, rmp_plan **plan, rmp_plan **embed_plan)
{
    RMP_CHECK(space->shape.c == net->in_channels, RMP_ERR_CONFIG,
              "the network takes images of %lld channels, these have %lld", (long long)net->in_channels,
              (long long)space->shape.c);
    RMP_CHECK(space->device == device, RMP_ERR_ARGUMENT, "a prior and its images on different devices");
    /* The embedding is one small product a level: float32 whatever the convolutions use. */
    const rmp_plan_options options = {.batch = space->n, .precision = precision, .vjp = true};
    const rmp_plan_options once = {.batch = 1, .precision = RMP_PRECISION_FP32, .vjp = false};
    RMP_TRY(rmp_graph_create(graph));
    RMP_TRY(append_padded(net, space->shape, *graph));
    RMP_TRY(rmp_plan_create(device, *graph, &options, plan));
    return rmp_plan_create(device, net->embed, &once, embed_plan);
}

rmp_status rmp_prior_network_estimate(rmp_device *device, const rmp_net *net, const rmp_space *space,
                                      rmp_precision precision, int64_t *bytes)
{
    rmp_graph *graph = NULL;
    rmp_plan *plan = NULL, *embed_plan = NULL;
    const rmp_status status = compile(device, net, space, precision, &graph, &plan, &embed_plan);
    if (status == RMP_OK) {
        const rmp_plan_memory a = rmp_plan_estimate(plan), b = rmp_plan_estimate(embed_plan);
        const int64_t floats =
            space->n * (rmp_shape_count(space->shape) + net->condition) + net->features + net->condition;
        *bytes = a.arena + a.weights + b.arena + b.weights + floats * (int64_t)sizeof(float);
    }
    rmp_plan_destroy(&plan);
    rmp_plan_destroy(&embed_plan);
    rmp_graph_destroy(&graph);
    return status;
}

static void destroy(rmp_prior *prior)
{
    network_prior *p = (network_prior *)prior;
    rmp_plan_destroy(&p->plan);
    rmp_plan_destroy(&p->embed_plan);
    rmp_graph_destroy(&p->graph);
    rmp_field_destroy(&p->scaled);
    rmp_buffer_destroy(&p->condition);
    rmp_buffer_destroy(&p->embed_in);
    rmp_buffer_destroy(&p->embed_out);
    free(p->abar);
    free(p->level);
    free(p->vectors);
    free(p);
}

/* The conditioning vector of one level, from the cache or through the embedding graph. */
static rmp_status condition_of(network_prior *p, double s, const float **out)
{
    const int64_t length = p->net->condition;
    for (int64_t i = p->levels - 1; i >= 0; --i)
        if (p->level[i] == s) {
            *out = p->vectors + i * length;
            return RMP_OK;
        }
    if (p->levels == CACHE_LEVELS) p->levels = 0;
    if (p->levels == p->capacity) {
        const int64_t capacity = p->capacity > 0 ? 2 * p->capacity : 64;
        double *level = realloc(p->level, (size_t)capacity * sizeof *level);
        if (level != NULL) p->level = level;
        float *vectors = realloc(p->vectors, (size_t)(capacity * length) * sizeof *vectors);
        if (vectors != NULL) p->vectors = vectors;
        RMP_CHECK(level != NULL && vectors != NULL, RMP_ERR_MEMORY, "no memory for %lld conditioning vectors",
                  (long long)capacity);
        p->capacity = capacity;
    }
    float *features = malloc((size_t)p->net->features * sizeof *features);
    RMP_CHECK(features != NULL, RMP_ERR_MEMORY, "no memory for time features");
    p->net->ops->time_features(p->net, rmp_schedule_time(p->abar, p->steps, s), features);
    const rmp_status status = rmp_buffer_upload(p->embed_in, 0, p->net->features, features);
    free(features);
    RMP_TRY(status);
    const rmp_buffer *const input[1] = {p->embed_in};
    float *vector = p->vectors + p->levels * length;
    RMP_TRY(rmp_plan_forward(p->embed_plan, 1, input, p->embed_out));
    RMP_TRY(rmp_buffer_download(p->embed_out, 0, length, vector));
    p->level[p->levels++] = s;
    *out = vector;
    return RMP_OK;
}

static rmp_status bind(network_prior *p, double s)
{
    if (p->bound == s) return RMP_OK;
    const float *vector = NULL;
    RMP_TRY(condition_of(p, s, &vector));
    p->bound = 0.0;
    for (int64_t i = 0; i < p->base.space->n; ++i)
        RMP_TRY(rmp_buffer_upload(p->condition, i * p->net->condition, p->net->condition, vector));
    p->bound = s;
    return RMP_OK;
}

/* D = x - s eps(x / sqrt(1 + s^2), t(s)) */
static rmp_status denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    network_prior *p = (network_prior *)prior;
    RMP_TRY(bind(p, s));
    RMP_TRY(rmp_field_axpby1(1.0 / sqrt(1.0 + s * s), x, 0.0, p->scaled));
    const rmp_buffer *const input[2] = {p->scaled->buffer, p->condition};
    RMP_TRY(rmp_plan_forward(p->plan, 2, input, out->buffer));
    p->s = s;
    return rmp_field_axpby1(1.0, x, -s, out);
}

/* J^T v = v - s / sqrt(1 + s^2) (d eps)^T v */
static rmp_status vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    network_prior *p = (network_prior *)prior;
    RMP_TRY(rmp_plan_vjp(p->plan, v->buffer, out->buffer));
    return rmp_field_axpby1(1.0, v, -p->s / sqrt(1.0 + p->s * p->s), out);
}

static const rmp_prior_ops network_ops = {.destroy = destroy, .denoise = denoise, .vjp = vjp};

static rmp_status check_schedule(const double *abar, int64_t steps)
{
    RMP_CHECK(steps >= 2, RMP_ERR_CONFIG, "a noise schedule of %lld steps", (long long)steps);
    for (int64_t k = 0; k < steps; ++k)
        RMP_CHECK(abar[k] > 0.0 && abar[k] < 1.0 && (k == 0 || abar[k] < abar[k - 1]), RMP_ERR_CONFIG,
                  "the noise schedule does not descend from 1 to 0 at step %lld", (long long)k);
    return RMP_OK;
}

static rmp_status allocate(rmp_device *device, network_prior *p)
{
    RMP_TRY(rmp_plan_allocate(p->plan));
    RMP_TRY(rmp_plan_allocate(p->embed_plan));
    RMP_TRY(rmp_field_create(p->base.space, &p->scaled));
    RMP_TRY(rmp_buffer_create(device, p->base.space->n * p->net->condition, &p->condition));
    RMP_TRY(rmp_buffer_create(device, p->net->features, &p->embed_in));
    return rmp_buffer_create(device, p->net->condition, &p->embed_out);
}

rmp_status rmp_prior_network_create(rmp_device *device, const rmp_net *net, const double *abar, int64_t steps,
                                    rmp_prediction prediction, const rmp_space *space, rmp_precision precision,
                                    rmp_prior **out)
{
    *out = NULL;
    RMP_CHECK(prediction == RMP_PREDICTION_EPS, RMP_ERR_CONFIG,
              "prior.prediction: this prior takes networks that predict eps, no others");
    RMP_TRY(check_schedule(abar, steps));
    network_prior *p = calloc(1, sizeof *p);
    RMP_CHECK(p != NULL, RMP_ERR_MEMORY, "no memory for a prior");
    p->base = (rmp_prior){.ops = &network_ops, .space = space, .analytic = false};
    p->net = net;
    p->steps = steps;
    rmp_status status = RMP_OK;
    p->abar = malloc((size_t)steps * sizeof *p->abar);
    RMP_CHECK_GOTO(p->abar != NULL, RMP_ERR_MEMORY, failed, "no memory for a schedule of %lld steps", (long long)steps);
    memcpy(p->abar, abar, (size_t)steps * sizeof *p->abar);
    RMP_TRY_GOTO(compile(device, net, space, precision, &p->graph, &p->plan, &p->embed_plan), failed);
    RMP_TRY_GOTO(allocate(device, p), failed);
    *out = &p->base;
    return RMP_OK;
failed:
    destroy(&p->base);
    return status;
}
