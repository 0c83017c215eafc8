#include "core/prior_network.h"

#include <math.h>
#include <stdlib.h>

/* Noise levels whose conditioning vectors are kept: more than any job has. A job that still needs more starts over. */
enum { CACHE_LEVELS = 4096 };

/* D = keep x + shift + gain F(scale x + offset) */
typedef struct affine {
    double keep, shift, gain, scale, offset;
} affine;

typedef struct network_prior {
    rmp_prior base;
    const rmp_net *net;
    rmp_diffusion diffusion;
    affine map; /* of the last denoise */

    rmp_graph *graph; /* pad, network, crop */
    rmp_plan *plan, *embed_plan;
    rmp_field *seen; /* what the network saw last */
    rmp_field *ones; /* NULL where the data is centred: no offsets */
    rmp_buffer *condition, *embed_in, *embed_out;

    double *level;  /* (levels) cached noise levels */
    float *vectors; /* (levels, condition) */
    int64_t levels, capacity;
    double bound; /* the level that `condition` holds; 0 = none */
} network_prior;

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
                          rmp_memory_policy memory, rmp_graph **graph, rmp_plan **plan, rmp_plan **embed_plan)
{
    RMP_CHECK(space->shape.c == net->in_channels, RMP_ERR_CONFIG,
              "the network takes images of %lld channels, these have %lld", (long long)net->in_channels,
              (long long)space->shape.c);
    RMP_CHECK(space->device == device, RMP_ERR_ARGUMENT, "a prior and its images on different devices");
    /* The embedding is one small product a level: float32 whatever the convolutions use. */
    const rmp_plan_options options = {.batch = space->n, .precision = precision, .vjp = true, .memory = memory};
    const rmp_plan_options once = {.batch = 1, .precision = RMP_PRECISION_FP32, .vjp = false};
    RMP_TRY(rmp_graph_create(graph));
    RMP_TRY(append_padded(net, space->shape, *graph));
    RMP_TRY(rmp_plan_create(device, *graph, &options, plan));
    return rmp_plan_create(device, net->embed, &once, embed_plan);
}

rmp_status rmp_prior_network_estimate(rmp_device *device, const rmp_net *net, const rmp_space *space,
                                      rmp_precision precision, rmp_memory_policy memory, int64_t *bytes, int64_t *saved)
{
    rmp_graph *graph = NULL;
    rmp_plan *plan = NULL, *embed_plan = NULL;
    const rmp_status status = compile(device, net, space, precision, memory, &graph, &plan, &embed_plan);
    if (status == RMP_OK) {
        const rmp_plan_memory a = rmp_plan_estimate(plan), b = rmp_plan_estimate(embed_plan);
        const int64_t floats =
            space->n * (2 * rmp_shape_count(space->shape) + net->condition) + net->features + net->condition;
        *bytes = a.arena + a.weights + b.arena + b.weights + floats * (int64_t)sizeof(float);
        *saved = a.saved + b.saved;
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
    rmp_field_destroy(&p->seen);
    rmp_field_destroy(&p->ones);
    rmp_buffer_destroy(&p->condition);
    rmp_buffer_destroy(&p->embed_in);
    rmp_buffer_destroy(&p->embed_out);
    free(p->level);
    free(p->vectors);
    free(p);
}

static double middle_of(const rmp_diffusion *d) { return 0.5 * (d->range[0] + d->range[1]); }

/* The time argument for noise level s as the network knows it. Networks that embed the logarithm of their argument
 * get the exponential of EDM's, so that it is what they embed. */
static double argument_of(const network_prior *p, double s, double *told)
{
    const double t = rmp_schedule_argument(&p->diffusion.schedule, s, told);
    return p->diffusion.schedule.kind == RMP_SCHEDULE_EDM && p->net->takes_sigma ? exp(t) : t;
}

/* See rmp_diffusion. Where the network is told another level than s, its score is taken as that of its noise
 * estimate: told / s times as large. */
static affine map_of(const network_prior *p, double level)
{
    const rmp_diffusion *d = &p->diffusion;
    const double r = 0.5 * (d->range[1] - d->range[0]), middle = middle_of(d), s = r * level;
    double told;
    const double argument = argument_of(p, s, &told), output = rmp_net_output_scale(p->net, argument);
    const bool vp = rmp_schedule_preserves_variance(&d->schedule);
    affine m = {.keep = 1.0, .scale = vp ? 1.0 / sqrt(1.0 + s * s) : 1.0};
    if (d->prediction == RMP_PREDICTION_EPS) {
        m.gain = -s;
    } else if (d->prediction == RMP_PREDICTION_SCORE) {
        m.gain = s * told * m.scale;
    } else {
        const double both = s * s + d->sigma_data * d->sigma_data;
        m.keep = d->sigma_data * d->sigma_data / both;
        m.gain = s * d->sigma_data / sqrt(both);
        m.scale = 1.0 / sqrt(both);
    }
    m.shift = (m.keep - 1.0) * middle / r;
    m.offset = m.scale * middle;
    m.scale *= r;
    m.gain *= output / r;
    return m;
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
    const double r = 0.5 * (p->diffusion.range[1] - p->diffusion.range[0]);
    double told;
    p->net->ops->time_features(p->net, argument_of(p, r * s, &told), features);
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

static rmp_status denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    network_prior *p = (network_prior *)prior;
    RMP_TRY(bind(p, s));
    const affine m = map_of(p, s);
    RMP_TRY(rmp_field_axpby1(m.scale, x, 0.0, p->seen));
    if (p->ones) RMP_TRY(rmp_field_axpby1(m.offset, p->ones, 1.0, p->seen));
    const rmp_buffer *const input[2] = {p->seen->buffer, p->condition};
    RMP_TRY(rmp_plan_forward(p->plan, 2, input, out->buffer));
    p->map = m;
    if (p->ones && m.shift != 0.0) {
        RMP_TRY(rmp_field_axpby1(m.shift, p->ones, m.gain, out));
        return rmp_field_axpby1(m.keep, x, 1.0, out);
    }
    return rmp_field_axpby1(m.keep, x, m.gain, out);
}

static rmp_status vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    network_prior *p = (network_prior *)prior;
    RMP_TRY(rmp_plan_vjp(p->plan, v->buffer, out->buffer));
    return rmp_field_axpby1(p->map.keep, v, p->map.gain * p->map.scale, out);
}

static const rmp_prior_ops network_ops = {.destroy = destroy, .denoise = denoise, .vjp = vjp};

static rmp_status check_diffusion(const rmp_diffusion *d)
{
    RMP_TRY(rmp_schedule_check(&d->schedule));
    RMP_CHECK(d->range[0] < d->range[1], RMP_ERR_CONFIG, "a network of data in [%g, %g]", d->range[0], d->range[1]);
    const bool edm = d->schedule.kind == RMP_SCHEDULE_EDM;
    RMP_CHECK((d->prediction == RMP_PREDICTION_EDM) == edm, RMP_ERR_CONFIG,
              "prior.prediction: EDM's prediction and EDM's schedule need each other");
    RMP_CHECK(!edm || d->sigma_data > 0.0, RMP_ERR_CONFIG, "a network with sigma_data %g", d->sigma_data);
    return RMP_OK;
}

static rmp_status create_ones(network_prior *p)
{
    const rmp_space *space = p->base.space;
    const int64_t count = rmp_shape_count(space->shape);
    RMP_TRY(rmp_field_create(space, &p->ones));
    float *one = malloc((size_t)count * sizeof *one);
    RMP_CHECK(one != NULL, RMP_ERR_MEMORY, "no memory for an image");
    for (int64_t i = 0; i < count; ++i)
        one[i] = 1.0F;
    rmp_status status = RMP_OK;
    for (int64_t i = 0; status == RMP_OK && i < space->n; ++i)
        status = rmp_field_put(p->ones, i, one);
    free(one);
    return status;
}

static rmp_status allocate(rmp_device *device, network_prior *p)
{
    RMP_TRY(rmp_plan_allocate(p->plan));
    RMP_TRY(rmp_plan_allocate(p->embed_plan));
    RMP_TRY(rmp_field_create(p->base.space, &p->seen));
    if (middle_of(&p->diffusion) != 0.0) RMP_TRY(create_ones(p));
    RMP_TRY(rmp_buffer_create(device, p->base.space->n * p->net->condition, &p->condition));
    RMP_TRY(rmp_buffer_create(device, p->net->features, &p->embed_in));
    return rmp_buffer_create(device, p->net->condition, &p->embed_out);
}

rmp_status rmp_prior_network_create(rmp_device *device, const rmp_net *net, const rmp_diffusion *diffusion,
                                    const rmp_space *space, rmp_precision precision, rmp_memory_policy memory,
                                    rmp_prior **out)
{
    *out = NULL;
    RMP_TRY(check_diffusion(diffusion));
    network_prior *p = calloc(1, sizeof *p);
    RMP_CHECK(p != NULL, RMP_ERR_MEMORY, "no memory for a prior");
    p->base = (rmp_prior){.ops = &network_ops, .space = space, .analytic = false};
    p->net = net;
    p->diffusion = *diffusion;
    rmp_status status = RMP_OK;
    RMP_TRY_GOTO(compile(device, net, space, precision, memory, &p->graph, &p->plan, &p->embed_plan), failed);
    RMP_TRY_GOTO(allocate(device, p), failed);
    *out = &p->base;
    return RMP_OK;
failed:
    destroy(&p->base);
    return status;
}
