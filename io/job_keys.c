#include "io/job_keys.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(rmp_solver_kind) == sizeof(unsigned), "enumerations are stored as unsigned");

#define BIT(value)   (1u << (unsigned)(value))
#define FIELD(name)  offsetof(rmp_job, name)
#define RMP_KINDS    (BIT(RMP_SOLVER_VE_RMP) | BIT(RMP_SOLVER_VP_RMP))
#define WITH_LEVELS  (BIT(RMP_SOLVER_POSTERIOR_SAMPLES) - 1u) /* all kinds before it */
#define LARGE        1e9
#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static const rmp_job_word prior_words[] = {
    {"network", RMP_PRIOR_NETWORK}, {"gaussian", RMP_PRIOR_GAUSSIAN}, {"mixture", RMP_PRIOR_MIXTURE}, {NULL, 0}};
static const rmp_job_word operator_words[] = {{"super_resolution", RMP_OPERATOR_SUPER_RESOLUTION},
                                              {"gaussian_blur", RMP_OPERATOR_GAUSSIAN_BLUR},
                                              {"motion_blur", RMP_OPERATOR_MOTION_BLUR},
                                              {"inpaint_box", RMP_OPERATOR_INPAINT_BOX},
                                              {"inpaint_random", RMP_OPERATOR_INPAINT_RANDOM},
                                              {"inpaint_mask", RMP_OPERATOR_INPAINT_MASK},
                                              {"denoise", RMP_OPERATOR_DENOISE},
                                              {"matrix", RMP_OPERATOR_MATRIX},
                                              {"nonlinear_blur", RMP_OPERATOR_NONLINEAR_BLUR},
                                              {"phase_retrieval", RMP_OPERATOR_PHASE_RETRIEVAL},
                                              {"hdr", RMP_OPERATOR_HDR},
                                              {"gamma", RMP_OPERATOR_GAMMA},
                                              {"grayscale", RMP_OPERATOR_GRAYSCALE},
                                              {"compose", RMP_OPERATOR_COMPOSE},
                                              {NULL, 0}};
static const rmp_job_word reduction_words[] = {
    {"bicubic", RMP_REDUCTION_BICUBIC}, {"box", RMP_REDUCTION_BOX}, {NULL, 0}};
static const rmp_job_word noise_words[] = {
    {"gaussian", RMP_NOISE_GAUSSIAN}, {"poisson", RMP_NOISE_POISSON}, {"none", RMP_NOISE_NONE}, {NULL, 0}};
static const rmp_job_word solver_words[] = {{"ve_rmp", RMP_SOLVER_VE_RMP},
                                            {"vp_rmp", RMP_SOLVER_VP_RMP},
                                            {"dps", RMP_SOLVER_DPS},
                                            {"dps_mean", RMP_SOLVER_DPS_MEAN},
                                            {"mcg", RMP_SOLVER_MCG},
                                            {"ddrm", RMP_SOLVER_DDRM},
                                            {"red_diff", RMP_SOLVER_RED_DIFF},
                                            {"diffpir", RMP_SOLVER_DIFFPIR},
                                            {"daps", RMP_SOLVER_DAPS},
                                            {"posterior_samples", RMP_SOLVER_POSTERIOR_SAMPLES},
                                            {NULL, 0}};
static const rmp_job_word mcg_words[] = {{"published", RMP_MCG_PUBLISHED}, {"dps_repo", RMP_MCG_DPS_REPO}, {NULL, 0}};
static const rmp_job_word likelihood_words[] = {{"moment", RMP_LIKELIHOOD_MOMENT},
                                                {"pigdm", RMP_LIKELIHOOD_PIGDM},
                                                {"dps", RMP_LIKELIHOOD_DPS},
                                                {"spectral", RMP_LIKELIHOOD_SPECTRAL},
                                                {"none", RMP_LIKELIHOOD_NONE},
                                                {"exact", RMP_LIKELIHOOD_EXACT},
                                                {NULL, 0}};
static const rmp_job_word spread_words[] = {{"auto", RMP_SPREAD_AUTO},
                                            {"none", RMP_SPREAD_NONE},
                                            {"conditional", RMP_SPREAD_CONDITIONAL},
                                            {"marginal", RMP_SPREAD_MARGINAL},
                                            {NULL, 0}};
static const rmp_job_word lambda_words[] = {{"fixed", RMP_LAMBDA_FIXED}, {"learned", RMP_LAMBDA_LEARNED}, {NULL, 0}};
static const rmp_job_word init_words[] = {{"noise", RMP_INIT_NOISE}, {"zero", RMP_INIT_ZERO}, {NULL, 0}};
static const rmp_job_word final_words[] = {{"denoise", RMP_FINAL_DENOISE}, {"mean", RMP_FINAL_MEAN}, {NULL, 0}};
static const rmp_job_word device_words[] = {{"auto", RMP_DEVICE_AUTO},
                                            {"cpu", RMP_DEVICE_CPU},
                                            {"cuda", RMP_DEVICE_CUDA},
                                            {"reference", RMP_DEVICE_REFERENCE},
                                            {NULL, 0}};
static const rmp_job_word activations_words[] = {{"auto", RMP_ACTIVATIONS_AUTO},
                                                 {"keep", RMP_ACTIVATIONS_KEEP},
                                                 {"recompute", RMP_ACTIVATIONS_RECOMPUTE},
                                                 {NULL, 0}};
static const rmp_job_word precision_words[] = {{"fp32", RMP_PRECISION_FP32}, {"bf16", RMP_PRECISION_BF16}, {NULL, 0}};
static const rmp_job_word format_words[] = {{"png8", RMP_PNG8},     {"png16", RMP_PNG16},     {"tiff8", RMP_TIFF8},
                                            {"tiff16", RMP_TIFF16}, {"tiff32f", RMP_TIFF32F}, {NULL, 0}};

enum {
    NOT_NONE = 1u << RMP_LIKELIHOOD_MOMENT | 1u << RMP_LIKELIHOOD_PIGDM | 1u << RMP_LIKELIHOOD_DPS |
               1u << RMP_LIKELIHOOD_SPECTRAL | 1u << RMP_LIKELIHOOD_EXACT
};

/* name, type, offset, lo, hi, words, selector, selected */
static const rmp_job_key input_keys[] = {{"images", RMP_JOB_PATH, FIELD(input.images), 0, 0, NULL, NULL, 0},
                                         {"crop", RMP_JOB_PAIR, FIELD(input.crop_h), 1, LARGE, NULL, NULL, 0},
                                         {"tensors", RMP_JOB_PATH, FIELD(input.tensors), 0, 0, NULL, NULL, 0}};

static const rmp_job_key prior_keys[] = {
    {"kind", RMP_JOB_WORD, FIELD(prior.kind), 0, 0, prior_words, NULL, 0},
    {"model", RMP_JOB_MODEL, FIELD(prior.model), 0, 0, NULL, "kind", BIT(RMP_PRIOR_NETWORK)},
    {"file", RMP_JOB_PATH, FIELD(prior.file), 0, 0, NULL, "kind", BIT(RMP_PRIOR_GAUSSIAN) | BIT(RMP_PRIOR_MIXTURE)}};

static const rmp_job_key operator_keys[] = {
    {"kind", RMP_JOB_WORD, FIELD(op.config.kind), 0, 0, operator_words, NULL, 0},
    {"factor", RMP_JOB_INTEGER, FIELD(op.config.factor), 1, 64, NULL, "kind", BIT(RMP_OPERATOR_SUPER_RESOLUTION)},
    {"kernel", RMP_JOB_WORD, FIELD(op.config.reduction), 0, 0, reduction_words, "kind",
     BIT(RMP_OPERATOR_SUPER_RESOLUTION)},
    {"kernel_size", RMP_JOB_ODD, FIELD(op.config.kernel_size), 1, 1023, NULL, "kind",
     BIT(RMP_OPERATOR_GAUSSIAN_BLUR) | BIT(RMP_OPERATOR_MOTION_BLUR)},
    {"std", RMP_JOB_NUMBER, FIELD(op.config.kernel_std), 0.01, 1000, NULL, "kind", BIT(RMP_OPERATOR_GAUSSIAN_BLUR)},
    {"intensity", RMP_JOB_NUMBER, FIELD(op.config.intensity), 0, 1, NULL, "kind", BIT(RMP_OPERATOR_MOTION_BLUR)},
    {"kernel_image", RMP_JOB_PATH, FIELD(op.kernel_file), 0, 0, NULL, "kind", BIT(RMP_OPERATOR_MOTION_BLUR)},
    {"box", RMP_JOB_PAIR, FIELD(op.config.box_h), 1, LARGE, NULL, "kind", BIT(RMP_OPERATOR_INPAINT_BOX)},
    {"margin", RMP_JOB_INTEGER, FIELD(op.config.margin), 0, LARGE, NULL, "kind", BIT(RMP_OPERATOR_INPAINT_BOX)},
    {"fraction", RMP_JOB_NUMBER, FIELD(op.config.fraction), 0, 0.9999, NULL, "kind", BIT(RMP_OPERATOR_INPAINT_RANDOM)},
    {"mask", RMP_JOB_PATH, FIELD(op.mask_file), 0, 0, NULL, "kind",
     BIT(RMP_OPERATOR_INPAINT_MASK) | BIT(RMP_OPERATOR_COMPOSE)},
    {"oversampling", RMP_JOB_NUMBER, FIELD(op.config.oversampling), 0, 32, NULL, "kind",
     BIT(RMP_OPERATOR_PHASE_RETRIEVAL)},
    {"gamma", RMP_JOB_NUMBER, FIELD(op.config.gamma), 0.1, 10, NULL, "kind", BIT(RMP_OPERATOR_GAMMA)},
    {"parts", RMP_JOB_PARTS, FIELD(op.parts), 0, 0, NULL, "kind", BIT(RMP_OPERATOR_COMPOSE)},
    {"file", RMP_JOB_PATH, FIELD(op.file), 0, 0, NULL, "kind", BIT(RMP_OPERATOR_MATRIX)},
    {"network", RMP_JOB_MODEL, FIELD(op.network), 0, 0, NULL, "kind", BIT(RMP_OPERATOR_NONLINEAR_BLUR)},
    {"code", RMP_JOB_PATH, FIELD(op.code_file), 0, 0, NULL, "kind", BIT(RMP_OPERATOR_NONLINEAR_BLUR)},
    {"code_scale", RMP_JOB_NUMBER, FIELD(op.config.code_scale), 0, 1000, NULL, "kind",
     BIT(RMP_OPERATOR_NONLINEAR_BLUR)}};

static const rmp_job_key noise_keys[] = {
    {"kind", RMP_JOB_WORD, FIELD(noise.kind), 0, 0, noise_words, NULL, 0},
    {"sigma", RMP_JOB_NUMBER, FIELD(noise.sigma), 0, 1e6, NULL, "kind", BIT(RMP_NOISE_GAUSSIAN)},
    {"range", RMP_JOB_RANGE, FIELD(noise.range), 0, 0, NULL, "kind", BIT(RMP_NOISE_GAUSSIAN)},
    {"gain", RMP_JOB_NUMBER, FIELD(noise.gain), 1e-3, LARGE, NULL, "kind", BIT(RMP_NOISE_POISSON)}};

static const rmp_job_key solver_keys[] = {
    {"kind", RMP_JOB_WORD, FIELD(solver.kind), 0, 0, solver_words, NULL, 0},
    {"likelihood", RMP_JOB_WORD, FIELD(solver.likelihood), 0, 0, likelihood_words, "kind", RMP_KINDS},
    {"T", RMP_JOB_INTEGER, FIELD(solver.T), 1, 100000, NULL, "kind", WITH_LEVELS},
    {"T_in", RMP_JOB_INTEGER, FIELD(solver.T_in), 1, 1000, NULL, "kind", RMP_KINDS},
    {"sigma_min", RMP_JOB_NUMBER, FIELD(solver.sigma_min), 1e-6, 1e6, NULL, "kind",
     BIT(RMP_SOLVER_VE_RMP) | BIT(RMP_SOLVER_DAPS)},
    {"sigma_max", RMP_JOB_NUMBER, FIELD(solver.sigma_max), 1e-6, 1e6, NULL, "kind", RMP_KINDS | BIT(RMP_SOLVER_DAPS)},
    {"s1", RMP_JOB_NUMBER, FIELD(solver.s1), 1e-6, 1.9999, NULL, "kind", RMP_KINDS},
    {"precision", RMP_JOB_WORD, FIELD(solver.lambda), 0, 0, lambda_words, "kind", RMP_KINDS},
    {"s2", RMP_JOB_NUMBER, FIELD(solver.s2), 0, 1, NULL, "precision", BIT(RMP_LAMBDA_LEARNED)},
    {"probes", RMP_JOB_INTEGER, FIELD(solver.probes), 1, 1000, NULL, "precision", BIT(RMP_LAMBDA_LEARNED)},
    {"gamma", RMP_JOB_NUMBER, FIELD(solver.gamma), 0, 1e6, NULL, "likelihood", NOT_NONE},
    {"zeta", RMP_JOB_CHOSEN, FIELD(solver.zeta), 0, 1e6, NULL, "likelihood", BIT(RMP_LIKELIHOOD_DPS)},
    {"mcg_variant", RMP_JOB_WORD, FIELD(solver.mcg_variant), 0, 0, mcg_words, "kind", BIT(RMP_SOLVER_MCG)},
    {"eta", RMP_JOB_NUMBER, FIELD(solver.eta), 0, 1, NULL, "kind", BIT(RMP_SOLVER_DDRM)},
    {"eta_b", RMP_JOB_NUMBER, FIELD(solver.eta_b), 0, 1, NULL, "kind", BIT(RMP_SOLVER_DDRM)},
    {"lambda", RMP_JOB_CHOSEN, FIELD(solver.regularization), 1e-9, 1e9, NULL, "kind",
     BIT(RMP_SOLVER_RED_DIFF) | BIT(RMP_SOLVER_DIFFPIR)},
    {"fresh_noise", RMP_JOB_CHOSEN, FIELD(solver.fresh_noise), 0, 1, NULL, "kind", BIT(RMP_SOLVER_DIFFPIR)},
    {"lr", RMP_JOB_NUMBER, FIELD(solver.lr), 1e-12, 1e3, NULL, "kind", BIT(RMP_SOLVER_RED_DIFF) | BIT(RMP_SOLVER_DAPS)},
    {"ode_steps", RMP_JOB_INTEGER, FIELD(solver.ode_steps), 1, 1000, NULL, "kind", BIT(RMP_SOLVER_DAPS)},
    {"langevin_steps", RMP_JOB_INTEGER, FIELD(solver.langevin_steps), 0, 10000, NULL, "kind", BIT(RMP_SOLVER_DAPS)},
    {"tau", RMP_JOB_NUMBER, FIELD(solver.tau), 1e-9, 1e6, NULL, "kind", BIT(RMP_SOLVER_DAPS)},
    {"cg_iterations", RMP_JOB_INTEGER, FIELD(solver.cg_iterations), 1, 10000, NULL, "likelihood",
     BIT(RMP_LIKELIHOOD_MOMENT)},
    {"cg_tolerance", RMP_JOB_NUMBER, FIELD(solver.cg_tolerance), 0, 0.9999, NULL, "likelihood",
     BIT(RMP_LIKELIHOOD_MOMENT)},
    {"cg_warm", RMP_JOB_FLAG, FIELD(solver.cg_warm), 0, 0, NULL, "likelihood", BIT(RMP_LIKELIHOOD_MOMENT)},
    {"cg_precondition", RMP_JOB_FLAG, FIELD(solver.cg_precondition), 0, 0, NULL, "likelihood",
     BIT(RMP_LIKELIHOOD_MOMENT)},
    {"spread", RMP_JOB_WORD, FIELD(solver.spread), 0, 0, spread_words, "kind", RMP_KINDS},
    {"samples", RMP_JOB_INTEGER, FIELD(solver.samples), 1, 1000, NULL, "kind",
     RMP_KINDS | BIT(RMP_SOLVER_DPS_MEAN) | BIT(RMP_SOLVER_POSTERIOR_SAMPLES)},
    {"init", RMP_JOB_WORD, FIELD(solver.init), 0, 0, init_words, "kind", RMP_KINDS},
    {"final", RMP_JOB_WORD, FIELD(solver.final), 0, 0, final_words, "kind", RMP_KINDS}};

/* Keys with a second selector: they apply where one of the two says so. */
static const struct {
    const rmp_job_key *keys; /* of the section */
    const char *name, *selector;
    unsigned selected;
} others[] = {{solver_keys, "zeta", "kind", BIT(RMP_SOLVER_DPS) | BIT(RMP_SOLVER_DPS_MEAN)}};

static const rmp_job_word writer_words[] = {{"root", RMP_WRITER_ROOT}, {"ranks", RMP_WRITER_RANKS}, {NULL, 0}};

static const rmp_job_key output_keys[] = {
    {"dir", RMP_JOB_PATH, FIELD(output.dir), 0, 0, NULL, NULL, 0},
    {"format", RMP_JOB_WORD, FIELD(output.format), 0, 0, format_words, NULL, 0},
    {"measurements", RMP_JOB_FLAG, FIELD(output.measurements), 0, 0, NULL, NULL, 0},
    {"writer", RMP_JOB_WORD, FIELD(output.writer), 0, 0, writer_words, NULL, 0}};

static const rmp_job_word uncertainty_words[] = {{"none", RMP_UNCERTAINTY_NONE},
                                                 {"hutchinson", RMP_UNCERTAINTY_HUTCHINSON},
                                                 {"exact", RMP_UNCERTAINTY_EXACT},
                                                 {NULL, 0}};

enum { SOME_UNCERTAINTY = 1u << RMP_UNCERTAINTY_HUTCHINSON | 1u << RMP_UNCERTAINTY_EXACT };

static const rmp_job_key uncertainty_keys[] = {
    {"method", RMP_JOB_WORD, FIELD(uncertainty.method), 0, 0, uncertainty_words, NULL, 0},
    {"probes", RMP_JOB_INTEGER, FIELD(uncertainty.probes), 1, 100000, NULL, "method", BIT(RMP_UNCERTAINTY_HUTCHINSON)},
    {"sigma", RMP_JOB_CHOSEN, FIELD(uncertainty.sigma), 1e-3, 1e3, NULL, "method", SOME_UNCERTAINTY},
    {"cg_iterations", RMP_JOB_INTEGER, FIELD(uncertainty.cg_iterations), 1, 10000, NULL, "method", SOME_UNCERTAINTY}};

static const rmp_job_key metrics_keys[] = {
    {"lpips", RMP_JOB_PATH, FIELD(metrics.lpips), 0, 0, NULL, NULL, 0},
    {"fid", RMP_JOB_PATH, FIELD(metrics.fid), 0, 0, NULL, NULL, 0},
    {"fid_reference", RMP_JOB_PATH, FIELD(metrics.fid_reference), 0, 0, NULL, NULL, 0}};

static const rmp_job_key top_keys[] = {
    {"seed", RMP_JOB_SEED, FIELD(seed), 0, 0, NULL, NULL, 0},
    {"device", RMP_JOB_WORD, FIELD(device), 0, 0, device_words, NULL, 0},
    {"precision", RMP_JOB_WORD, FIELD(precision), 0, 0, precision_words, NULL, 0},
    {"activations", RMP_JOB_WORD, FIELD(activations), 0, 0, activations_words, NULL, 0},
    {"batch", RMP_JOB_COUNT, FIELD(batch), 1, 4096, NULL, NULL, 0},
    {"memory", RMP_JOB_SIZE, FIELD(memory), 0, 0, NULL, NULL, 0},
    {"timeout", RMP_JOB_NUMBER, FIELD(timeout), 1, 1e6, NULL, NULL, 0}};

const rmp_job_section rmp_job_sections[RMP_JOB_SECTIONS] = {{"input", input_keys, COUNT(input_keys)},
                                                            {"prior", prior_keys, COUNT(prior_keys)},
                                                            {"operator", operator_keys, COUNT(operator_keys)},
                                                            {"noise", noise_keys, COUNT(noise_keys)},
                                                            {"solver", solver_keys, COUNT(solver_keys)},
                                                            {"", top_keys, COUNT(top_keys)},
                                                            {"output", output_keys, COUNT(output_keys)},
                                                            {"metrics", metrics_keys, COUNT(metrics_keys)},
                                                            {"uncertainty", uncertainty_keys, COUNT(uncertainty_keys)}};

const rmp_job_key *rmp_job_key_find(const rmp_job_section *section, const char *name)
{
    for (int i = 0; i < section->count; i++) {
        if (strcmp(section->keys[i].name, name) == 0) return &section->keys[i];
    }
    return NULL;
}

void rmp_job_key_path(const rmp_job_section *section, const rmp_job_key *key, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s%s%s", section->name, section->name[0] ? "." : "", key->name);
}

static const void *place(const rmp_job *job, const rmp_job_key *key) { return (const char *)job + key->offset; }

unsigned rmp_job_key_word(const rmp_job *job, const rmp_job_key *key)
{
    unsigned value;
    memcpy(&value, place(job, key), sizeof value);
    return value;
}

char **rmp_job_key_string(rmp_job *job, const rmp_job_key *key) { return (char **)(void *)((char *)job + key->offset); }

bool rmp_job_key_is_string(const rmp_job_key *key)
{
    return key->type == RMP_JOB_PATH || key->type == RMP_JOB_MODEL || key->type == RMP_JOB_PARTS;
}

/* -1: it has no second selector. */
static int other_of(const rmp_job_section *section, const rmp_job_key *key)
{
    for (int i = 0; i < COUNT(others); i++) {
        if (section->keys == others[i].keys && strcmp(key->name, others[i].name) == 0) return i;
    }
    return -1;
}

static bool selects(const rmp_job *job, const rmp_job_section *section, const char *name, unsigned selected)
{
    const rmp_job_key *selector = rmp_job_key_find(section, name);
    return rmp_job_key_applies(job, section, selector) && (selected >> rmp_job_key_word(job, selector) & 1u) != 0;
}

bool rmp_job_key_applies(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key)
{
    if (key->selector == NULL || selects(job, section, key->selector, key->selected)) return true;
    const int i = other_of(section, key);
    return i >= 0 && selects(job, section, others[i].selector, others[i].selected);
}

static void join(char *buffer, size_t size, const char *word)
{
    size_t used = strlen(buffer);
    snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", word);
}

static void join_words(const rmp_job_word *words, unsigned selected, char *buffer, size_t size)
{
    buffer[0] = '\0';
    for (const rmp_job_word *w = words; w->name != NULL; w++) {
        if ((selected >> w->value & 1u) != 0) join(buffer, size, w->name);
    }
}

const rmp_job_key *rmp_job_key_decider(const rmp_job *job, const rmp_job_section *section, const rmp_job_key *key,
                                       char *belongs, size_t size)
{
    const rmp_job_key *selector = rmp_job_key_find(section, key->selector);
    if (!rmp_job_key_applies(job, section, selector)) {
        const int i = other_of(section, key);
        if (i < 0) return rmp_job_key_decider(job, section, selector, belongs, size);
        selector = rmp_job_key_find(section, others[i].selector);
        join_words(selector->words, others[i].selected, belongs, size);
        return selector;
    }
    join_words(selector->words, key->selected, belongs, size);
    return selector;
}

void rmp_job_key_accepts(const rmp_job_key *key, char *buffer, size_t size)
{
    char words[256];
    switch (key->type) {
    case RMP_JOB_PATH:
        snprintf(buffer, size, "a path");
        break;
    case RMP_JOB_MODEL:
        snprintf(buffer, size, "a weight file, formula:CONFIG.json, or the name of a shipped model");
        break;
    case RMP_JOB_PARTS:
        snprintf(buffer, size, "operators in their order, such as gaussian_blur(kernel_size=9, std=2), grayscale");
        break;
    case RMP_JOB_WORD:
        join_words(key->words, ~0u, words, sizeof words);
        snprintf(buffer, size, "one of %s", words);
        break;
    case RMP_JOB_FLAG:
        snprintf(buffer, size, "true or false");
        break;
    case RMP_JOB_INTEGER:
        snprintf(buffer, size, "an integer from %.0f to %.0f", key->lo, key->hi);
        break;
    case RMP_JOB_ODD:
        snprintf(buffer, size, "an odd integer from %.0f to %.0f", key->lo, key->hi);
        break;
    case RMP_JOB_SEED:
        snprintf(buffer, size, "an integer from 0 to 18446744073709551615");
        break;
    case RMP_JOB_NUMBER:
        snprintf(buffer, size, "a number from %g to %g", key->lo, key->hi);
        break;
    case RMP_JOB_CHOSEN:
        snprintf(buffer, size, "auto or a number from %g to %g", key->lo, key->hi);
        break;
    case RMP_JOB_COUNT:
        snprintf(buffer, size, "auto or an integer from %.0f to %.0f", key->lo, key->hi);
        break;
    case RMP_JOB_SIZE:
        snprintf(buffer, size, "auto or a size of at least 1MiB such as 512MiB or 4GiB");
        break;
    case RMP_JOB_PAIR:
        snprintf(buffer, size, "[height, width], integers from %.0f to %.0f", key->lo, key->hi);
        break;
    case RMP_JOB_RANGE:
        snprintf(buffer, size, "one of [-1,1], [0,1], [0,255]");
        break;
    }
}

static bool parse_integer(const char *text, double lo, double hi, int64_t *out, const char **rest)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno != 0 || (double)value < lo || (double)value > hi) return false;
    *out = (int64_t)value;
    *rest = end;
    return true;
}

static bool parse_whole(const char *text, double lo, double hi, int64_t *out)
{
    const char *rest;
    if (text[0] == ' ' || !parse_integer(text, lo, hi, out, &rest)) return false;
    return *rest == '\0';
}

static bool parse_seed(const char *text, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0') return false;
    *out = (uint64_t)value;
    return true;
}

static bool parse_number(const char *text, double lo, double hi, double *out)
{
    char *end;
    /* strtod also takes hexadecimal, nan and infinity, which nobody means in a job file. */
    if (text[strspn(text, "0123456789+-.eE")] != '\0') return false;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= lo && value <= hi)) return false;
    *out = value;
    return true;
}

static const struct {
    const char *name;
    int shift;
} units[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}};

static bool parse_size(const char *text, int64_t *out)
{
    char number[32];
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    double value;
    if (!parse_number(number, 0, 1e15, &value)) return false;
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) != 0 && !(units[i].shift == 0 && unit[0] == '\0')) continue;
        value = ldexp(value, units[i].shift);
        if (value < 1048576.0 || value > 1e15) return false;
        *out = (int64_t)value;
        return true;
    }
    return false;
}

static const char *skip_spaces(const char *text) { return text + strspn(text, " "); }

static bool parse_pair(const char *text, double lo, double hi, int64_t out[2])
{
    const char *p = skip_spaces(text);
    if (*p++ != '[' || !parse_integer(p, lo, hi, &out[0], &p)) return false;
    p = skip_spaces(p);
    if (*p++ != ',' || !parse_integer(p, lo, hi, &out[1], &p)) return false;
    p = skip_spaces(p);
    return *p == ']' && *skip_spaces(p + 1) == '\0';
}

static bool parse_range(const char *text, double out[2])
{
    static const int64_t ranges[3][2] = {{-1, 1}, {0, 1}, {0, 255}};
    int64_t pair[2];
    if (!parse_pair(text, -1, 255, pair)) return false;
    for (int i = 0; i < 3; i++) {
        if (pair[0] != ranges[i][0] || pair[1] != ranges[i][1]) continue;
        out[0] = (double)pair[0];
        out[1] = (double)pair[1];
        return true;
    }
    return false;
}

static bool parse_word(const rmp_job_word *words, const char *text, unsigned *out)
{
    for (const rmp_job_word *w = words; w->name != NULL; w++) {
        if (strcmp(text, w->name) != 0) continue;
        *out = w->value;
        return true;
    }
    return false;
}

bool rmp_job_key_parse(rmp_job *job, const rmp_job_key *key, const char *text, bool *memory)
{
    static const rmp_job_word flags[] = {{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0}, {NULL, 0}};
    void *to = (char *)job + key->offset;
    unsigned word;
    char *copy;
    *memory = false;
    switch (key->type) {
    case RMP_JOB_PATH:
    case RMP_JOB_MODEL:
    case RMP_JOB_PARTS:
        if (text[0] == '\0') return false;
        copy = strdup(text);
        if (copy == NULL) {
            *memory = true;
            return false;
        }
        free(*rmp_job_key_string(job, key));
        *rmp_job_key_string(job, key) = copy;
        return true;
    case RMP_JOB_WORD:
        if (!parse_word(key->words, text, &word)) return false;
        memcpy(to, &word, sizeof word);
        return true;
    case RMP_JOB_FLAG:
        if (!parse_word(flags, text, &word)) return false;
        *(bool *)to = word != 0;
        return true;
    case RMP_JOB_INTEGER:
        return parse_whole(text, key->lo, key->hi, to);
    case RMP_JOB_ODD:
        return parse_whole(text, key->lo, key->hi, to) && *(int64_t *)to % 2 == 1;
    case RMP_JOB_SEED:
        return parse_seed(text, to);
    case RMP_JOB_NUMBER:
        return parse_number(text, key->lo, key->hi, to);
    case RMP_JOB_CHOSEN:
        if (strcmp(text, "auto") != 0) return parse_number(text, key->lo, key->hi, to);
        *(double *)to = -1;
        return true;
    case RMP_JOB_COUNT:
    case RMP_JOB_SIZE:
        if (strcmp(text, "auto") == 0) {
            *(int64_t *)to = 0;
            return true;
        }
        return key->type == RMP_JOB_COUNT ? parse_whole(text, key->lo, key->hi, to) : parse_size(text, to);
    case RMP_JOB_PAIR:
        return parse_pair(text, key->lo, key->hi, to);
    case RMP_JOB_RANGE:
        return parse_range(text, to);
    }
    return false;
}

/* A double-quoted YAML scalar. Bytes from 0x80 up are UTF-8 and stay. */
char *rmp_job_key_quote(const char *text)
{
    char *out = malloc(4 * strlen(text) + 3), *p = out;
    if (out == NULL) return NULL;
    *p++ = '"';
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') *p++ = '\\';
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            p += sprintf(p, "\\x%02X", (unsigned)(unsigned char)*c);
        } else {
            *p++ = *c;
        }
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* The shortest decimal (of six digits or more) that reads back as the same double. */
static void number_text(double value, char *buffer, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buffer, size, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) return;
    }
}

static void size_text(int64_t bytes, char *buffer, size_t size)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (bytes % ((int64_t)1 << units[i].shift) != 0) continue;
        snprintf(buffer, size, "%lld%s", (long long)(bytes >> units[i].shift), units[i].name);
        return;
    }
}

static const char *word_name(const rmp_job_word *words, unsigned value)
{
    for (const rmp_job_word *w = words; w->name != NULL; w++) {
        if (w->value == value) return w->name;
    }
    return "";
}

char *rmp_job_key_text(const rmp_job *job, const rmp_job_key *key)
{
    char buffer[64] = "";
    const void *from = place(job, key);
    const int64_t *integer = from;
    const double *number = from;
    switch (key->type) {
    case RMP_JOB_PATH:
    case RMP_JOB_MODEL:
    case RMP_JOB_PARTS:
        return rmp_job_key_quote(*(char *const *)from);
    case RMP_JOB_WORD:
        snprintf(buffer, sizeof buffer, "%s", word_name(key->words, rmp_job_key_word(job, key)));
        break;
    case RMP_JOB_FLAG:
        snprintf(buffer, sizeof buffer, "%s", *(const bool *)from ? "true" : "false");
        break;
    case RMP_JOB_SEED:
        snprintf(buffer, sizeof buffer, "%llu", (unsigned long long)*(const uint64_t *)from);
        break;
    case RMP_JOB_INTEGER:
    case RMP_JOB_ODD:
        snprintf(buffer, sizeof buffer, "%lld", (long long)integer[0]);
        break;
    case RMP_JOB_NUMBER:
    case RMP_JOB_CHOSEN:
        if (number[0] < 0) {
            snprintf(buffer, sizeof buffer, "auto");
        } else {
            number_text(number[0], buffer, sizeof buffer);
        }
        break;
    case RMP_JOB_COUNT:
    case RMP_JOB_SIZE:
        if (integer[0] == 0) {
            snprintf(buffer, sizeof buffer, "auto");
        } else if (key->type == RMP_JOB_COUNT) {
            snprintf(buffer, sizeof buffer, "%lld", (long long)integer[0]);
        } else {
            size_text(integer[0], buffer, sizeof buffer);
        }
        break;
    case RMP_JOB_PAIR:
        snprintf(buffer, sizeof buffer, "[%lld, %lld]", (long long)integer[0], (long long)integer[1]);
        break;
    case RMP_JOB_RANGE:
        snprintf(buffer, sizeof buffer, "\"[%.0f,%.0f]\"", number[0], number[1]);
        break;
    }
    return strdup(buffer);
}
