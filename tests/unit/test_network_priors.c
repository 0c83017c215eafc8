/* The denoisers of score networks, from the outputs of the original networks. */
#include "io/model.h"
#include "io/safetensors.h"
#include "tests/unit/fields.h"
#include "tests/unit/fixture.h"

typedef enum form { FORM_VP, FORM_VE, FORM_EDM } form;

typedef struct tested {
    const char *fixture;
    form form;
    void (*change)(rmp_diffusion *diffusion); /* of what the description implies; may be NULL */
    double (*level)(double t);                /* that the time argument stands for, as the network knows it */
} tested;

static const double sigma_data = 0.7;

/* 1e-4 .. 0.02 in 1000 steps, at t or halfway between two. */
static double ddpm_level(double t)
{
    double product = 1.0, below = 0.0;
    for (int k = 0;; k++) {
        product *= 1.0 - (1e-4 + (0.02 - 1e-4) * k / 999.0);
        const double level = sqrt((1.0 - product) / product);
        if (k == t) return level;
        if (k > t) return sqrt(below * level);
        below = level;
    }
}

static double continuous_level(double label)
{
    const double t = label / 999.0;
    return sqrt(expm1(0.1 * t + 0.5 * (20.0 - 0.1) * t * t));
}

static double same_level(double t) { return t; }

static double label_level(double label) { return 50.0 * pow(0.01 / 50.0, label / 999.0); }

/* A network that takes the logarithm of its argument: the argument is exp(log(level) / 4). */
static double edm_level(double t) { return t * t * t * t; }

static double edm_logarithm_level(double t) { return exp(4.0 * t); }

static void as_edm(rmp_diffusion *d)
{
    d->prediction = RMP_PREDICTION_EDM;
    d->sigma_data = sigma_data;
    d->schedule = (rmp_schedule){.kind = RMP_SCHEDULE_EDM, .sigma_min = 1e-6, .sigma_max = 1e6};
}

static void as_bytes(rmp_diffusion *d)
{
    d->range[0] = 0.0;
    d->range[1] = 255.0;
}

static const tested cases[] = {
    {"adm_tiny_base", FORM_VP, NULL, ddpm_level},
    {"unet2d_tiny", FORM_VP, NULL, ddpm_level},
    {"unet2d_tiny", FORM_VP, as_bytes, ddpm_level},
    {"ncsnpp_tiny_vp", FORM_VP, NULL, continuous_level},
    {"ncsnpp_tiny_ve_ffhq", FORM_VE, NULL, same_level},
    {"ncsnpp_tiny_ve_cifar", FORM_VE, as_bytes, same_level},
    {"ncsnpp_tiny_ve_discrete", FORM_VE, NULL, label_level},
    {"unet2d_tiny_ncsnpp", FORM_VE, NULL, same_level},
    {"unet2d_tiny_ncsnpp", FORM_EDM, as_edm, edm_level},
    {"ncsnpp_tiny_eps", FORM_EDM, as_edm, edm_level},
    {"ncsnpp_tiny_vp_ddpmpp", FORM_EDM, as_edm, edm_logarithm_level},
    {"unet2d_tiny_heads", FORM_EDM, as_edm, edm_logarithm_level},
};
enum { CASES = (int)(sizeof cases / sizeof *cases) };

typedef struct subject {
    rmp_model *model;
    rmp_weights *tensors;
    const rmp_tensor *x, *v, *y, *g, *t;
    int64_t pixels, outputs; /* outputs: channels of y */
    rmp_device *device;
    rmp_space space; /* of one image */
    rmp_prior *prior;
} subject;

static void open_subject(subject *s, const char *fixture, void (*change)(rmp_diffusion *))
{
    char path[512];
    *s = (subject){.device = reference_device()};
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/%s.json", fixture);
    OK(rmp_model_open(path, &s->model));
    snprintf(path, sizeof path, RMP_FIXTURES "/%s.safetensors", fixture);
    OK(rmp_safetensors_open(path, NULL, NULL, &s->tensors));
    s->x = rmp_weights_find(s->tensors, "x");
    s->v = rmp_weights_find(s->tensors, "v");
    s->y = rmp_weights_find(s->tensors, "y64");
    s->g = rmp_weights_find(s->tensors, "g64");
    s->t = rmp_weights_find(s->tensors, "t");
    cr_assert(s->x && s->v && s->y && s->g && s->t);
    s->pixels = s->x->dims[2] * s->x->dims[3];
    s->outputs = s->y->dims[1];
    rmp_space_local(&s->space, s->device, 1, (rmp_shape){s->x->dims[2], s->x->dims[3], 3});
    if (change) change(&s->model->diffusion);
    OK(rmp_prior_network_create(s->device, s->model->net, &s->model->diffusion, &s->space, RMP_PRECISION_FP32,
                                RMP_MEMORY_KEEP, &s->prior));
}

static void close_subject(subject *s)
{
    rmp_prior_destroy(&s->prior);
    rmp_device_destroy(&s->device);
    rmp_weights_destroy(&s->tensors);
    rmp_model_close(&s->model);
}

/* Number `position` of an image (h, w, 3) in a tensor (N, C, H, W). */
static double at(const subject *s, const rmp_tensor *t, int64_t sample, int64_t position)
{
    const int64_t channel = position % 3, pixel = position / 3;
    return rmp_tensor_at(t, (sample * t->dims[1] + channel) * s->pixels + pixel);
}

typedef struct coefficients { /* D' = keep x' + gain y, y of scale x' */
    double keep, gain, scale;
} coefficients;

static coefficients coefficients_of(form f, double s)
{
    const double both = s * s + sigma_data * sigma_data;
    if (f == FORM_VP) return (coefficients){1.0, -s, 1.0 / sqrt(1.0 + s * s)};
    if (f == FORM_VE) return (coefficients){1.0, s * s, 1.0};
    return (coefficients){sigma_data * sigma_data / both, s * sigma_data / sqrt(both), 1.0 / sqrt(both)};
}

static void check_sample(const subject *s, const tested *c, int64_t sample)
{
    const double *range = s->model->diffusion.range;
    const double r = 0.5 * (range[1] - range[0]), middle = 0.5 * (range[0] + range[1]);
    const double level = c->level(rmp_tensor_at(s->t, sample));
    const coefficients k = coefficients_of(c->form, level);
    const int64_t count = 3 * s->pixels;
    float *x = malloc((size_t)count * sizeof *x), *d = malloc((size_t)count * sizeof *d);
    float *v = malloc((size_t)count * sizeof *v), *j = malloc((size_t)count * sizeof *j);
    cr_assert(x && d && v && j);
    for (int64_t i = 0; i < count; i++) {
        const double there = at(s, s->x, sample, i) / k.scale;
        x[i] = (float)((there - middle) / r);
        d[i] = (float)((k.keep * there + k.gain * at(s, s->y, sample, i) - middle) / r);
        v[i] = (float)at(s, s->v, sample, i);
        j[i] = (float)(k.keep * (double)v[i] + k.gain * k.scale * at(s, s->g, sample, i));
    }
    rmp_field *fx = new_field(&s->space), *fd = new_field(&s->space), *fv = new_field(&s->space);
    rmp_field *got = new_field(&s->space);
    OK(rmp_field_put(fx, 0, x));
    OK(rmp_field_put(fd, 0, d));
    OK(rmp_field_put(fv, 0, v));
    OK(rmp_prior_denoise(s->prior, fx, level / r, got));
    /* the tolerance of the fixtures: a wrong coefficient or time shows as 1e-2 and more */
    cr_expect(lt(dbl, relative_error(got, fd), 1e-4), "%s, D at %g", c->fixture, level);
    OK(rmp_field_put(fd, 0, j));
    OK(rmp_prior_vjp(s->prior, fv, got));
    cr_expect(lt(dbl, relative_error(got, fd), 1e-4), "%s, J^T v at %g", c->fixture, level);
    rmp_field_destroy(&fx);
    rmp_field_destroy(&fd);
    rmp_field_destroy(&fv);
    rmp_field_destroy(&got);
    free(x), free(d), free(v), free(j);
}

Test(network_priors, denoisers_of_the_originals)
{
    for (int i = 0; i < CASES; i++) {
        subject s;
        open_subject(&s, cases[i].fixture, cases[i].change);
        for (int64_t sample = 0; sample < s.x->dims[0]; sample++)
            if (cases[i].level(rmp_tensor_at(s.t, sample)) < 1e6) /* EDM's of label 512 is none */
                check_sample(&s, &cases[i], sample);
        close_subject(&s);
    }
}

/* <u, J^T v> against <(D(x + h u) - D(x - h u)) / 2 h, v>, at levels that no fixture has, beyond the trained ones too.
 * x is as large as an image with noise of the level; of h = 1e-3 of it 1e-3 is left of curvature and of rounding. */
static void check_derivative(const char *name, rmp_prior *prior, double s)
{
    rmp_field *x = random_field(prior->space, 1), *u = random_field(prior->space, 2),
              *v = random_field(prior->space, 3);
    rmp_field *moved = new_field(prior->space), *plus = new_field(prior->space), *minus = new_field(prior->space);
    rmp_field *jtv = new_field(prior->space);
    const double h = 1e-3 * sqrt(1.0 + s * s);
    double exact, differences, scale;
    OK(rmp_field_axpby1(0.0, x, sqrt(1.0 + s * s), x));
    OK(rmp_field_copy(x, moved));
    OK(rmp_field_axpby1(h, u, 1.0, moved));
    OK(rmp_prior_denoise(prior, moved, s, plus));
    OK(rmp_field_axpby1(-2.0 * h, u, 1.0, moved));
    OK(rmp_prior_denoise(prior, moved, s, minus));
    OK(rmp_field_axpby1(-0.5 / h, minus, 0.5 / h, plus));
    OK(rmp_prior_denoise(prior, x, s, minus));
    OK(rmp_prior_vjp(prior, v, jtv));
    OK(rmp_field_dot(plus, v, &differences));
    OK(rmp_field_dot(u, jtv, &exact));
    OK(rmp_field_dot(plus, plus, &scale));
    cr_expect(lt(dbl, fabs(exact - differences) / sqrt(scale), 5e-3), "%s at %g: %g, not %g", name, s, exact,
              differences);
    rmp_field_destroy(&x);
    rmp_field_destroy(&u);
    rmp_field_destroy(&v);
    rmp_field_destroy(&moved);
    rmp_field_destroy(&plus);
    rmp_field_destroy(&minus);
    rmp_field_destroy(&jtv);
}

Test(network_priors, derivatives)
{
    static const tested tried[] = {{"ncsnpp_tiny_ve_discrete", FORM_VE, NULL, NULL},
                                   {"ncsnpp_tiny_ve_cifar", FORM_VE, NULL, NULL},
                                   {"ncsnpp_tiny_vp_ddpmpp", FORM_VP, NULL, NULL},
                                   {"unet2d_tiny_heads", FORM_EDM, as_edm, NULL}};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        subject s;
        open_subject(&s, tried[i].fixture, tried[i].change);
        check_derivative(tried[i].fixture, s.prior, 0.005);
        check_derivative(tried[i].fixture, s.prior, 1.3);
        check_derivative(tried[i].fixture, s.prior, 210.0);
        close_subject(&s);
    }
}

/* A network told another level than s: its noise estimate is taken, not its score. */
Test(network_priors, levels_beyond_the_trained_ones)
{
    subject s;
    open_subject(&s, "ncsnpp_tiny_ve_cifar", NULL); /* up to 50 in [0, 1]: 100 here */
    rmp_field *x = random_field(&s.space, 1), *at_end = new_field(&s.space), *beyond = new_field(&s.space);
    OK(rmp_prior_denoise(s.prior, x, 100.0, at_end));
    OK(rmp_prior_denoise(s.prior, x, 300.0, beyond));
    OK(rmp_field_axpby1(-1.0, x, 1.0, at_end));
    OK(rmp_field_axpby1(-1.0 / 3.0, x, 1.0 / 3.0, beyond));
    cr_expect(lt(dbl, relative_error(beyond, at_end), 1e-5));
    rmp_field_destroy(&x);
    rmp_field_destroy(&at_end);
    rmp_field_destroy(&beyond);
    close_subject(&s);
}

Test(network_priors, arguments_of_schedules)
{
    const rmp_schedule ve = {.kind = RMP_SCHEDULE_VE, .sigma_min = 0.01, .sigma_max = 50.0};
    const rmp_schedule labels = {.kind = RMP_SCHEDULE_VE_LABELS, .steps = 1000, .sigma_min = 0.01, .sigma_max = 50.0};
    const rmp_schedule edm = {.kind = RMP_SCHEDULE_EDM, .sigma_min = 0.002, .sigma_max = 80.0};
    const rmp_schedule vp = {.kind = RMP_SCHEDULE_VP_CONTINUOUS, .beta_min = 0.1, .beta_max = 20.0};
    const rmp_schedule flat = {.kind = RMP_SCHEDULE_VP_CONTINUOUS, .beta_min = 2.0, .beta_max = 2.0};
    double told;
    cr_expect(eq(dbl, rmp_schedule_argument(&ve, 3.0, &told), 3.0));
    cr_expect(eq(dbl, rmp_schedule_argument(&ve, 0.001, &told), 0.01));
    cr_expect(eq(dbl, told, 0.01));
    cr_expect(eq(dbl, rmp_schedule_argument(&labels, 1e9, &told), 0.0));
    cr_expect(eq(dbl, rmp_schedule_argument(&labels, 1e-9, &told), 999.0));
    cr_expect(lt(dbl, fabs(told - 0.01), 1e-12));
    cr_expect(eq(dbl, rmp_schedule_argument(&labels, 1.003 * label_level(640), &told), 640.0)); /* steps of 0.9 % */
    cr_expect(lt(dbl, fabs(told / label_level(640) - 1.0), 1e-12));
    cr_expect(lt(dbl, fabs(rmp_schedule_argument(&edm, 16.0, &told) - log(2.0)), 1e-15));
    for (double label = 1.0; label < 999.0; label += 99.5)
        cr_expect(lt(dbl, fabs(rmp_schedule_argument(&vp, continuous_level(label), &told) - label), 1e-9));
    cr_expect(eq(dbl, rmp_schedule_argument(&vp, 1e9, &told), 999.0));
    cr_expect(lt(dbl, fabs(rmp_schedule_argument(&flat, sqrt(expm1(2.0 * 0.25)), &told) - 0.25 * 999.0), 1e-9));
}

Test(network_priors, texts_of_schedules)
{
    const rmp_schedule schedules[] = {
        {.kind = RMP_SCHEDULE_VP, .steps = 1000},
        {.kind = RMP_SCHEDULE_VP_CONTINUOUS, .beta_min = 0.1, .beta_max = 20.0},
        {.kind = RMP_SCHEDULE_VE, .sigma_min = 0.01, .sigma_max = 348.0},
        {.kind = RMP_SCHEDULE_VE_LABELS, .steps = 232, .sigma_min = 0.01, .sigma_max = 50.0},
        {.kind = RMP_SCHEDULE_EDM, .sigma_min = 0.002, .sigma_max = 80.0}};
    const char *const texts[] = {"1000 steps", "continuous betas 0.1 to 20", "noise levels 0.01 to 348",
                                 "232 noise levels 0.01 to 50", "noise levels 0.002 to 80"};
    char text[64];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(strcmp(rmp_schedule_text(&schedules[i], text, sizeof text), texts[i]) == 0, "%s", text);
}

Test(network_priors, schedules_that_are_none)
{
    const rmp_schedule none[] = {{.kind = RMP_SCHEDULE_VE, .sigma_min = 0.0, .sigma_max = 1.0},
                                 {.kind = RMP_SCHEDULE_VE, .sigma_min = 2.0, .sigma_max = 1.0},
                                 {.kind = RMP_SCHEDULE_VE_LABELS, .steps = 1, .sigma_min = 0.1, .sigma_max = 1.0},
                                 {.kind = RMP_SCHEDULE_EDM, .sigma_min = 1.0, .sigma_max = INFINITY},
                                 {.kind = RMP_SCHEDULE_VP_CONTINUOUS, .beta_min = 0.0, .beta_max = 1.0},
                                 {.kind = RMP_SCHEDULE_VP_CONTINUOUS, .beta_min = 2.0, .beta_max = 1.0},
                                 {.kind = RMP_SCHEDULE_VP, .steps = 1}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_expect(eq(int, rmp_schedule_check(&none[i]), RMP_ERR_CONFIG), "%zu", i);
}
