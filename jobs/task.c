#include "jobs/task.h"

#include "core/frechet.h"
#include "core/prior_gaussian.h"
#include "core/prior_mixture.h"
#include "core/prior_network.h"
#include "io/safetensors.h"
#include "jobs/fid.h"
#include "jobs/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rmp_status open_network(rmp_task *task, const rmp_task *former)
{
    const rmp_job *job = task->job;
    RMP_TRY(rmp_network_open(job->prior.model, former != NULL ? former->network : NULL, &task->network));
    const rmp_model *model = task->model = rmp_network_model(task->network);
    RMP_CHECK(model->net->in_channels == 1 || model->net->in_channels == 3, RMP_ERR_CONFIG,
              "prior.model: %s: takes %lld channels; images have 1 or 3", job->prior.model,
              (long long)model->net->in_channels);
    task->channels = model->net->in_channels;
    task->solver.abar = model->abar;
    task->solver.abar_steps = model->steps;
    return RMP_OK;
}

static rmp_status open_set(const char *path, const char *key, rmp_weights **out)
{
    rmp_status status = rmp_safetensors_open(path, NULL, NULL, out);
    if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG;
    return status != RMP_OK ? rmp_fail_context(status, "%s", key) : RMP_OK;
}

static rmp_status take(const rmp_weights *set, const char *path, const char *name, int rank, const rmp_tensor **out)
{
    char shape[128];
    *out = rmp_weights_find(set, name);
    RMP_CHECK(*out != NULL, RMP_ERR_FORMAT, "%s: holds no tensor '%s'", path, name);
    RMP_CHECK((*out)->dtype == RMP_F32 || (*out)->dtype == RMP_F64, RMP_ERR_FORMAT,
              "%s: '%s' is %s, not float32 or float64", path, name, rmp_dtype_name((*out)->dtype));
    RMP_CHECK((*out)->rank == rank, RMP_ERR_FORMAT, "%s: '%s' has shape %s, not %d dimensions", path, name,
              rmp_tensor_shape_text(*out, shape, sizeof shape), rank);
    for (int i = 0; i < rank; i++) {
        RMP_CHECK((*out)->dims[i] > 0, RMP_ERR_FORMAT, "%s: '%s' is empty", path, name);
    }
    return RMP_OK;
}

static rmp_status open_problem(rmp_task *task)
{
    const char *path = task->job->input.tensors;
    RMP_TRY(open_set(path, "input.tensors", &task->tensors));
    if (rmp_weights_find(task->tensors, "x") != NULL) RMP_TRY(take(task->tensors, path, "x", 2, &task->x));
    if (rmp_weights_find(task->tensors, "y") != NULL) RMP_TRY(take(task->tensors, path, "y", 2, &task->y));
    RMP_CHECK(task->x != NULL || task->y != NULL, RMP_ERR_FORMAT, "%s: holds neither x (N, D) nor y (N, M)", path);
    RMP_CHECK(task->x == NULL || task->y == NULL || task->x->dims[0] == task->y->dims[0], RMP_ERR_FORMAT,
              "%s: x and y have different numbers of items", path);
    return RMP_OK;
}

static rmp_status open_analytic(rmp_task *task)
{
    const char *path = task->job->prior.file;
    const rmp_tensor *mean;
    bool gaussian = task->job->prior.kind == RMP_PRIOR_GAUSSIAN;
    RMP_TRY(open_set(path, "prior.file", &task->prior_set));
    RMP_TRY(take(task->prior_set, path, gaussian ? "mean" : "means", gaussian ? 1 : 2, &mean));
    task->channels = mean->dims[mean->rank - 1];
    RMP_CHECK(task->x == NULL || task->x->dims[1] == task->channels, RMP_ERR_FORMAT,
              "%s: x has %lld numbers an item, the prior %s has %lld", task->job->input.tensors,
              (long long)task->x->dims[1], path, (long long)task->channels);
    return RMP_OK;
}

static rmp_status open_matrix(rmp_task *task)
{
    const char *path = task->job->op.file;
    const rmp_tensor *a;
    RMP_TRY(open_set(path, "operator.file", &task->matrix_set));
    RMP_TRY(take(task->matrix_set, path, "A", 2, &a));
    RMP_CHECK(a->dims[1] == task->channels, RMP_ERR_FORMAT, "%s: A has %lld columns, the prior has %lld dimensions",
              path, (long long)a->dims[1], (long long)task->channels);
    task->matrix = *a;
    task->op.matrix = &task->matrix;
    return RMP_OK;
}

static rmp_status open_kernel(rmp_task *task)
{
    const char *path = task->job->op.kernel_file;
    rmp_image image = {{0, 0, 0}, NULL};
    rmp_status status = rmp_image_read(path, &image);
    if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG;
    if (status != RMP_OK) return rmp_fail_context(status, "operator.kernel_image");
    const rmp_shape s = image.shape;
    const int64_t count = s.h * s.w;
    double sum = 0;
    RMP_CHECK_GOTO(s.h == s.w && s.h % 2 == 1 && s.h <= 255, RMP_ERR_CONFIG, done,
                   "operator.kernel_image: %s is %lld x %lld; a kernel is square with an odd side of at most 255", path,
                   (long long)s.h, (long long)s.w);
    task->kernel = calloc((size_t)count, sizeof(float));
    RMP_CHECK_GOTO(task->kernel != NULL, RMP_ERR_MEMORY, done, "no memory for the kernel %s", path);
    for (int64_t i = 0; i < count; i++) {
        float value = 0.5f * (image.values[i * s.c] + 1.0f);
        task->kernel[i] = value > 0 ? value : 0;
        sum += (double)task->kernel[i];
    }
    RMP_CHECK_GOTO(sum > 0, RMP_ERR_CONFIG, done, "operator.kernel_image: %s is black", path);
    for (int64_t i = 0; i < count; i++)
        task->kernel[i] = (float)((double)task->kernel[i] / sum);
    task->op.kernel = task->kernel;
    task->op.kernel_size = s.h;
done:
    rmp_image_free(&image);
    return status;
}

static rmp_status open_mask(rmp_task *task)
{
    rmp_status status = rmp_image_read(task->job->op.mask_file, &task->mask);
    if (status == RMP_ERR_IO) status = RMP_ERR_CONFIG;
    return status != RMP_OK ? rmp_fail_context(status, "operator.mask") : RMP_OK;
}

/* The network that nonlinear_blur measures with, and its code where one is given. */
static rmp_status open_blur(rmp_task *task)
{
    const rmp_job *job = task->job;
    const char *name = job->op.network;
    /* An absolute path, as all are in a job that was read, but for names of shipped models and formula weights. */
    RMP_CHECK(name[0] != '/' || access(name, F_OK) == 0, RMP_ERR_CONFIG,
              "operator.network: %s: No such file; the published network is GOPRO_wVAE.pth, from the model zoo of "
              "https://github.com/VinAIResearch/blur-kernel-space-exploring",
              name);
    rmp_status status = rmp_model_open_named_for(RMP_MODEL_BLUR, name, &task->blur);
    if (status != RMP_OK) return rmp_fail_context(status, "operator.network");
    const int64_t channels = rmp_kernel_wizard_arguments(task->blur->blur)->input_nc;
    RMP_CHECK(channels == task->channels, RMP_ERR_CONFIG,
              "operator.network: %s: blurs images of %lld channels, the prior has %lld", name, (long long)channels,
              (long long)task->channels);
    task->op.network = task->blur->blur;
    if (job->op.code_file == NULL) return RMP_OK;
    RMP_TRY(open_set(job->op.code_file, "operator.code", &task->code_set));
    return take(task->code_set, job->op.code_file, "code", 3, &task->op.code);
}

static rmp_status open_metrics(rmp_task *task, const rmp_task *former)
{
    const rmp_job *job = task->job;
    RMP_TRY(rmp_scorer_nets_open("metrics.", job->metrics.lpips, job->metrics.fid,
                                 former != NULL ? former->metrics : NULL, &task->metrics));
    const char *reference = job->metrics.fid_reference;
    const bool known = former != NULL && former->job->metrics.fid_reference != NULL && reference != NULL &&
                       strcmp(former->job->metrics.fid_reference, reference) == 0;
    return reference != NULL && !known ? rmp_fid_check(reference) : RMP_OK;
}

static rmp_status open_files(rmp_task *task, const rmp_task *former)
{
    const rmp_job *job = task->job;
    if (job->input.tensors != NULL) RMP_TRY(open_problem(task));
    if (job->prior.kind == RMP_PRIOR_NETWORK) {
        RMP_TRY(open_network(task, former));
    } else {
        RMP_TRY(open_analytic(task));
        RMP_TRY(rmp_schedule_default(task->abar));
        task->solver.abar = task->abar;
        task->solver.abar_steps = RMP_SCHEDULE_STEPS;
    }
    if (job->op.config.kind == RMP_OPERATOR_MATRIX) RMP_TRY(open_matrix(task));
    if (job->op.kernel_file != NULL) RMP_TRY(open_kernel(task));
    if (job->op.mask_file != NULL) RMP_TRY(open_mask(task));
    if (job->op.config.kind == RMP_OPERATOR_NONLINEAR_BLUR) RMP_TRY(open_blur(task));
    RMP_TRY(open_metrics(task, former));
    if (task->y == NULL) return RMP_OK;
    rmp_shape measured;
    RMP_TRY(rmp_operator_measured_shape(&task->op, (rmp_shape){1, 1, task->channels}, &measured));
    RMP_CHECK(rmp_shape_count(measured) == task->y->dims[1], RMP_ERR_FORMAT,
              "%s: y has %lld numbers an item, the operator measures %lld", job->input.tensors,
              (long long)task->y->dims[1], (long long)rmp_shape_count(measured));
    return RMP_OK;
}

rmp_status rmp_task_open(const rmp_job *job, rmp_device *device, rmp_task **out)
{
    return rmp_task_open_next(job, device, NULL, out);
}

rmp_status rmp_task_open_next(const rmp_job *job, rmp_device *device, const rmp_task *former, rmp_task **out)
{
    rmp_task *task = calloc(1, sizeof *task);
    *out = NULL;
    RMP_CHECK(task != NULL, RMP_ERR_MEMORY, "no memory for the job");
    task->job = job;
    task->device = device;
    task->op = job->op.config;
    task->solver = job->solver;
    task->memory = job->activations == RMP_ACTIVATIONS_RECOMPUTE ? RMP_MEMORY_RECOMPUTE : RMP_MEMORY_KEEP;
    task->noise = rmp_job_noise(job);
    rmp_status status = open_files(task, former);
    /* What only the prior decides, such as the number of steps of its schedule. */
    if (status == RMP_OK) status = rmp_solver_check(&task->solver);
    if (status == RMP_OK) {
        *out = task;
    } else {
        rmp_task_close(&task);
    }
    return status;
}

void rmp_task_close(rmp_task **task)
{
    rmp_task *t = *task;
    if (t == NULL) return;
    rmp_network_close(&t->network);
    rmp_model_close(&t->blur);
    rmp_weights_destroy(&t->code_set);
    rmp_scorer_nets_close(&t->metrics);
    rmp_weights_destroy(&t->prior_set);
    rmp_weights_destroy(&t->matrix_set);
    rmp_weights_destroy(&t->tensors);
    rmp_image_free(&t->mask);
    free(t->kernel);
    free(t);
    *task = NULL;
}

int64_t rmp_task_tensor_items(const rmp_task *task) { return task->x != NULL ? task->x->dims[0] : task->y->dims[0]; }

/* A tensor of an analytic prior as doubles, of the shape that the first one (K or D) implies. */
static rmp_status read_doubles(const rmp_task *task, const char *name, int rank, const int64_t dims[], double **out)
{
    const rmp_tensor *t;
    const char *path = task->job->prior.file;
    char shape[128];
    RMP_TRY(take(task->prior_set, path, name, rank, &t));
    for (int i = 0; i < rank; i++) {
        RMP_CHECK(t->dims[i] == dims[i], RMP_ERR_FORMAT, "%s: '%s' has shape %s; dimension %d must be %lld", path, name,
                  rmp_tensor_shape_text(t, shape, sizeof shape), i, (long long)dims[i]);
    }
    int64_t count = rmp_tensor_count(t);
    *out = malloc((size_t)count * sizeof **out);
    RMP_CHECK(*out != NULL, RMP_ERR_MEMORY, "no memory for '%s' of %s", name, path);
    for (int64_t i = 0; i < count; i++)
        (*out)[i] = rmp_tensor_at(t, i);
    return RMP_OK;
}

static rmp_status analytic_prior(const rmp_task *task, const rmp_space *space, rmp_prior **out)
{
    const int64_t d = task->channels;
    double *weights = NULL, *means = NULL, *covs = NULL;
    rmp_status status;
    if (task->job->prior.kind == RMP_PRIOR_GAUSSIAN) {
        RMP_TRY_GOTO(read_doubles(task, "mean", 1, (int64_t[]){d}, &means), done);
        RMP_TRY_GOTO(read_doubles(task, "cov", 2, (int64_t[]){d, d}, &covs), done);
        status = rmp_prior_gaussian_create(space, means, covs, out);
    } else {
        const rmp_tensor *w;
        RMP_TRY_GOTO(take(task->prior_set, task->job->prior.file, "weights", 1, &w), done);
        const int64_t k = w->dims[0];
        RMP_TRY_GOTO(read_doubles(task, "weights", 1, (int64_t[]){k}, &weights), done);
        RMP_TRY_GOTO(read_doubles(task, "means", 2, (int64_t[]){k, d}, &means), done);
        RMP_TRY_GOTO(read_doubles(task, "covs", 3, (int64_t[]){k, d, d}, &covs), done);
        status = rmp_prior_mixture_create(space, k, weights, means, covs, out);
    }
    if (status != RMP_OK) status = rmp_fail_context(status, "%s", task->job->prior.file);
done:
    free(weights);
    free(means);
    free(covs);
    return status;
}

rmp_status rmp_task_prior(const rmp_task *task, const rmp_space *space, rmp_prior **out)
{
    if (task->model == NULL) return analytic_prior(task, space, out);
    return rmp_network_prior(task->network, task->device, space, task->job->precision, task->memory, out);
}

int64_t rmp_task_cost(const rmp_task *task, int64_t h, int64_t w)
{
    return rmp_solver_cost(&task->solver) +
           rmp_uncertainty_cost(&task->job->uncertainty, (rmp_shape){h, w, task->channels});
}

rmp_status rmp_task_estimate(const rmp_task *task, int64_t n, int64_t h, int64_t w, rmp_task_memory *out)
{
    const rmp_shape shape = {h, w, task->channels};
    rmp_shape measured;
    rmp_space space;
    memset(out, 0, sizeof *out);
    rmp_space_local(&space, task->device, n, shape);
    RMP_TRY(rmp_operator_measured_shape(&task->op, shape, &measured));
    RMP_TRY(rmp_operator_estimate(task->device, &task->op, n, shape, &out->op));
    if (task->model != NULL) {
        RMP_TRY(rmp_network_estimate(task->network, task->device, &space, task->job->precision, task->memory,
                                     &out->prior, &out->saved));
    } else {
        /* Eigenvectors and a few matrices of the prior, in double. */
        const int64_t k =
            task->job->prior.kind == RMP_PRIOR_GAUSSIAN ? 1 : rmp_weights_find(task->prior_set, "means")->dims[0];
        out->prior = 4 * k * task->channels * task->channels * (int64_t)sizeof(double);
    }
    const int64_t image = rmp_shape_count(shape), measurement = rmp_shape_count(measured);
    const int64_t solver = rmp_solver_floats(&task->solver, &task->noise, image, measurement);
    const int64_t deviations = /* after the solver: their fields, the exact means, themselves */
        task->job->uncertainty.method == RMP_UNCERTAINTY_NONE
            ? 0
            : rmp_uncertainty_floats(&task->job->uncertainty, &task->noise, image, measurement) + 2 * image;
    /* The measurement, its noise and the result live beside the solver's own fields. */
    out->fields = n * (int64_t)sizeof(float) * ((deviations > solver ? deviations : solver) + 2 * measurement + image);
    /* Truth, measurement, picture of it, result and its encoding; 3 channels whatever the network takes. */
    out->images = task->job->input.tensors != NULL ? 5 * n * image * (int64_t)sizeof(float)
                                                   : 5 * n * h * w * 3 * (int64_t)sizeof(float);
    if (task->metrics != NULL) RMP_TRY(rmp_scorer_nets_estimate(task->metrics, task->device, h, w, &out->metrics));
    out->total = out->prior + out->op + out->fields + out->images + out->metrics;
    /* When all items are done rank 0 compares features, and nothing else is there any more. */
    const int64_t end = task->job->metrics.fid != NULL ? rmp_frechet_bytes(RMP_INCEPTION_FEATURES) : 0;
    if (out->total < end) {
        out->metrics += end - out->total;
        out->total = end;
    }
    return RMP_OK;
}
