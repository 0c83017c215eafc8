#include "io/job.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char good[] = "input:\n"            /* 1 */
                           "  images: photos/\n" /* 2 */
                           "prior:\n"            /* 3 */
                           "  model: photo64\n"  /* 4 */
                           "operator:\n"         /* 5 */
                           "  kind: super_resolution\n"
                           "  factor: 4\n" /* 7 */
                           "noise:\n"
                           "  kind: gaussian\n"
                           "  sigma: 0.05\n" /* 10 */
                           "  range: [0, 1]\n"
                           "solver:\n"
                           "  T: 20\n" /* 13 */
                           "output:\n"
                           "  dir: out\n"; /* 15 */

static const char truth[] = "input: {tensors: problem.safetensors}\n"
                            "prior: {kind: gaussian, file: prior.safetensors}\n"
                            "operator: {kind: matrix, file: a.safetensors}\n"
                            "noise: {sigma: 0.1}\n"
                            "output: {dir: out}\n";

/* `text` with the first `from` replaced by `to`; owned by the caller. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    cr_assert(at != NULL, "the test looks for '%s'", from);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void refuses(const char *text, const char *mention)
{
    rmp_job *job = NULL;
    rmp_fail_clear();
    rmp_status status = rmp_job_parse(text, strlen(text), "t.yaml", &job);
    cr_assert_eq(status, RMP_ERR_CONFIG, "accepted, or another error than '%s': %s", mention, rmp_fail_message());
    cr_assert(job == NULL);
    cr_assert(strstr(rmp_fail_message(), mention) != NULL, "'%s' does not mention '%s'", rmp_fail_message(), mention);
}

static void refuses_change(const char *text, const char *from, const char *to, const char *mention)
{
    char *changed = replaced(text, from, to);
    refuses(changed, mention);
    free(changed);
}

static rmp_job *accepts(const char *text)
{
    rmp_job *job = NULL;
    cr_assert_eq(rmp_job_parse(text, strlen(text), "t.yaml", &job), RMP_OK, "%s", rmp_fail_message());
    return job;
}

Test(job, values_and_defaults)
{
    rmp_job *job = accepts(good);
    cr_assert_eq(job->op.config.kind, RMP_OPERATOR_SUPER_RESOLUTION);
    cr_assert_eq(job->op.config.factor, 4);
    cr_assert_eq(job->op.config.reduction, RMP_REDUCTION_BICUBIC);
    cr_assert_eq(job->solver.T, 20);
    cr_assert_eq(job->device, RMP_DEVICE_AUTO);
    cr_assert_eq(job->batch, 0);
    cr_assert_eq(job->output.format, RMP_PNG8);
    cr_assert_str_eq(job->prior.model, "photo64"); /* a shipped name is no path */
    cr_assert_eq(job->input.images[0], '/');
    cr_assert_eq(job->output.dir[0], '/');
    /* Stated on [0, 1]: twice as much on [-1, 1]. */
    cr_assert_float_eq(rmp_job_noise(job).sigma, 0.1, 1e-15);
    rmp_job_free(&job);
    cr_assert(job == NULL);
}

Test(job, unknown_keys_are_named_with_line_and_accepted_ones)
{
    refuses_change(good, "factor", "fator", "t.yaml:7: operator.fator: unknown key (accepted here: kind, factor");
    refuses_change(good, "noise:", "noises:", "t.yaml:8: noises: unknown key");
    refuses_change(good, "output:", "sead: 3\noutput:", "sead: unknown key (accepted here: seed");
}

Test(job, missing_keys)
{
    refuses_change(good, "  dir: out\n", "  format: png8\n", "output.dir: missing");
    refuses_change(truth, "tensors: problem.safetensors", "", "input.images: missing");
    refuses_change(good, "  sigma: 0.05\n", "", "noise.sigma: missing");
    refuses_change(good, "  kind: super_resolution\n", "", "operator.kind: missing");
    refuses_change(good, "  model: photo64\n", "  kind: network\n", "prior.model: missing");
    refuses_change(truth, ", file: a.safetensors", "", "operator.file: missing");
    refuses_change(truth, ", file: prior.safetensors", "", "prior.file: missing");
    refuses("", "empty");
    refuses("# nothing\n", "empty");
}

Test(job, wrong_types)
{
    refuses_change(good, "T: 20", "T: 20.5", "t.yaml:13: solver.T: '20.5' is not accepted; give an integer from 1");
    refuses_change(good, "T: 20", "T: many", "solver.T: 'many'");
    refuses_change(good, "T: 20", "T: [20]", "t.yaml:13: solver.T: must be an integer");
    refuses_change(good, "T: 20", "T: {a: 1}", "t.yaml:13: solver.T: must be an integer");
    refuses_change(good, "T: 20", "T:", "solver.T: ''");
    refuses_change(good, "0.05", "0.05x", "t.yaml:10: noise.sigma: '0.05x'");
    refuses_change(good, "0.05", ".inf", "noise.sigma");
    refuses_change(good, "0.05", "nan", "noise.sigma");
    refuses_change(good, "super_resolution", "superresolution",
                   "operator.kind: 'superresolution' is not accepted; give "
                   "one of super_resolution, gaussian_blur");
    refuses_change(good, "output:\n  dir: out\n", "output: out\n", "t.yaml:14: output: must hold keys");
    refuses_change(good, "output:\n", "output:\n  measurements: maybe\n", "true or false");
    refuses_change(good, "output:\n", "seed: -1\noutput:\n", "seed: '-1'");
    refuses("- 1\n", "mapping");
    refuses("just words\n", "mapping");
}

Test(job, out_of_range)
{
    refuses_change(good, "T: 20", "T: 0", "from 1 to 100000");
    refuses_change(good, "0.05", "-0.05", "noise.sigma: '-0.05'");
    refuses_change(good, "[0, 1]", "[0, 2]",
                   "noise.range: '[0,2]' is not accepted; give one of [-1,1], [0,1], [0,255]");
    refuses_change(good, "output:", "batch: 0\noutput:", "batch: '0'");
    refuses_change(good, "output:", "memory: 4GB\noutput:", "memory: '4GB'");
    refuses_change(good, "output:", "seed: 18446744073709551616\noutput:", "seed");
    refuses_change(good, "  T: 20", "  sigma_min: 5\n  sigma_max: 4", "solver.sigma_max: must be greater");
}

Test(job, contradictions)
{
    refuses_change(good, "  images: photos/\n", "  images: photos/\n  tensors: x.safetensors\n", "exclude each other");
    refuses_change(
        good, "super_resolution", "denoise",
        "t.yaml:7: operator.factor: does not apply to operator.kind denoise (it belongs to super_resolution)");
    refuses_change(good, "  T: 20", "  zeta: 1", "solver.zeta: does not apply to solver.likelihood moment");
    refuses_change(good, "  model: photo64", "  model: photo64\n  file: x", "prior.file: does not apply");
    refuses_change(good, "  kind: gaussian\n", "  kind: none\n", "noise.sigma: does not apply");
    refuses_change(truth, "tensors: problem.safetensors", "images: photos", "input.images");
    refuses_change(truth, "matrix, file: a.safetensors", "inpaint_random", "operator.kind");
    refuses_change(truth, "dir: out", "dir: out, measurements: true", "output.measurements");
}

/* Keys of RMP mean nothing to other solvers, whose defaults are their own. */
Test(job, other_solvers)
{
    static const struct {
        const char *solver, *text;
    } cases[] = {{"kind: dps", "solver:\n  kind: dps\n  T: 1000\n  zeta: 0.3\nseed"},
                 {"kind: dps, T: 20, zeta: 2", "solver:\n  kind: dps\n  T: 20\n  zeta: 2\nseed"},
                 {"kind: dps_mean, zeta: auto", "kind: dps_mean\n  T: 1000\n  zeta: 0.3\n  samples: 4\nseed"},
                 {"kind: mcg", "solver:\n  kind: mcg\n  T: 1000\n  mcg_variant: published\nseed"},
                 {"kind: ddrm", "solver:\n  kind: ddrm\n  T: 20\n  eta: 0.85\n  eta_b: 1\nseed"},
                 {"kind: red_diff", "solver:\n  kind: red_diff\n  T: 1000\n  lambda: 0.25\n  lr: 0.1\nseed"},
                 {"kind: diffpir", "solver:\n  kind: diffpir\n  T: 100\n  lambda: 7\n  fresh_noise: 0.3\nseed"},
                 {"kind: daps", "solver:\n  kind: daps\n  T: 200\n  sigma_min: 0.1\n  sigma_max: 100\n  lr: 0.0001\n"
                                "  ode_steps: 5\n  langevin_steps: 100\n  tau: 0.01\nseed"},
                 {"likelihood: dps", "  zeta: auto\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128], *changed, *text;
        snprintf(line, sizeof line, "solver: {%s}\n", cases[i].solver);
        changed = replaced(good, "solver:\n  T: 20\n", line);
        rmp_job *job = accepts(changed);
        cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
        cr_assert(strstr(text, cases[i].text) != NULL, "%s", text);
        rmp_job_free(&job);
        free(changed);
        free(text);
    }
    char *inpainting = replaced(good, "super_resolution\n  factor: 4", "inpaint_random");
    char *dps = replaced(inpainting, "  T: 20", "  kind: dps");
    rmp_job *job = accepts(dps);
    cr_assert_float_eq(job->solver.zeta, 0.5, 1e-15);
    rmp_job_free(&job);
    free(dps);
    char *diffpir = replaced(inpainting, "  T: 20", "  kind: diffpir");
    job = accepts(diffpir);
    cr_assert_float_eq(job->solver.regularization, 1, 1e-15);
    cr_assert_float_eq(job->solver.fresh_noise, 1, 1e-15);
    rmp_job_free(&job);
    free(diffpir);
    free(inpainting);
    refuses_change(good, "  T: 20", "  kind: dps\n  T_in: 2",
                   "solver.T_in: does not apply to solver.kind dps (it belongs");
    refuses_change(good, "  T: 20", "  kind: dps\n  cg_iterations: 2",
                   "solver.cg_iterations: does not apply to solver.kind dps (it belongs to ve_rmp, vp_rmp)");
    refuses_change(good, "  T: 20", "  kind: mcg\n  zeta: 2",
                   "solver.zeta: does not apply to solver.kind mcg (it belongs to dps, dps_mean)");
    refuses_change(good, "  T: 20", "  mcg_variant: published",
                   "solver.mcg_variant: does not apply to solver.kind ve_rmp");
    refuses_change(good, "  T: 20", "  kind: mcg\n  mcg_variant: best", "give one of published, dps_repo");
    refuses_change(good, "  T: 20", "  kind: daps\n  lambda: 2", "solver.lambda: does not apply to solver.kind daps");
    refuses_change(good, "  T: 20", "  kind: daps\n  sigma_max: 0.01", "solver.sigma_max: must be greater");
    char *motion = replaced(good, "super_resolution\n  factor: 4", "motion_blur");
    refuses_change(motion, "  T: 20", "  kind: ddrm", "t.yaml:12: solver.kind: ddrm needs the singular values");
    refuses_change(good, "  T: 20", "  kind: mcg\n  mcg_variant: dps_repo",
                   "t.yaml:14: solver.mcg_variant: dps_repo adds images and measurements");
    free(motion);
    refuses_change(good, "  T: 20", "  kind: dps\n  zeta: -1", "give auto or a number from 0");
    refuses_change(good,
                   "super_resolution\n  factor: 4\nnoise:\n  kind: gaussian\n  sigma: 0.05\n  range: [0, 1]\nsolver:\n"
                   "  T: 20",
                   "nonlinear_blur\n  network: k.json\nnoise:\n  sigma: 0.05\nsolver:\n  kind: mcg",
                   "solver.kind: mcg projects");
}

Test(job, broken_yaml)
{
    refuses_change(good, "factor: 4", "factor: \"4", "not YAML");
    refuses_change(good, "  factor: 4\n", "  factor: 4\n  factor: 8\n", "operator.factor: given twice");
    refuses_change(good, "  factor: 4", "\tfactor: 4", "t.yaml:7: not YAML");
}

Test(job, text_reads_back_as_the_same_job)
{
    static const char more[] = "input: {images: \"a \\\"b\\\" \\\\ ü\"}\n"
                               "prior: {model: \"formula:net.json\"}\n"
                               "operator: {kind: inpaint_box, box: \"[ 48, 32 ]\", margin: 3}\n"
                               "noise: {sigma: 0.1, range: \"[0,255]\"}\n"
                               "solver: {kind: vp_rmp, likelihood: dps, T: 400, s1: 0.30000000000000004}\n"
                               "seed: 18446744073709551615\nbatch: 5\nmemory: 1.5GiB\ntimeout: 33.25\n"
                               "precision: bf16\ndevice: reference\n"
                               "output: {dir: /x/../y/./z, format: tiff32f, measurements: yes, writer: ranks}\n";
    const char *const jobs[] = {good, truth, more};
    for (int i = 0; i < 3; i++) {
        rmp_job *first = accepts(jobs[i]), *second;
        char *text, *again;
        cr_assert_eq(rmp_job_text(first, &text), RMP_OK);
        second = accepts(text);
        cr_assert_eq(rmp_job_text(second, &again), RMP_OK);
        cr_assert_str_eq(text, again);
        if (i == 2) {
            cr_assert(strstr(text, "dir: \"/y/z\"\n") != NULL);
            cr_assert(strstr(text, "memory: 1536MiB\n") != NULL);
            cr_assert(strstr(text, "s1: 0.30000000000000004\n") != NULL);
            cr_assert(strstr(text, "box: [48, 32]\n") != NULL);
            cr_assert_eq(second->seed, UINT64_MAX);
            cr_assert_eq(second->output.writer, RMP_WRITER_RANKS);
            cr_assert_eq(strncmp(second->prior.model, "formula:/", 9), 0);
        }
        free(text);
        free(again);
        rmp_job_free(&first);
        rmp_job_free(&second);
    }
}

static const char *write_job(const char *text)
{
    static char path[64];
    strcpy(path, "/tmp/rmp-test-job-XXXXXX");
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static rmp_status read_with(const char *path, const char *override, rmp_job **job)
{
    char *list[1] = {(char *)(uintptr_t) override};
    rmp_fail_clear();
    return rmp_job_read(path, 1, list, job);
}

Test(job, overrides)
{
    const char *path = write_job(good);
    rmp_job *job;
    cr_assert_eq(read_with(path, "solver.T=7", &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(job->solver.T, 7);
    rmp_job_free(&job);
    cr_assert_eq(read_with(path, "seed=9", &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(job->seed, 9);
    rmp_job_free(&job);
    cr_assert_eq(read_with(path, "noise.range=[0,255]", &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(job->noise.range[1], 255);
    rmp_job_free(&job);
    cr_assert_eq(read_with(path, "operator.factor=null", &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(job->op.config.factor, 4); /* the default */
    rmp_job_free(&job);
    /* Paths in the file start at its folder, paths of overrides at the current one. */
    cr_assert_eq(read_with(path, "output.dir=here", &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(strncmp(job->input.images, "/tmp/photos", 11), 0, "%s", job->input.images);
    char *current = realpath(".", NULL);
    cr_assert_eq(strncmp(job->output.dir, current, strlen(current)), 0);
    free(current);
    rmp_job_free(&job);
    remove(path);
}

Test(job, overrides_are_checked_like_the_file)
{
    const char *path = write_job(good);
    static const char *const bad[][2] = {
        {"solver.T=0", "--set solver.T=0: solver.T: '0' is not accepted"},
        {"solver.Q=0", "there is no key solver.Q"},
        {"nothing", "expected key=value"},
        {"=3", "expected key=value"},
        {"solver.T=", "the value is empty"},
        {"solver.T={a: 1}", "takes one value"},
        {"solver.T=[1", "not YAML"},
        {"operator.std=2", "operator.std: does not apply"},
        {"solver=3", "there is no key solver"},
        {"a.b.c=3", "there is no key a.b.c"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rmp_job *job;
        cr_assert_eq(read_with(path, bad[i][0], &job), RMP_ERR_CONFIG, "%s", bad[i][0]);
        cr_assert(strstr(rmp_fail_message(), bad[i][1]) != NULL, "'%s' does not mention '%s'", rmp_fail_message(),
                  bad[i][1]);
    }
    /* factor of the file is super_resolution's: another kind was chosen after it was written */
    rmp_job *job;
    cr_assert_eq(read_with(path, "operator.kind=gaussian_blur", &job), RMP_OK, "%s", rmp_fail_message());
    char *text;
    cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
    cr_assert(strstr(text, "factor") == NULL);
    free(text);
    rmp_job_free(&job);
    remove(path);
}

Test(job, a_file_that_is_not_there_is_the_users_mistake)
{
    rmp_job *job;
    cr_assert_eq(rmp_job_read("/nonexistent/job.yaml", 0, NULL, &job), RMP_ERR_CONFIG);
    cr_assert(strstr(rmp_fail_message(), "/nonexistent/job.yaml") != NULL);
}

/* Bytes in the middle of a file that was cut or damaged may be anything: an error or a job, never a crash. */
Test(job, truncated_anywhere)
{
    char *text = strdup(good);
    for (size_t length = strlen(good); length-- > 0;) {
        rmp_job *job = NULL;
        text[length] = '\0';
        if (rmp_job_parse(text, length, "t.yaml", &job) == RMP_OK) rmp_job_free(&job);
    }
    free(text);
}

/* The resolved text of `good` with `from` replaced by `to` and `added` at its end; owned by the caller. */
static char *resolved(const char *from, const char *to, const char *added)
{
    char *changed = replaced(good, from, to), *whole = malloc(strlen(changed) + strlen(added) + 1), *text;
    sprintf(whole, "%s%s", changed, added);
    rmp_job *job = accepts(whole);
    cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
    rmp_job_free(&job);
    free(whole);
    free(changed);
    return text;
}

/* Results are continued only by a job that would have made the same bytes. */
Test(job, continued_only_with_keys_that_change_no_byte)
{
    static const struct {
        const char *from, *to, *added, *why; /* why NULL: may continue */
    } cases[] = {
        {"T: 20", "T: 20", "", NULL},
        {"dir: out", "dir: moved", "", NULL},
        {"dir: out", "dir: out", "timeout: 5\nmemory: 1GiB\nactivations: recompute\n", NULL},
        {"dir: out", "dir: out\n  writer: ranks", "", NULL},
        {"T: 20", "T: 30", "", "solver.T was 20 and is now 30"},
        {"dir: out", "dir: out", "seed: 3\n", "seed was 0 and is now 3"},
        {"dir: out", "dir: out", "batch: 2\n", "batch was auto and is now 2"},
        {"dir: out", "dir: out", "device: cpu\n", "device was auto and is now cpu"},
        {"dir: out", "dir: out", "precision: bf16\n", "precision was fp32 and is now bf16"},
        {"dir: out", "dir: out\n  format: png16", "", "output.format was png8 and is now png16"},
        {"dir: out", "dir: out\n  measurements: true", "", "output.measurements was false and is now true"},
        {"super_resolution\n  factor: 4", "motion_blur", "",
         "operator.kind was super_resolution and is now motion_blur"},
        {"photos/", "others/", "", "others"},
    };
    char why[512], *before = resolved("T: 20", "T: 20", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *now = resolved(cases[i].from, cases[i].to, cases[i].added);
        const bool may = rmp_job_may_continue(before, now, why, sizeof why);
        cr_assert_eq(may, cases[i].why == NULL, "%s %s: %s", cases[i].to, cases[i].added, may ? "accepted" : why);
        if (!may) cr_assert(strstr(why, cases[i].why) != NULL, "'%s' is not '%s'", why, cases[i].why);
        free(now);
    }
    free(before);
    /* An optional key that is there in one of them only. */
    static const char blur[] = "super_resolution\n  factor: 4";
    char *drawn = resolved(blur, "motion_blur", ""), *given = resolved(blur, "motion_blur\n  kernel_image: k.png", "");
    cr_assert(!rmp_job_may_continue(drawn, given, why, sizeof why));
    cr_assert(strstr(why, "operator.kernel_image was not given and is now ") != NULL, "%s", why);
    cr_assert(!rmp_job_may_continue(given, drawn, why, sizeof why));
    cr_assert(strstr(why, "operator.kernel_image was ") != NULL && strstr(why, "is not given now") != NULL, "%s", why);
    free(drawn);
    free(given);
}

Test(job, metrics_are_written_where_they_are_asked_for)
{
    char *text, *again, *asked;
    rmp_job *job = accepts(good);
    cr_assert(job->metrics.lpips == NULL && job->metrics.fid == NULL && job->metrics.fid_reference == NULL);
    cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
    cr_assert(strstr(text, "metrics") == NULL, "%s", text);
    rmp_job_free(&job);
    asked = replaced(good, "output:\n",
                     "metrics:\n  lpips: w/alex.safetensors\n  fid: formula:inception.json\n"
                     "  fid_reference: ffhq.npz\noutput:\n");
    job = accepts(asked);
    cr_assert(strstr(job->metrics.lpips, "/w/alex.safetensors") != NULL && job->metrics.lpips[0] == '/');
    cr_assert(strncmp(job->metrics.fid, "formula:/", 9) == 0, "%s", job->metrics.fid);
    free(text);
    cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
    rmp_job_free(&job);
    job = accepts(text);
    cr_assert_eq(rmp_job_text(job, &again), RMP_OK);
    cr_assert_str_eq(again, text);
    char why[512];
    rmp_job_free(&job);
    job = accepts(good);
    free(again);
    cr_assert_eq(rmp_job_text(job, &again), RMP_OK);
    cr_assert(!rmp_job_may_continue(again, text, why, sizeof why), "scores that are missing would never come");
    cr_assert(strstr(why, "metrics.lpips was not given") != NULL, "%s", why);
    rmp_job_free(&job);
    free(text);
    free(again);
    free(asked);
}

Test(job, metrics_that_make_no_sense)
{
    refuses_change(good, "output:\n", "metrics:\n  fid_reference: a.npz\noutput:\n",
                   "metrics.fid_reference: is of no use");
    refuses_change(good, "output:\n", "metrics:\n  lpips: [a, b]\noutput:\n", "metrics.lpips: must be");
    refuses_change(good, "output:\n", "metrics:\n  fidd: a\noutput:\n", "metrics.fidd: unknown key");
    refuses_change(truth, "output:", "metrics: {lpips: a.safetensors}\noutput:", "metrics.lpips: scores pictures");
    refuses_change(truth, "output:", "metrics: {fid: a.safetensors}\noutput:", "metrics.fid: scores pictures");
}

/* What a key is where it is not given depends on whether the network is evaluated at draws around the mean. */
Test(job, defaults_with_and_without_draws)
{
    static const char head[] =
        "operator: {kind: matrix, file: m.safetensors}\nnoise: {sigma: 0.05}\noutput: {dir: out}\n"
        "input: {tensors: t.safetensors}\nprior: {kind: gaussian, file: p.safetensors}\n";
    static const struct {
        const char *text;
        bool draws;
    } cases[] = {{"", false}, {"solver: {spread: marginal}\n", true}, {"solver: {spread: none}\n", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        rmp_job *job;
        snprintf(text, sizeof text, "%s%s", head, cases[i].text);
        cr_assert_eq(rmp_job_parse(text, strlen(text), "job.yaml", &job), RMP_OK, "%s", rmp_fail_message());
        const rmp_solver_config *c = &job->solver;
        cr_assert_eq(c->cg_iterations, cases[i].draws ? 1 : 12);
        cr_assert_eq(c->cg_warm, !cases[i].draws);
        cr_assert_float_eq(c->s1, cases[i].draws ? 1.2 : 1.0, 1e-15);
        cr_assert_eq(c->final, cases[i].draws ? RMP_FINAL_MEAN : RMP_FINAL_DENOISE);
        rmp_job_free(&job);
    }
}
