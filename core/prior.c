#include "core/prior.h"

static rmp_status check_images(const rmp_prior *prior, const rmp_field *a, const rmp_field *b)
{
    const rmp_space *space = prior->space;
    const rmp_field *field[2] = {a, b};
    RMP_CHECK(a != b, RMP_ERR_ARGUMENT, "a prior cannot work in place");
    for (int i = 0; i < 2; ++i) {
        const rmp_space *s = field[i]->space;
        RMP_CHECK(s->device == space->device && s->n == space->n && s->shape.h == space->shape.h &&
                      s->shape.w == space->shape.w && s->shape.c == space->shape.c,
                  RMP_ERR_ARGUMENT,
                  "the prior was prepared for %lld images of %lldx%lldx%lld, not for %lld of %lldx%lldx%lld",
                  (long long)space->n, (long long)space->shape.h, (long long)space->shape.w, (long long)space->shape.c,
                  (long long)s->n, (long long)s->shape.h, (long long)s->shape.w, (long long)s->shape.c);
    }
    return RMP_OK;
}

void rmp_prior_destroy(rmp_prior **prior)
{
    if (prior == NULL || *prior == NULL) return;
    (*prior)->ops->destroy(*prior);
    *prior = NULL;
}

rmp_status rmp_prior_denoise(rmp_prior *prior, const rmp_field *x, double s, rmp_field *out)
{
    RMP_TRY(check_images(prior, x, out));
    RMP_CHECK(s > 0.0, RMP_ERR_ARGUMENT, "denoising at noise level %g", s);
    prior->denoisings++;
    return prior->ops->denoise(prior, x, s, out);
}

rmp_status rmp_prior_vjp(rmp_prior *prior, const rmp_field *v, rmp_field *out)
{
    RMP_TRY(check_images(prior, v, out));
    RMP_CHECK(prior->denoisings > 0, RMP_ERR_ARGUMENT, "a prior's VJP before any denoising");
    prior->vjps++;
    return prior->ops->vjp(prior, v, out);
}

bool rmp_prior_has_likelihood(const rmp_prior *prior) { return prior->ops->likelihood_score != NULL; }

rmp_status rmp_prior_likelihood_score(rmp_prior *prior, rmp_operator *op, const rmp_field *x, double s,
                                      const rmp_field *y, double sigma, rmp_field *out)
{
    RMP_TRY(check_images(prior, x, out));
    RMP_CHECK(prior->ops->likelihood_score != NULL, RMP_ERR_ARGUMENT,
              "this prior does not know its likelihood score (only analytic priors do)");
    return prior->ops->likelihood_score(prior, op, x, s, y, sigma, out);
}
