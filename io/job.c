#include "io/job.h"

#include "io/file.h"
#include "io/job_yaml.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(offsetof(rmp_job, input.crop_w) == offsetof(rmp_job, input.crop_h) + sizeof(int64_t),
               "input.crop is written as a pair");
_Static_assert(offsetof(rmp_operator_config, box_w) == offsetof(rmp_operator_config, box_h) + sizeof(int64_t),
               "operator.box is written as a pair");

enum { MAX_JOB_FILE = 1 << 20 };

/* Where the standard deviations of a posterior are estimated: README, "Posterior uncertainty". */
static const double NETWORK_LEVEL = 0.5, ANALYTIC_LEVEL = 100.0;
enum { NETWORK_ITERATIONS = 3, ANALYTIC_ITERATIONS = 100 };

void rmp_job_defaults(rmp_job *job)
{
    rmp_operator_config *c = &job->op.config;
    c->factor = 4;
    c->kernel_size = 61;
    c->kernel_std = 3;
    c->intensity = 0.5;
    c->box_h = c->box_w = 128;
    c->margin = 16;
    c->fraction = 0.7;
    c->code_scale = 1.2; /* of DPS */
    c->oversampling = 2;
    c->gamma = 2.2;
    rmp_solver_defaults(&job->solver);
    rmp_uncertainty_defaults(&job->uncertainty);
    job->noise.range[0] = -1;
    job->noise.range[1] = 1;
    job->noise.gain = 255;
    job->timeout = 600;
}

/* Keys whose absence no default can fill. `missing` says what to do about it. */
static rmp_status require(const rmp_job_yaml *yaml, int section, const char *name)
{
    const rmp_job_section *s = &rmp_job_sections[section];
    const rmp_job_key *key = rmp_job_key_find(s, name);
    char where[512], accepts[512], path[64];
    int k = (int)(key - s->keys);
    if (rmp_job_yaml_value(yaml, section, k) != NULL) return RMP_OK;
    rmp_job_key_accepts(key, accepts, sizeof accepts);
    rmp_job_key_path(s, key, path, sizeof path);
    return RMP_FAIL(RMP_ERR_CONFIG, "%s: missing; give %s, in the file or with --set %s=VALUE",
                    rmp_job_yaml_where(yaml, section, k, where, sizeof where), accepts, path);
}

/* Of the solver that is asked for: they come before what the file says of it. */
static void solver_defaults(rmp_job *job, const rmp_job_yaml *yaml)
{
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_section *section = &rmp_job_sections[s];
        if (strcmp(section->name, "solver") != 0) continue;
        const rmp_job_key *key = rmp_job_key_find(section, "kind");
        const char *kind = rmp_job_yaml_value(yaml, s, (int)(key - section->keys));
        bool memory;
        /* A word that is no kind is reported with all other values. */
        if (kind != NULL && rmp_job_key_parse(job, key, kind, &memory))
            rmp_solver_defaults_of(job->solver.kind, &job->solver);
    }
    job->solver.zeta = -1;
    job->solver.regularization = job->solver.fresh_noise = -1;
}

static rmp_status parse_values(rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512], text[512];
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_section *section = &rmp_job_sections[s];
        for (int k = 0; k < section->count; k++) {
            const rmp_job_key *key = &section->keys[k];
            const char *value = rmp_job_yaml_value(yaml, s, k);
            bool memory;
            if (value == NULL || rmp_job_key_parse(job, key, value, &memory)) continue;
            rmp_job_yaml_where(yaml, s, k, where, sizeof where);
            RMP_CHECK(!memory, RMP_ERR_MEMORY, "%s: no memory", where);
            rmp_job_key_accepts(key, text, sizeof text);
            return RMP_FAIL(RMP_ERR_CONFIG, "%s: '%.100s' is not accepted; give %s", where, value, text);
        }
    }
    return RMP_OK;
}

/* Who has the last word on a key: 0 the file, 1 the command line, 2 a cell of a sweep. */
static int level_of(const rmp_job_yaml *yaml, int s, int k)
{
    return rmp_job_yaml_changed(yaml, s, k) ? 2 : rmp_job_yaml_overridden(yaml, s, k) ? 1 : 0;
}

/* True if another kind was chosen than by whoever gave the key: that says nothing about this one. */
static bool is_left_out(const rmp_job_yaml *yaml, int s, int k)
{
    const rmp_job_section *section = &rmp_job_sections[s];
    const rmp_job_key *key = &section->keys[k];
    const int mine = level_of(yaml, s, k);
    while (key->selector != NULL) {
        key = rmp_job_key_find(section, key->selector);
        if (level_of(yaml, s, (int)(key - section->keys)) > mine) return true;
    }
    return false;
}

/* A key that is given but means nothing for the chosen kinds is a mistake, not a decoration. */
static rmp_status check_applies(const rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512], belongs[512], selector[64];
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_section *section = &rmp_job_sections[s];
        for (int k = 0; k < section->count; k++) {
            const rmp_job_key *key = &section->keys[k];
            if (rmp_job_yaml_value(yaml, s, k) == NULL || rmp_job_key_applies(job, section, key)) continue;
            if (is_left_out(yaml, s, k)) continue;
            const rmp_job_key *selecting = rmp_job_key_decider(job, section, key, belongs, sizeof belongs);
            char *chosen = rmp_job_key_text(job, selecting);
            RMP_CHECK(chosen != NULL, RMP_ERR_MEMORY, "no memory");
            rmp_job_key_path(section, selecting, selector, sizeof selector);
            rmp_status status =
                RMP_FAIL(RMP_ERR_CONFIG, "%s: does not apply to %s %s (it belongs to %s)",
                         rmp_job_yaml_where(yaml, s, k, where, sizeof where), selector, chosen, belongs);
            free(chosen);
            return status;
        }
    }
    return RMP_OK;
}

static const char *where_is(const rmp_job_yaml *yaml, const char *section, const char *name, char *buffer, size_t size)
{
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_key *key = rmp_job_key_find(&rmp_job_sections[s], name);
        if (key == NULL || strcmp(rmp_job_sections[s].name, section) != 0) continue;
        return rmp_job_yaml_where(yaml, s, (int)(key - rmp_job_sections[s].keys), buffer, size);
    }
    return name;
}

static rmp_status check_required(const rmp_job *job, const rmp_job_yaml *yaml)
{
    enum { INPUT, PRIOR, OPERATOR, NOISE, SOLVER, TOP, OUTPUT };
    char where[512];
    RMP_CHECK(job->input.images == NULL || job->input.tensors == NULL, RMP_ERR_CONFIG,
              "%s: input.images and input.tensors exclude each other",
              where_is(yaml, "input", "tensors", where, sizeof where));
    RMP_CHECK(job->input.images != NULL || job->input.tensors != NULL, RMP_ERR_CONFIG,
              "%s: missing; give a folder, a glob, or a manifest (.csv, .jsonl), or input.tensors",
              where_is(yaml, "input", "images", where, sizeof where));
    RMP_TRY(require(yaml, PRIOR, job->prior.kind == RMP_PRIOR_NETWORK ? "model" : "file"));
    RMP_TRY(require(yaml, OPERATOR, "kind"));
    if (job->op.config.kind == RMP_OPERATOR_MATRIX) RMP_TRY(require(yaml, OPERATOR, "file"));
    if (job->op.config.kind == RMP_OPERATOR_NONLINEAR_BLUR) RMP_TRY(require(yaml, OPERATOR, "network"));
    if (job->op.config.kind == RMP_OPERATOR_COMPOSE) RMP_TRY(require(yaml, OPERATOR, "parts"));
    if (job->noise.kind == RMP_NOISE_GAUSSIAN) RMP_TRY(require(yaml, NOISE, "sigma"));
    RMP_TRY(require(yaml, OUTPUT, "dir"));
    return RMP_OK;
}

static bool is_given(const rmp_job_yaml *yaml, const char *section, const char *name)
{
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_key *key = rmp_job_key_find(&rmp_job_sections[s], name);
        if (key == NULL || strcmp(rmp_job_sections[s].name, section) != 0) continue;
        return rmp_job_yaml_value(yaml, s, (int)(key - rmp_job_sections[s].keys)) != NULL;
    }
    return false;
}

/* Draws around the mean bring noise into every system that conjugate gradients solve: more than one iteration costs
 * more than it gives, the last solution is no start for the next, and steps may be a little long. Without draws many
 * warm iterations pay, and s1 = 1 is exact for Gaussian priors. With draws a last denoising adds noise once more and
 * costs 0.2 dB; without it removes what the lowest level leaves. (README, "Settings") */
static void choose_by_draws(rmp_job *job, const rmp_job_yaml *yaml)
{
    enum { ITERATIONS_WITHOUT_DRAWS = 12 };
    static const double step_with_draws = 1.2;
    rmp_solver_config *c = &job->solver;
    const bool draws =
        c->spread == RMP_SPREAD_AUTO ? job->prior.kind == RMP_PRIOR_NETWORK : c->spread != RMP_SPREAD_NONE;
    if (!draws && !is_given(yaml, "solver", "cg_iterations")) c->cg_iterations = ITERATIONS_WITHOUT_DRAWS;
    if (!is_given(yaml, "solver", "cg_warm")) c->cg_warm = !draws && c->cg_iterations > 1;
    if (draws && !is_given(yaml, "solver", "s1")) c->s1 = step_with_draws;
    if (draws && !is_given(yaml, "solver", "final")) c->final = RMP_FINAL_MEAN;
}

/* Defaults that depend on the operator: what is linear only is none for one that is not. */
static void choose_defaults(rmp_job *job, const rmp_job_yaml *yaml)
{
    choose_by_draws(job, yaml);
    const bool dps = job->solver.kind == RMP_SOLVER_DPS || job->solver.kind == RMP_SOLVER_DPS_MEAN;
    rmp_solver_config published;
    rmp_solver_defaults_of(job->solver.kind, &published);
    if (job->solver.kind == RMP_SOLVER_DIFFPIR) rmp_solver_diffpir_weights(&job->op.config, &published);
    if (job->solver.regularization < 0) job->solver.regularization = published.regularization;
    if (job->solver.fresh_noise < 0) job->solver.fresh_noise = published.fresh_noise;
    if (job->solver.zeta < 0 && dps) job->solver.zeta = rmp_solver_dps_zeta(&job->op.config);
    const bool network = job->prior.kind == RMP_PRIOR_NETWORK;
    if (job->uncertainty.sigma < 0) job->uncertainty.sigma = network ? NETWORK_LEVEL : ANALYTIC_LEVEL;
    if (job->uncertainty.cg_iterations < 0)
        job->uncertainty.cg_iterations = network ? NETWORK_ITERATIONS : ANALYTIC_ITERATIONS;
    if (!rmp_operator_config_is_linear(&job->op.config) && !is_given(yaml, "solver", "likelihood"))
        job->solver.likelihood = RMP_LIKELIHOOD_DPS;
}

/* What operators that are not linear, or do not measure pictures, cannot be put together with. */
static rmp_status check_operator(const rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512];
    const rmp_operator_config *config = &job->op.config, *mask = rmp_operator_config_mask(config);
    if (config->kind == RMP_OPERATOR_COMPOSE) {
        const rmp_status status = rmp_operator_config_check(config);
        if (status != RMP_OK) return rmp_fail_context(status, "%s", job->path); /* it names operator.parts itself */
        RMP_CHECK(job->op.mask_file == NULL || (mask != NULL && mask->kind == RMP_OPERATOR_INPAINT_MASK),
                  RMP_ERR_CONFIG, "%s: no part takes it; it is for inpaint_mask as the last one",
                  where_is(yaml, "operator", "mask", where, sizeof where));
    }
    RMP_CHECK(job->noise.kind != RMP_NOISE_POISSON || !rmp_operator_config_has_magnitudes(config), RMP_ERR_CONFIG,
              "%s: poisson counts light on the scale of images, [-1,1]; phase_retrieval measures magnitudes of a "
              "transform: give gaussian or none",
              where_is(yaml, "noise", "kind", where, sizeof where));
    RMP_CHECK(rmp_operator_config_is_linear(config) || job->uncertainty.method == RMP_UNCERTAINTY_NONE, RMP_ERR_CONFIG,
              "%s: needs a linear operator, which operator.kind does not give",
              where_is(yaml, "uncertainty", "method", where, sizeof where));
    RMP_CHECK(rmp_operator_config_is_linear(config) || rmp_solver_takes_nonlinear(&job->solver), RMP_ERR_CONFIG,
              "%s: this solver and its likelihood need a linear operator, which operator.kind does not give: of ve_rmp "
              "and vp_rmp, likelihood dps and none take any",
              where_is(yaml, "solver", "likelihood", where, sizeof where));
    return RMP_OK;
}

/* What only analytic priors know in closed form, for Gaussian noise. */
static rmp_status check_exact(const rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512];
    const bool samples = job->solver.kind == RMP_SOLVER_POSTERIOR_SAMPLES;
    const bool rmp = job->solver.kind == RMP_SOLVER_VE_RMP || job->solver.kind == RMP_SOLVER_VP_RMP;
    if (!samples && !(rmp && job->solver.likelihood == RMP_LIKELIHOOD_EXACT)) return RMP_OK;
    RMP_CHECK(job->prior.kind != RMP_PRIOR_NETWORK && job->noise.kind != RMP_NOISE_POISSON, RMP_ERR_CONFIG,
              "%s: %s needs an analytic prior (gaussian, mixture) and Gaussian noise: of others the posterior is not "
              "known",
              where_is(yaml, "solver", samples ? "kind" : "likelihood", where, sizeof where),
              samples ? "posterior_samples" : "exact");
    return RMP_OK;
}

/* The message at hand begins with the key of the solver that it is about: its place takes the key's. */
static rmp_status refuse_operator(const rmp_job_yaml *yaml)
{
    char message[512], where[512];
    snprintf(message, sizeof message, "%s", rmp_fail_message());
    char *key = strchr(message, '.'), *rest = strstr(message, ": ");
    if (key == NULL || rest == NULL || key > rest) return rmp_fail_context(RMP_ERR_CONFIG, "solver.kind");
    *rest = '\0';
    return RMP_FAIL(RMP_ERR_CONFIG, "%s: %s", where_is(yaml, "solver", key + 1, where, sizeof where), rest + 2);
}

/* What no key by itself can tell. */
static rmp_status check_together(const rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512];
    bool tensors = job->input.tensors != NULL;
    const rmp_operator_kind kind = job->op.config.kind;
    RMP_CHECK(tensors == (job->prior.kind != RMP_PRIOR_NETWORK), RMP_ERR_CONFIG,
              "%s: analytic priors (gaussian, mixture) work on input.tensors, networks on input.images",
              where_is(yaml, "prior", "kind", where, sizeof where));
    RMP_CHECK(tensors ? kind == RMP_OPERATOR_MATRIX || kind == RMP_OPERATOR_DENOISE : kind != RMP_OPERATOR_MATRIX,
              RMP_ERR_CONFIG, "%s: matrix and denoise work on input.tensors, all but matrix on input.images",
              where_is(yaml, "operator", "kind", where, sizeof where));
    RMP_CHECK(!tensors || job->input.crop_h == 0, RMP_ERR_CONFIG, "%s: crops pictures; a job on input.tensors has none",
              where_is(yaml, "input", "crop", where, sizeof where));
    if (rmp_solver_check_operator(&job->solver, &job->op.config) != RMP_OK) return refuse_operator(yaml);
    if (job->solver.kind == RMP_SOLVER_VE_RMP || job->solver.kind == RMP_SOLVER_DAPS) {
        RMP_CHECK(job->solver.sigma_min < job->solver.sigma_max, RMP_ERR_CONFIG,
                  "%s: must be greater than solver.sigma_min (%g)",
                  where_is(yaml, "solver", "sigma_max", where, sizeof where), job->solver.sigma_min);
    }
    RMP_CHECK(!tensors || (job->metrics.lpips == NULL && job->metrics.fid == NULL), RMP_ERR_CONFIG,
              "%s: scores pictures; a job on input.tensors has none",
              where_is(yaml, "metrics", job->metrics.lpips != NULL ? "lpips" : "fid", where, sizeof where));
    RMP_CHECK(job->metrics.fid_reference == NULL || job->metrics.fid != NULL, RMP_ERR_CONFIG,
              "%s: is of no use without metrics.fid, the weights of the network",
              where_is(yaml, "metrics", "fid_reference", where, sizeof where));
    RMP_TRY(check_operator(job, yaml));
    RMP_TRY(check_exact(job, yaml));
    RMP_CHECK(!tensors || !job->output.measurements, RMP_ERR_CONFIG,
              "%s: saves pictures; a job on input.tensors has none",
              where_is(yaml, "output", "measurements", where, sizeof where));
    return RMP_OK;
}

static bool is_shipped_name(const char *model)
{
    return model[strspn(model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

/* Removes "." and "name/.." without asking the file system: the text of a job is the same wherever it is read. */
static void tidy(char *path)
{
    char *parts[PATH_MAX / 2], *save = NULL, *copy = strdup(path);
    int n = 0;
    if (copy == NULL) return; /* the path is right as it is, only longer */
    for (char *p = strtok_r(copy, "/", &save); p != NULL; p = strtok_r(NULL, "/", &save)) {
        if (strcmp(p, ".") == 0) continue;
        if (strcmp(p, "..") == 0) {
            if (n > 0) n--;
        } else if (n < (int)(sizeof parts / sizeof parts[0])) {
            parts[n++] = p;
        }
    }
    char *to = path;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(parts[i]);
        *to++ = '/';
        memcpy(to, parts[i], length);
        to += length;
    }
    if (n == 0) *to++ = '/';
    *to = '\0';
    free(copy);
}

static rmp_status make_absolute(const char *folder, char **path)
{
    static const char formula[] = "formula:";
    size_t prefix = strncmp(*path, formula, sizeof formula - 1) == 0 ? sizeof formula - 1 : 0;
    char *joined;
    RMP_TRY(rmp_path_join(folder, *path + prefix, &joined));
    tidy(joined);
    char *whole = malloc(prefix + strlen(joined) + 1);
    if (whole == NULL) {
        free(joined);
        return RMP_FAIL(RMP_ERR_MEMORY, "no memory for a path");
    }
    memcpy(whole, *path, prefix);
    memcpy(whole + prefix, joined, strlen(joined) + 1);
    free(joined);
    free(*path);
    *path = whole;
    return RMP_OK;
}

rmp_status rmp_job_key_absolute(rmp_job *job, const rmp_job_key *key, const char *folder)
{
    if (key->type != RMP_JOB_PATH && key->type != RMP_JOB_MODEL) return RMP_OK;
    char **path = rmp_job_key_string(job, key);
    if (*path == NULL || (key->type == RMP_JOB_MODEL && is_shipped_name(*path))) return RMP_OK;
    return make_absolute(folder, path);
}

rmp_status rmp_job_folder(const char *path, char **out)
{
    char *folder = NULL;
    RMP_TRY(rmp_path_folder(path, &folder));
    *out = realpath(folder, NULL);
    free(folder);
    RMP_CHECK(*out != NULL, RMP_ERR_CONFIG, "%s: its folder cannot be found", path);
    return RMP_OK;
}

static rmp_status resolve_paths(rmp_job *job, const rmp_job_yaml *yaml)
{
    char current[PATH_MAX];
    RMP_CHECK(getcwd(current, sizeof current) != NULL, RMP_ERR_IO, "the current folder cannot be found");
    RMP_TRY(rmp_job_folder(job->path, &job->folder));
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        for (int k = 0; k < rmp_job_sections[s].count; k++) {
            const char *folder = rmp_job_yaml_overridden(yaml, s, k) ? current : job->folder;
            RMP_TRY(rmp_job_key_absolute(job, &rmp_job_sections[s].keys[k], folder));
        }
    }
    return RMP_OK;
}

static rmp_status fill(rmp_job *job, const rmp_job_yaml *yaml)
{
    char where[512];
    solver_defaults(job, yaml);
    RMP_TRY(parse_values(job, yaml));
    RMP_TRY(check_required(job, yaml));
    if (job->op.config.kind == RMP_OPERATOR_COMPOSE)
        RMP_TRY(rmp_job_parts_read(job, where_is(yaml, "operator", "parts", where, sizeof where)));
    choose_defaults(job, yaml);
    RMP_TRY(check_applies(job, yaml));
    RMP_TRY(check_together(job, yaml));
    return resolve_paths(job, yaml);
}

rmp_status rmp_job_make(const rmp_job_input *input, rmp_job **out)
{
    rmp_job_yaml *yaml = NULL;
    *out = NULL;
    RMP_TRY(rmp_job_yaml_open(input, &yaml));
    rmp_status status = RMP_OK;
    rmp_job *job = calloc(1, sizeof *job);
    if (job != NULL) job->path = strdup(input->path);
    if (job == NULL || job->path == NULL) {
        status = RMP_FAIL(RMP_ERR_MEMORY, "%s: no memory", input->path);
    } else {
        rmp_job_defaults(job);
        status = fill(job, yaml);
    }
    rmp_job_yaml_close(&yaml);
    if (status == RMP_OK) {
        *out = job;
    } else {
        rmp_job_free(&job);
    }
    return status;
}

rmp_status rmp_job_parse(const char *text, size_t size, const char *name, rmp_job **out)
{
    const rmp_job_input input = {.path = name, .text = text, .size = size};
    return rmp_job_make(&input, out);
}

rmp_status rmp_job_load(const char *path, char **text, size_t *size)
{
    rmp_status status = rmp_file_read(path, MAX_JOB_FILE, text, size);
    /* For the user a job file that cannot be read is a mistake in the command, whatever the system's reason. */
    if (status != RMP_OK && status != RMP_ERR_MEMORY) return rmp_fail_context(RMP_ERR_CONFIG, "job file");
    return status;
}

rmp_status rmp_job_read(const char *path, int overrides, char *const override[], rmp_job **out)
{
    char *text = NULL;
    size_t size = 0;
    *out = NULL;
    RMP_TRY(rmp_job_load(path, &text, &size));
    const rmp_job_input input = {
        .path = path, .text = text, .size = size, .overrides = overrides, .override = override};
    rmp_status status = rmp_job_make(&input, out);
    free(text);
    return status;
}

void rmp_job_free(rmp_job **job)
{
    rmp_job *j = *job;
    if (j == NULL) return;
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        for (int k = 0; k < rmp_job_sections[s].count; k++) {
            const rmp_job_key *key = &rmp_job_sections[s].keys[k];
            if (rmp_job_key_is_string(key)) free(*rmp_job_key_string(j, key));
        }
    }
    free(j->path);
    free(j->folder);
    free(j);
    *job = NULL;
}

/* Optional paths and sizes that are not given have no text. */
static bool is_written(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key)
{
    if (!rmp_job_key_applies(job, section, key)) return false;
    if (key->type == RMP_JOB_PAIR) {
        int64_t first; /* 0: not given */
        memcpy(&first, (const char *)job + key->offset, sizeof first);
        return first > 0;
    }
    if (!rmp_job_key_is_string(key)) return true;
    const char *text;
    memcpy(&text, (const char *)job + key->offset, sizeof text);
    return text != NULL;
}

static rmp_status write_text(const rmp_job *job, FILE *f)
{
    for (int s = 0; s < RMP_JOB_SECTIONS; s++) {
        const rmp_job_section *section = &rmp_job_sections[s];
        bool named = section->name[0] == '\0';
        for (int k = 0; k < section->count; k++) {
            const rmp_job_key *key = &section->keys[k];
            if (!is_written(job, section, key)) continue;
            if (!named) fprintf(f, "%s:\n", section->name);
            named = true;
            char *value = rmp_job_key_text(job, key);
            RMP_CHECK(value != NULL, RMP_ERR_MEMORY, "no memory for the text of the job");
            fprintf(f, "%s%s: %s\n", section->name[0] != '\0' ? "  " : "", key->name, value);
            free(value);
        }
    }
    return RMP_OK;
}

rmp_status rmp_job_text(const rmp_job *job, char **out)
{
    size_t size;
    *out = NULL;
    FILE *f = open_memstream(out, &size);
    RMP_CHECK(f != NULL, RMP_ERR_MEMORY, "no memory for the text of the job");
    rmp_status status = write_text(job, f);
    if (fclose(f) != 0 && status == RMP_OK) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for the text of the job");
    if (status != RMP_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

rmp_noise rmp_job_noise(const rmp_job *job)
{
    return (rmp_noise){.kind = job->noise.kind,
                       .sigma = job->noise.sigma * 2 / (job->noise.range[1] - job->noise.range[0]),
                       .gain = job->noise.gain};
}
