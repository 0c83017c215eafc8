#include "io/description.h"
#include "io/model.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"vp_linear", "linear", "scaled_linear", "vp_continuous", "ve", "edm", NULL};
typedef enum kind { VP_LINEAR, LINEAR, SCALED_LINEAR, VP_CONTINUOUS, VE, EDM } kind;

/* The keys of a kind; `labels` (ve) and `steps` are not among them. */
static rmp_status parse_key(const char *key, const json_t *value, kind k, rmp_description *d)
{
    rmp_schedule *s = &d->diffusion.schedule;
    const rmp_json_integer_key integers[] = {{NULL, 0, NULL}};
    const rmp_json_number_key betas[] = {{"beta_start", &d->beta[0]}, {"beta_end", &d->beta[1]}, {NULL, NULL}};
    const rmp_json_number_key rates[] = {{"beta_min", &s->beta_min}, {"beta_max", &s->beta_max}, {NULL, NULL}};
    const rmp_json_number_key levels[] = {{"sigma_min", &s->sigma_min}, {"sigma_max", &s->sigma_max}, {NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{NULL, NULL}};
    bool known = false, labels = false;
    if (strcmp(key, "kind") == 0) return RMP_OK;
    if (strcmp(key, "steps") == 0 && k != EDM) return rmp_json_integer(key, value, 2, RMP_MAX_SCHEDULE, &s->steps);
    if (strcmp(key, "labels") == 0 && k == VE) {
        RMP_TRY(rmp_json_boolean(key, value, &labels));
        s->kind = labels ? RMP_SCHEDULE_VE_LABELS : RMP_SCHEDULE_VE;
        return RMP_OK;
    }
    RMP_TRY(rmp_json_plain(key, value, integers,
                           k <= SCALED_LINEAR   ? betas
                           : k == VP_CONTINUOUS ? rates
                                                : levels,
                           booleans, &known));
    return known ? RMP_OK : rmp_json_unknown("schedule", key);
}

static rmp_status check_betas(const rmp_description *d)
{
    RMP_CHECK(d->beta[0] > 0.0 && d->beta[0] <= d->beta[1] && d->beta[1] < 1.0, RMP_ERR_FORMAT,
              "schedule: 0 < beta_start <= beta_end < 1 is needed");
    return RMP_OK;
}

rmp_status rmp_description_schedule(json_t *schedule, rmp_description *d)
{
    static const char *const common[] = {"kind", NULL};
    static const char *const discrete[] = {"kind", "beta_start", "beta_end", "steps", NULL};
    static const char *const levels[] = {"kind", "sigma_min", "sigma_max", NULL};
    rmp_schedule *s = &d->diffusion.schedule;
    int choice = 0;
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("schedule", schedule, common));
    RMP_TRY(rmp_json_word("schedule: kind", json_object_get(schedule, "kind"), kinds, &choice));
    const kind k = (kind)choice;
    if (k <= SCALED_LINEAR) {
        RMP_TRY(rmp_json_needed("schedule", schedule, discrete));
        s->kind = RMP_SCHEDULE_VP;
        d->spacing = k == SCALED_LINEAR ? RMP_BETA_SCALED_LINEAR : RMP_BETA_LINEAR;
    } else if (k == VP_CONTINUOUS) {
        *s = (rmp_schedule){
            .kind = RMP_SCHEDULE_VP_CONTINUOUS, .steps = RMP_SCHEDULE_STEPS, .beta_min = 0.1, .beta_max = 20.0};
    } else if (k == VE) {
        RMP_TRY(rmp_json_needed("schedule", schedule, levels));
        if (s->kind != RMP_SCHEDULE_VE_LABELS) s->kind = RMP_SCHEDULE_VE;
    } else { /* what Karras et al. trained on */
        *s = (rmp_schedule){.kind = RMP_SCHEDULE_EDM, .sigma_min = 0.002, .sigma_max = 80.0};
    }
    json_object_foreach(schedule, key, value) RMP_TRY(parse_key(key, value, k, d));
    return k <= SCALED_LINEAR ? check_betas(d) : RMP_OK;
}

rmp_status rmp_description_abar(const rmp_description *d, double **abar, int64_t *steps)
{
    const rmp_schedule *s = &d->diffusion.schedule;
    *steps = rmp_schedule_preserves_variance(s) ? s->steps : RMP_SCHEDULE_STEPS;
    *abar = malloc((size_t)*steps * sizeof **abar);
    RMP_CHECK(*abar, RMP_ERR_MEMORY, "no memory for a schedule");
    if (s->kind == RMP_SCHEDULE_VP_CONTINUOUS) return rmp_schedule_continuous(s->beta_min, s->beta_max, *steps, *abar);
    if (s->kind != RMP_SCHEDULE_VP) return rmp_schedule_default(*abar);
    if (d->spacing == RMP_BETA_SCALED_LINEAR) return rmp_schedule_scaled_linear(d->beta[0], d->beta[1], *steps, *abar);
    return rmp_schedule_linear(d->beta[0], d->beta[1], *steps, *abar);
}
