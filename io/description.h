/* The JSON that says what network a weight file holds: architecture, the original's arguments, what it predicts, and
 * what it was trained on. Internal to io/model.c. */
#pragma once

#include "core/nets/adm.h"
#include "core/nets/kernel_wizard.h"
#include "core/nets/ncsnpp.h"
#include "core/nets/unet2d.h"
#include "core/prior_network.h"

#include <jansson.h>

typedef struct rmp_description rmp_description;

typedef struct rmp_architecture {
    const char *name;     /* in descriptions */
    const char *original; /* in parity fixtures */
    /* Fills config, and in the rest what follows from the arguments. */
    rmp_status (*arguments)(json_t *arguments, rmp_description *d);
    rmp_status (*list)(const rmp_description *d, rmp_weights *weights);
    rmp_status (*create)(const rmp_description *d, rmp_weights *weights, rmp_net **out); /* NULL: no score network,
                                                                                           so no prediction, schedule */
} rmp_architecture;

typedef enum rmp_beta_spacing { RMP_BETA_LINEAR, RMP_BETA_SCALED_LINEAR } rmp_beta_spacing;

struct rmp_description {
    const rmp_architecture *architecture;
    union {
        rmp_adm_config adm;
        rmp_ncsnpp_config ncsnpp;
        rmp_unet2d_config unet2d;
        rmp_kernel_wizard_config kernel_wizard;
    } config;
    rmp_diffusion diffusion; /* abar is not made yet */
    rmp_beta_spacing spacing;
    double beta[2]; /* VP: the first and the last */
    bool discrete;  /* VP of score_sde: the arguments say that it was trained on the steps of a discrete schedule */
    double gain;    /* formula weights */
    double fourier_scale; /* formula weights */
};

extern const rmp_architecture rmp_architecture_adm, rmp_architecture_ncsnpp, rmp_architecture_unet2d,
    rmp_architecture_kernel_wizard;

/* formula: the description of a parity fixture, which may leave out what follows from its arguments and has keys for
 * readers of other kinds. RMP_ERR_FORMAT with the key named. */
rmp_status rmp_description_parse(const char *text, bool formula, rmp_description *out) RMP_MUST_CHECK;
/* "schedule", over the defaults that d has. */
rmp_status rmp_description_schedule(json_t *schedule, rmp_description *d) RMP_MUST_CHECK;
/* The schedule's cumulative products, *steps of them, for solvers that walk along them; DDPM's where it has none.
 * The caller frees. */
rmp_status rmp_description_abar(const rmp_description *d, double **abar, int64_t *steps) RMP_MUST_CHECK;

/* Values of one key. Each says what it needs. */
rmp_status rmp_json_unknown(const char *where, const char *key);
rmp_status rmp_json_integer(const char *key, const json_t *value, int64_t least, int64_t most,
                            int64_t *out) RMP_MUST_CHECK;
rmp_status rmp_json_number(const char *key, const json_t *value, double *out) RMP_MUST_CHECK;
rmp_status rmp_json_boolean(const char *key, const json_t *value, bool *out) RMP_MUST_CHECK;
/* A list of at most `capacity` integers from 1 to `most`. */
rmp_status rmp_json_integers(const char *key, const json_t *value, int64_t most, int capacity, int64_t out[],
                             int *count) RMP_MUST_CHECK;
/* The place of a word in a list that ends with NULL. */
rmp_status rmp_json_word(const char *key, const json_t *value, const char *const words[], int *out) RMP_MUST_CHECK;

/* Arguments that are plain values: lists that end with a NULL key. *known tells whether the key was among them. */
typedef struct rmp_json_integer_key {
    const char *key;
    int64_t least;
    int64_t *out;
} rmp_json_integer_key;
typedef struct rmp_json_number_key {
    const char *key;
    double *out;
} rmp_json_number_key;
typedef struct rmp_json_boolean_key {
    const char *key;
    bool *out;
} rmp_json_boolean_key;

rmp_status rmp_json_plain(const char *key, const json_t *value, const rmp_json_integer_key integers[],
                          const rmp_json_number_key numbers[], const rmp_json_boolean_key booleans[],
                          bool *known) RMP_MUST_CHECK;
rmp_status rmp_json_dropout(const char *key, const json_t *value, bool *known) RMP_MUST_CHECK;
bool rmp_json_listed(const char *key, const char *const words[]);
/* Each of the keys must be there. */
rmp_status rmp_json_needed(const char *where, json_t *object, const char *const keys[]) RMP_MUST_CHECK;
