/* Weight files of the networks that metrics use (core/perceptual.h), in the forms that people have: the state dict of
 * lpips.LPIPS, a classifier of torchvision with the package's own linear layers, the Inception of pytorch-fid, and what
 * `rmp model convert` makes of them: a .safetensors file with {"architecture": "lpips_alex"} as metadata "rmp". */
#pragma once

#include "core/perceptual.h"
#include "io/model_expected.h"
#include "io/model_source.h"

/* Any file that `rmp model convert` makes or accepts, or formula:DESCRIPTION.json with formula weights (io/formula.h).
 * RMP_ERR_FORMAT names file and tensor, RMP_ERR_IO a file that cannot be read. */
rmp_status rmp_perceptual_open(const char *path, rmp_perceptual_net **out) RMP_MUST_CHECK;
void rmp_perceptual_close(rmp_perceptual_net **net);

/* The kind that a description (JSON) names; RMP_PERCEPTUAL_KINDS if it names none, or there is none (NULL). */
rmp_perceptual_kind rmp_perceptual_described(const char *description);

/* Whether the tensors or the description of a file that was read (rmp_model_source_read) are those of such a network or
 * of a part of one. */
bool rmp_perceptual_recognise(const rmp_model_source *source);

/* Whether a path of a job names such a network (a file, or formula:DESCRIPTION.json); false for what cannot be read. */
bool rmp_perceptual_probe(const char *path);

/* Replaces the tensors of the source by those of the network under the names of its state dict (rmp_perceptual_list),
 * without those that play no part (a classifier's head, second names), and sets description and origin. linear: a
 * second file with the linear layers where the first has none, else NULL. Whether everything is there is not checked.
 * RMP_ERR_FORMAT names the file and says what is wrong with it; RMP_ERR_CONFIG if one of two files is needless. */
rmp_status rmp_perceptual_select(rmp_model_source *source, const rmp_model_source *linear,
                                 rmp_perceptual_kind *kind) RMP_MUST_CHECK;

/* rmp_model_expected for such a network. */
rmp_status rmp_perceptual_expected(rmp_perceptual_kind kind, const rmp_weights *weights, rmp_model_mismatch *each,
                                   void *context, rmp_model_fit *fit) RMP_MUST_CHECK;
