/* Zip archives as torch.save writes them: entries stored, not compressed, so that tensors are used where they lie in
 * the mapped file; and as numpy.savez_compressed does: deflated. Everything else that the format can express is
 * refused, and the two places where a zip archive describes an entry must agree, so that no two readers can see
 * different contents. */
#pragma once

#include "io/mapping.h"

typedef struct rmp_zip rmp_zip;

typedef struct rmp_zip_entry {
    const char *name; /* a relative path without "." and ".."; UTF-8 is not checked */
    const unsigned char *data;
    uint64_t size;   /* bytes of data, all inside the archive */
    bool deflated;   /* data is compressed: rmp_zip_extract */
    uint64_t length; /* bytes of the entry: size, unless it is deflated */
} rmp_zip_entry;

/* Reads the directory of an archive in memory (borrowed: must outlive *out). RMP_ERR_FORMAT names the entry and what
 * is wrong with it: truncated, compressed, encrypted, overlapping, twice, an absolute or climbing path, local header
 * and directory that disagree, several disks. Check sums are verified entry by entry, by rmp_zip_verify. Memory: a
 * small multiple of the directory's bytes. */
rmp_status rmp_zip_read(const void *bytes, size_t size, rmp_zip **out) RMP_MUST_CHECK;
/* The same, but entries may be deflated. */
rmp_status rmp_zip_read_deflated(const void *bytes, size_t size, rmp_zip **out) RMP_MUST_CHECK;
void rmp_zip_destroy(rmp_zip **zip);

int64_t rmp_zip_count(const rmp_zip *zip);
/* i-th entry in the order of their names. */
const rmp_zip_entry *rmp_zip_at(const rmp_zip *zip, int64_t i);
/* NULL if there is none. */
const rmp_zip_entry *rmp_zip_find(const rmp_zip *zip, const char *name);

/* The bytes of an entry (length), inflated where it is deflated, its check sum compared. RMP_ERR_FORMAT names the
 * entry: damaged, or not as long as it says. */
rmp_status rmp_zip_extract(rmp_zip *zip, const rmp_zip_entry *entry, void *out) RMP_MUST_CHECK;

/* Compares the CRC-32 of a stored entry of this archive with that of the directory, once: the second call costs
 * nothing. *has_sum false: the directory says 0, which is what writers leave that compute none (torch.save after
 * torch.serialization.set_crc32_options(False)); nothing is compared then. (One entry of 2^32 really has the check sum
 * 0, and goes unchecked.) RMP_ERR_FORMAT names the entry. */
rmp_status rmp_zip_verify(rmp_zip *zip, const rmp_zip_entry *entry, bool *has_sum) RMP_MUST_CHECK;
