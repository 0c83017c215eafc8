/* What a network needs, against what a file has: for people who want to know why a file does not fit. */
#pragma once

#include "core/tensor.h"

/* One tensor that is not as the architecture has it. `kind`: "missing", "misshapen", "unexpected" or "not finite" (some
 * of its numbers are NaN, or infinite in float32). */
typedef void rmp_model_mismatch(void *context, const char *kind, const char *name, const rmp_tensor *have,
                                const rmp_tensor *want);

typedef struct rmp_model_fit {
    const char *architecture; /* static storage */
    int64_t parameters;       /* of the file's tensors */
    int64_t missing, misshapen, unexpected, not_finite;
    int64_t passed_over; /* tensors that the architecture does without: noise levels, a second name, a half not used */
} rmp_model_fit;

/* Compares the tensors with those that the network of that description needs; `each` (may be NULL) is called for every
 * one that differs, with NULL for what is not there. RMP_ERR_FORMAT or RMP_ERR_CONFIG if the description is wrong;
 * tensors that differ are no error. */
rmp_status rmp_model_expected(const rmp_weights *weights, const char *description, rmp_model_mismatch *each,
                              void *context, rmp_model_fit *fit) RMP_MUST_CHECK;

/* The same with the list of tensors that are needed, for what has no description. optional: whether a tensor that is
 * not in the list may be there. fit->architecture stays. */
typedef bool rmp_model_optional(const void *context, const char *name);
rmp_status rmp_model_compare(const rmp_weights *weights, const rmp_weights *wanted, rmp_model_optional *optional,
                             const void *optional_context, rmp_model_mismatch *each, void *context,
                             rmp_model_fit *fit) RMP_MUST_CHECK;
