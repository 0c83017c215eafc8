/* .safetensors: 8-byte little-endian header length, JSON header, raw little-endian data. */
#pragma once

#include "core/tensor.h"

/* Maps the file; tensors point into the mapping, which lives as long as the set. Every declared offset, shape and type
 * is checked against the file before use. metadata: value of `metadata_key` in __metadata__ (owned by the caller, NULL
 * if there is none); may be NULL. */
rmp_status rmp_safetensors_open(const char *path, const char *metadata_key, char **metadata,
                                rmp_weights **out) RMP_MUST_CHECK;

/* Writes a set with one metadata entry (both NULL for none), atomically; widest types first so that data is aligned. */
rmp_status rmp_safetensors_write(const char *dir, const char *name, const rmp_weights *weights,
                                 const char *metadata_key, const char *metadata) RMP_MUST_CHECK;

/* The same file in memory, without metadata; *bytes is owned by the caller. */
rmp_status rmp_safetensors_encode(const rmp_weights *weights, void **bytes, size_t *size) RMP_MUST_CHECK;
