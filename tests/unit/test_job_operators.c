/* Operators in job files: parts of a composition, what goes together, what is chosen where nothing is said. */
#include "io/job.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char frame[] = "input: {images: photos/}\n"
                            "prior: {model: photo64}\n"
                            "operator: {%s}\n"
                            "noise: {%s}\n"
                            "solver: {%s}\n"
                            "output: {dir: out}\n";

static rmp_status parse(const char *operator, const char * noise, const char *solver, rmp_job **out)
{
    char text[1024];
    snprintf(text, sizeof text, frame, operator, noise, solver);
    rmp_fail_clear();
    return rmp_job_parse(text, strlen(text), "t.yaml", out);
}

static rmp_job *accepts(const char *operator, const char * noise, const char *solver)
{
    rmp_job *job = NULL;
    cr_assert_eq(parse(operator, noise, solver, &job), RMP_OK, "%s", rmp_fail_message());
    return job;
}

static void refuses(const char *operator, const char * noise, const char *solver, const char *mention)
{
    rmp_job *job = NULL;
    cr_assert_eq(parse(operator, noise, solver, &job), RMP_ERR_CONFIG, "accepted, without '%s'", mention);
    cr_assert(job == NULL);
    cr_assert(strstr(rmp_fail_message(), mention) != NULL, "'%s' does not mention '%s'", rmp_fail_message(), mention);
}

static void refuses_parts(const char *parts, const char *mention)
{
    char operator[512];
    snprintf(operator, sizeof operator, "kind: compose, parts: \"%s\"", parts);
    refuses(operator, "kind: none", "T: 20", mention);
}

/* Every default is written out, and the text gives the same job. */
Test(job_operators, parts)
{
    rmp_job *job = accepts("kind: compose, parts: \" gaussian_blur( std = 2 ,kernel_size=9), super_resolution, "
                           "inpaint_box(box=[8, 6],margin=1)\"",
                           "kind: none", "T: 20");
    const rmp_operator_config *c = &job->op.config;
    cr_assert_str_eq(job->op.parts, "gaussian_blur(kernel_size=9, std=2), super_resolution(factor=4, kernel=bicubic), "
                                    "inpaint_box(box=[8, 6], margin=1)");
    cr_assert(c->kind == RMP_OPERATOR_COMPOSE && c->parts == 3 && c->part == job->op.part);
    cr_assert(c->part[0].kind == RMP_OPERATOR_GAUSSIAN_BLUR && c->part[0].kernel_size == 9);
    cr_assert_float_eq(c->part[0].kernel_std, 2.0, 0.0);
    cr_assert(c->part[1].kind == RMP_OPERATOR_SUPER_RESOLUTION && c->part[1].factor == 4);
    cr_assert(c->part[2].box_h == 8 && c->part[2].box_w == 6 && c->part[2].margin == 1);
    cr_assert_eq(job->solver.likelihood, RMP_LIKELIHOOD_MOMENT);
    char *text = NULL, *again = NULL;
    rmp_job *second = NULL;
    cr_assert_eq(rmp_job_text(job, &text), RMP_OK);
    cr_assert_eq(rmp_job_parse(text, strlen(text), "t.yaml", &second), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(rmp_job_text(second, &again), RMP_OK);
    cr_assert_str_eq(text, again);
    free(text);
    free(again);
    rmp_job_free(&job);
    rmp_job_free(&second);
}

Test(job_operators, parts_that_are_refused)
{
    refuses_parts("hdr(x=2)", "part 1 (hdr): it has no key x; its keys here: none");
    refuses_parts("grayscale, gaussian_blur(std=0)", "part 2 (gaussian_blur): std: '0' is not accepted; give a number");
    refuses_parts("gaussian_blur(std 2)", "part 1 (gaussian_blur): std is followed by no =");
    refuses_parts("gaussian_blur(std=)", "part 1 (gaussian_blur): std has no value");
    refuses_parts("gaussian_blur(kind=hdr)", "has no key kind");
    refuses_parts("gaussian_blur(std=2", "a closing bracket is expected at ''");
    refuses_parts("gaussian_blur grayscale", "a comma is expected at 'grayscale'");
    refuses_parts("blur", "part 1: 'blur' is not accepted; give one of super_resolution");
    refuses_parts("hdr,", "part 2: a name is expected at ''");
    refuses_parts("motion_blur(kernel_image=a.png)", "its keys here: kernel_size, intensity");
    refuses_parts("hdr,hdr,hdr,hdr,hdr,hdr,hdr,hdr,hdr", "more than 8 parts");
    refuses_parts("compose", "part 1 (compose) cannot be a part");
    refuses_parts("matrix", "part 1 (matrix) cannot be a part");
    refuses_parts("inpaint_random, super_resolution", "part 1 (inpaint_random) has a mask, which only the last");
    refuses("kind: compose", "kind: none", "T: 20", "operator.parts: missing");
    refuses("kind: hdr, parts: hdr", "kind: none", "T: 20", "operator.parts: does not apply to operator.kind hdr");
    refuses("kind: compose, parts: hdr, mask: m.png", "kind: none", "T: 20", "operator.mask: no part takes it");
    rmp_job *job = accepts("kind: compose, parts: 'hdr, inpaint_mask', mask: m.png", "kind: none", "T: 20");
    cr_assert(job->op.mask_file != NULL);
    rmp_job_free(&job);
}

/* What is not linear gets the one likelihood that takes it, unless another is asked for, which is refused. */
Test(job_operators, likelihood)
{
    static const char *const kinds[] = {"kind: hdr", "kind: gamma, gamma: 0.5",
                                        "kind: phase_retrieval, oversampling: 1",
                                        "kind: compose, parts: 'grayscale, gamma(gamma=3)'"};
    for (int i = 0; i < 4; i++) {
        rmp_job *job = accepts(kinds[i], "sigma: 0.05", "T: 20");
        cr_assert_eq(job->solver.likelihood, RMP_LIKELIHOOD_DPS);
        cr_assert(job->solver.zeta < 0);
        rmp_job_free(&job);
        job = accepts(kinds[i], "sigma: 0.05", "kind: vp_rmp, likelihood: dps, zeta: 0.2");
        cr_assert_float_eq(job->solver.zeta, 0.2, 0.0);
        rmp_job_free(&job);
        job = accepts(kinds[i], "sigma: 0.05", "likelihood: none");
        rmp_job_free(&job);
        refuses(kinds[i], "sigma: 0.05", "likelihood: moment", "solver.likelihood: this solver");
        refuses(kinds[i], "sigma: 0.05", "likelihood: pigdm", "solver.likelihood: this solver");
        refuses(kinds[i], "sigma: 0.05", "kind: vp_rmp, likelihood: spectral", "solver.likelihood: this solver");
    }
    rmp_job *job = accepts("kind: grayscale", "sigma: 0.05", "T: 20");
    cr_assert_eq(job->solver.likelihood, RMP_LIKELIHOOD_MOMENT);
    rmp_job_free(&job);
}

Test(job_operators, poisson)
{
    rmp_job *job = accepts("kind: hdr", "kind: poisson", "T: 20");
    const rmp_noise noise = rmp_job_noise(job);
    cr_assert_eq(noise.kind, RMP_NOISE_POISSON);
    cr_assert_float_eq(noise.gain, 255.0, 0.0);
    rmp_job_free(&job);
    refuses("kind: hdr", "kind: poisson, gain: 0", "T: 20", "noise.gain: '0' is not accepted");
    refuses("kind: hdr", "kind: poisson, sigma: 0.1", "T: 20", "noise.sigma: does not apply to noise.kind poisson");
    refuses("kind: phase_retrieval", "kind: poisson", "T: 20", "noise.kind: poisson counts light");
    refuses("kind: compose, parts: 'phase_retrieval, super_resolution'", "kind: poisson", "T: 20",
            "noise.kind: poisson counts light");
    refuses("kind: gamma, gamma: 0.05", "kind: none", "T: 20", "operator.gamma: '0.05' is not accepted");
    refuses("kind: phase_retrieval, oversampling: -1", "kind: none", "T: 20", "operator.oversampling: '-1'");
}
