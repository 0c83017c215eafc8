/* PyTorch checkpoints from before version 1.6: five pickles one after another (a magic number, the version of the
 * format, facts about the machine, the object, the keys of its storages), then the numbers of every storage in the
 * order of the keys, each behind its count. Inside io/torch_file.c. */
#pragma once

#include "io/pickle.h"

/* The first bytes of such a file: torch.serialization.MAGIC_NUMBER as a pickle of protocol 2. */
enum { TORCH_LEGACY_MAGIC = 15 };
extern const unsigned char torch_legacy_magic[TORCH_LEGACY_MAGIC];

typedef struct torch_legacy torch_legacy;

/* bytes: borrowed, outlive *out, and begin with the magic number. Every storage is checked to lie in the file.
 * RMP_ERR_FORMAT says what is wrong. */
rmp_status torch_legacy_read(const unsigned char *bytes, size_t size, torch_legacy **out) RMP_MUST_CHECK;
void torch_legacy_destroy(torch_legacy **file);

/* The object. */
const rmp_pickle_value *torch_legacy_root(const torch_legacy *file);

/* The numbers of a storage (of storage->count elements, aligned to nothing); NULL if the file has none of its key and
 * type. */
const unsigned char *torch_legacy_find(const torch_legacy *file, const rmp_pickle_storage *storage);
