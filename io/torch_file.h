/* PyTorch checkpoints (.pt, .pth, .bin) as torch.save writes them: a zip archive of a pickle that describes tensors and
 * of storages that hold their numbers. Nothing in the file is executed (io/pickle.h). */
#pragma once

#include "core/tensor.h"

typedef enum rmp_torch_layout {
    RMP_TORCH_BARE,       /* the state dict itself */
    RMP_TORCH_STATE_DICT, /* {"state_dict": ...} */
    RMP_TORCH_MODEL,      /* {"model": ...} */
    RMP_TORCH_EMA,        /* {"ema": ...}, {"model_ema": ...} and the like, used before the trained weights beside it */
    RMP_TORCH_SCORE_SDE   /* {"model": ..., "ema": {"shadow_params": [...]}}: names of the one, weights of the other */
} rmp_torch_layout;

/* "state dict", ...: for people. */
const char *rmp_torch_layout_text(rmp_torch_layout layout);

typedef enum rmp_torch_kind { RMP_TORCH_NO, RMP_TORCH_ZIP, RMP_TORCH_LEGACY, RMP_TORCH_TAR } rmp_torch_kind;

/* What the first bytes of a file say: no PyTorch file, a zip archive, the format from before PyTorch 1.6
 * (io/torch_legacy.h), or the tar archives before that, which are recognised to be refused. */
rmp_torch_kind rmp_torch_recognise(const void *bytes, size_t size);

/* Maps the file; contiguous tensors point into the mapping, which lives as long as the set, others are copied (at most
 * about the size of the file in all). A prefix "module." that all names have is removed. EMA weights of score_sde are
 * matched to the model's parameters by position, and every shape is compared: buffers ("sigmas") and the parameter
 * without gradient ("all_modules.0.W") are not among them and come from the model. layout: may be NULL.
 * The check sum of everything that is used is verified (about 1 GB/s; io/zip.h says what has none: a warning is
 * logged). RMP_ERR_FORMAT names the file and what is wrong or not supported in it, RMP_ERR_IO if it cannot be read. */
rmp_status rmp_torch_open(const char *path, rmp_torch_layout *layout, rmp_weights **out) RMP_MUST_CHECK;
