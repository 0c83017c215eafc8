/* Inside io/torch_*.c: where in a checkpoint its weights are. */
#pragma once

#include "io/pickle.h"
#include "io/torch_file.h"

typedef struct torch_selection {
    rmp_torch_layout layout;
    const rmp_pickle_value *state;  /* a dict of texts to tensors */
    const rmp_pickle_value *shadow; /* SCORE_SDE: a list of tensors; else NULL */
} torch_selection;

/* RMP_ERR_FORMAT says what the checkpoint holds instead. */
rmp_status torch_select(const rmp_pickle_value *root, torch_selection *out) RMP_MUST_CHECK;
