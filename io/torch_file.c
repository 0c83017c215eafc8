#include "io/torch_file.h"

#include "core/log.h"
#include "io/mapping.h"
#include "io/torch_layout.h"
#include "io/torch_legacy.h"
#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are used as they are mapped");

/* Small files may repeat elements (expanded tensors); large ones may not be blown up. */
enum { FREE_COPIES = 16 << 20, MAX_STORAGE_NAME = 512 };

static const char PICKLE_NAME[] = "/data.pkl", MODULE[] = "module.";

typedef struct reader {
    const torch_legacy *legacy; /* or */
    rmp_zip *zip;
    const char *folder; /* of the archive, `folder_size` bytes with the slash */
    size_t folder_size;
    uint64_t copied, may_copy; /* bytes */
    int64_t unverified;        /* tensors of storages without check sum */
    rmp_weights *weights;
} reader;

rmp_torch_kind rmp_torch_recognise(const void *bytes, size_t size)
{
    const char *text = bytes;
    if (size >= 4 && memcmp(text, "PK\3\4", 4) == 0) return RMP_TORCH_ZIP;
    if (size >= 4 && memcmp(text, "PK\5\6", 4) == 0) return RMP_TORCH_ZIP; /* an archive without entries */
    if (size >= TORCH_LEGACY_MAGIC && memcmp(text, torch_legacy_magic, TORCH_LEGACY_MAGIC) == 0)
        return RMP_TORCH_LEGACY;
    if (size >= 512 && memcmp(text + 257, "ustar", 5) == 0) return RMP_TORCH_TAR;
    return RMP_TORCH_NO;
}

/* The entry FOLDER/NAME; NULL if there is none. */
static const rmp_zip_entry *find_entry(const reader *r, const char *name, size_t name_size)
{
    char path[MAX_STORAGE_NAME];
    if (r->folder_size + name_size >= sizeof path || memchr(name, '\0', name_size)) return NULL;
    memcpy(path, r->folder, r->folder_size);
    memcpy(path + r->folder_size, name, name_size);
    path[r->folder_size + name_size] = '\0';
    return rmp_zip_find(r->zip, path);
}

/* FOLDER/data.pkl is where the archive's folder is learnt from. */
static rmp_status find_pickle(reader *r, const rmp_zip_entry **out)
{
    *out = NULL;
    for (int64_t i = 0; i < rmp_zip_count(r->zip); i++) {
        const rmp_zip_entry *e = rmp_zip_at(r->zip, i);
        const char *slash = strchr(e->name, '/');
        if (!slash || strcmp(slash, PICKLE_NAME) != 0) continue;
        RMP_CHECK(!*out, RMP_ERR_FORMAT, "is a zip archive with two checkpoints in it: '%s' and '%s'", (*out)->name,
                  e->name);
        *out = e;
        r->folder = e->name;
        r->folder_size = (size_t)(slash - e->name) + 1;
    }
    RMP_CHECK(*out, RMP_ERR_FORMAT, "is a zip archive, but no PyTorch checkpoint: it has no data.pkl");
    for (int64_t i = 0; i < rmp_zip_count(r->zip); i++) {
        const rmp_zip_entry *e = rmp_zip_at(r->zip, i);
        const char *inner = strchr(e->name, '/');
        RMP_CHECK(!inner || (strcmp(inner, "/constants.pkl") != 0 && strncmp(inner, "/code/", 6) != 0), RMP_ERR_FORMAT,
                  "is a TorchScript program (it has '%s'), not weights: save model.state_dict() with torch.save",
                  e->name);
    }
    return RMP_OK;
}

static rmp_status check_byte_order(const reader *r)
{
    static const char little[] = "little";
    const rmp_zip_entry *order = find_entry(r, "byteorder", strlen("byteorder"));
    RMP_CHECK(!order || (order->size == strlen(little) && memcmp(order->data, little, strlen(little)) == 0),
              RMP_ERR_FORMAT, "was written on a big-endian machine; only little-endian checkpoints are read");
    return RMP_OK;
}

static rmp_status find_storage(reader *r, const char *name, const rmp_pickle_storage *s, const unsigned char **data)
{
    char path[MAX_STORAGE_NAME] = "data/";
    RMP_CHECK(s->supported, RMP_ERR_FORMAT,
              "tensor '%s' is of type %s; Float, Half, BFloat16, Double, Long, Int, Byte and Bool are read", name,
              s->type);
    if (r->legacy) {
        *data = torch_legacy_find(r->legacy, s);
        RMP_CHECK(*data, RMP_ERR_FORMAT, "tensor '%s': the file has no storage for it", name);
        r->unverified++;
        return RMP_OK;
    }
    const size_t used = strlen(path);
    RMP_CHECK(s->key_size > 0 && s->key_size < sizeof path - used, RMP_ERR_FORMAT,
              "tensor '%s': the name of its storage has %zu bytes", name, s->key_size);
    memcpy(path + used, s->key, s->key_size);
    const rmp_zip_entry *e = find_entry(r, path, used + s->key_size);
    RMP_CHECK(e, RMP_ERR_FORMAT, "tensor '%s': the archive has no storage for it", name);
    RMP_CHECK((uint64_t)s->count <= e->size && (uint64_t)s->count * rmp_dtype_size(s->dtype) == e->size, RMP_ERR_FORMAT,
              "tensor '%s': its storage has %" PRIu64 " bytes, not %" PRId64 " elements of %zu bytes", name, e->size,
              s->count, rmp_dtype_size(s->dtype));
    bool has_sum = false;
    RMP_TRY(rmp_zip_verify(r->zip, e, &has_sum));
    r->unverified += !has_sum;
    *data = e->data;
    return RMP_OK;
}

/* Number of elements; the limits keep every product of dimensions and every place inside int64_t. */
static rmp_status measure(const char *name, const rmp_pickle_tensor *t, int64_t *count, bool *contiguous)
{
    const int64_t most = INT64_MAX >> 3;
    int64_t total = 1, last = t->offset;
    bool empty = false;
    *contiguous = true;
    for (int i = t->rank - 1; i >= 0; i--) {
        const int64_t dim = t->dims[i];
        empty = empty || dim == 0;
        if (dim <= 1) continue;
        *contiguous = *contiguous && t->strides[i] == total;
        RMP_CHECK(dim <= most / total, RMP_ERR_FORMAT, "tensor '%s' has an impossible shape", name);
        total *= dim;
        RMP_CHECK(t->strides[i] <= (INT64_MAX - last) / (dim - 1), RMP_ERR_FORMAT,
                  "tensor '%s' reaches beyond its storage", name);
        last += t->strides[i] * (dim - 1);
    }
    *count = empty ? 0 : total;
    *contiguous = *contiguous || empty;
    RMP_CHECK(empty ? t->offset <= t->storage->count : last < t->storage->count, RMP_ERR_FORMAT,
              "tensor '%s' reaches beyond its storage of %" PRId64 " elements", name, t->storage->count);
    return RMP_OK;
}

/* Row-major, whatever the strides. */
static void gather(const rmp_pickle_tensor *t, const unsigned char *data, size_t size, int64_t count,
                   unsigned char *out)
{
    int64_t index[RMP_MAX_RANK] = {0}, strides[RMP_MAX_RANK], at = t->offset;
    for (int i = 0; i < t->rank; i++)
        strides[i] = t->dims[i] > 1 ? t->strides[i] : 0; /* of a single element it may be anything */
    for (int64_t k = 0; k < count; k++) {
        memcpy(out + (size_t)k * size, data + (size_t)at * size, size);
        for (int i = t->rank - 1; i >= 0; i--) {
            at += strides[i];
            if (++index[i] < t->dims[i]) break;
            at -= strides[i] * t->dims[i];
            index[i] = 0;
        }
    }
}

static rmp_status copy_tensor(reader *r, const char *name, const rmp_pickle_tensor *t, const unsigned char *data,
                              int64_t count, const void **out)
{
    const size_t size = rmp_dtype_size(t->storage->dtype);
    RMP_CHECK((uint64_t)count <= (r->may_copy - r->copied) / size, RMP_ERR_FORMAT,
              "tensor '%s' of %" PRId64 " elements repeats or rearranges more data than the file has", name, count);
    unsigned char *copy = malloc((size_t)count * size + 1);
    RMP_CHECK(copy, RMP_ERR_MEMORY, "no memory for tensor '%s' (%" PRId64 " elements)", name, count);
    r->copied += (uint64_t)count * size;
    gather(t, data, size, count, copy);
    const rmp_status status = rmp_weights_adopt(r->weights, copy, free);
    if (status != RMP_OK)
        free(copy);
    else
        *out = copy;
    return status;
}

static rmp_status add_tensor(reader *r, const char *name, const rmp_pickle_tensor *t)
{
    const unsigned char *data = NULL;
    int64_t count = 0;
    bool contiguous = false;
    RMP_TRY(find_storage(r, name, t->storage, &data));
    RMP_TRY(measure(name, t, &count, &contiguous));
    rmp_tensor made = {.dtype = t->storage->dtype, .rank = t->rank};
    memcpy(made.dims, t->dims, sizeof made.dims);
    const size_t size = rmp_dtype_size(made.dtype);
    made.data = data + (size_t)t->offset * size;
    /* Devices read elements through pointers of their type. */
    if (!contiguous || (uintptr_t)made.data % size != 0) RMP_TRY(copy_tensor(r, name, t, data, count, &made.data));
    return rmp_weights_add(r->weights, name, &made);
}

static bool has_prefix(const rmp_pickle_value *text)
{
    return text->as.text.size > strlen(MODULE) && memcmp(text->as.text.bytes, MODULE, strlen(MODULE)) == 0;
}

static bool all_have_prefix(const rmp_pickle_value *state)
{
    for (int64_t i = 0; i < state->as.list.count; i += 2)
        if (!has_prefix(state->as.list.items[i])) return false;
    return true;
}

/* What the average of score_sde leaves out: buffers, and Fourier frequencies, which are drawn once and not trained.
 * The file does not say which these are; in this family they are always these two. */
static bool in_average(const char *name) { return strcmp(name, "sigmas") != 0 && strcmp(name, "all_modules.0.W") != 0; }

/* The tensor of the average for the model's tensor of that name. */
static rmp_status next_average(const torch_selection *s, const char *name, int64_t *position,
                               const rmp_pickle_tensor **t)
{
    RMP_CHECK(*position < s->shadow->as.list.count, RMP_ERR_FORMAT,
              "ema.shadow_params has %" PRId64 " tensors, too few: the model goes on with '%s'",
              s->shadow->as.list.count, name);
    const rmp_pickle_tensor *average = s->shadow->as.list.items[*position]->as.tensor;
    rmp_tensor want = {.rank = (*t)->rank}, have = {.rank = average->rank};
    memcpy(want.dims, (*t)->dims, sizeof want.dims);
    memcpy(have.dims, average->dims, sizeof have.dims);
    char wanted[128], had[128];
    RMP_CHECK(want.rank == have.rank && memcmp(want.dims, have.dims, (size_t)want.rank * sizeof *want.dims) == 0,
              RMP_ERR_FORMAT, "ema.shadow_params: number %" PRId64 " is %s, but '%s' of the model is %s", *position,
              rmp_tensor_shape_text(&have, had, sizeof had), name, rmp_tensor_shape_text(&want, wanted, sizeof wanted));
    ++*position;
    *t = average;
    return RMP_OK;
}

static rmp_status add_all(reader *r, const torch_selection *s)
{
    const size_t skip = all_have_prefix(s->state) ? strlen(MODULE) : 0;
    int64_t position = 0;
    for (int64_t i = 0; i < s->state->as.list.count; i += 2) {
        const rmp_pickle_value *key = s->state->as.list.items[i];
        const rmp_pickle_tensor *t = s->state->as.list.items[i + 1]->as.tensor;
        RMP_CHECK(!memchr(key->as.text.bytes, '\0', key->as.text.size), RMP_ERR_FORMAT,
                  "the name of tensor %" PRId64 " has a zero byte", i / 2);
        char *name = strndup(key->as.text.bytes + skip, key->as.text.size - skip);
        RMP_CHECK(name, RMP_ERR_MEMORY, "no memory for the name of a tensor");
        rmp_status status = RMP_OK;
        if (s->shadow && in_average(name)) status = next_average(s, name, &position, &t);
        if (status == RMP_OK) status = add_tensor(r, name, t);
        free(name);
        RMP_TRY(status);
    }
    RMP_CHECK(!s->shadow || position == s->shadow->as.list.count, RMP_ERR_FORMAT,
              "ema.shadow_params has %" PRId64 " tensors, the model %" PRId64 " parameters",
              s->shadow ? s->shadow->as.list.count : 0, position);
    return RMP_OK;
}

static rmp_status read_object(reader *r, const rmp_pickle_value *root, rmp_torch_layout *layout)
{
    torch_selection selection = {0};
    RMP_TRY(torch_select(root, &selection));
    if (layout) *layout = selection.layout;
    return add_all(r, &selection);
}

static rmp_status read_zip(reader *r, const rmp_mapping *file, rmp_torch_layout *layout)
{
    bool has_sum = false;
    rmp_zip *zip = NULL;
    rmp_pickle *pickle = NULL;
    const rmp_zip_entry *entry = NULL;
    rmp_status status;
    RMP_TRY(rmp_zip_read(file->bytes, file->size, &zip));
    r->zip = zip;
    RMP_TRY_GOTO(find_pickle(r, &entry), done);
    RMP_TRY_GOTO(check_byte_order(r), done);
    RMP_TRY_GOTO(rmp_zip_verify(zip, entry, &has_sum), done);
    RMP_TRY_GOTO(rmp_pickle_read(entry->data, (size_t)entry->size, &pickle), done);
    status = read_object(r, rmp_pickle_root(pickle), layout);
done:
    rmp_pickle_destroy(&pickle);
    rmp_zip_destroy(&zip);
    return status;
}

static rmp_status read_legacy(reader *r, const rmp_mapping *file, rmp_torch_layout *layout)
{
    torch_legacy *legacy = NULL;
    rmp_status status = torch_legacy_read(file->bytes, file->size, &legacy);
    r->legacy = legacy;
    if (status == RMP_OK) status = read_object(r, torch_legacy_root(legacy), layout);
    torch_legacy_destroy(&legacy);
    return status;
}

static rmp_status read_all(const rmp_mapping *file, const char *path, rmp_torch_layout *layout, rmp_weights *weights)
{
    reader r = {.may_copy = file->size + FREE_COPIES, .weights = weights};
    switch (rmp_torch_recognise(file->bytes, file->size)) {
    case RMP_TORCH_ZIP:
        RMP_TRY(read_zip(&r, file, layout));
        break;
    case RMP_TORCH_LEGACY:
        RMP_TRY(read_legacy(&r, file, layout));
        break;
    case RMP_TORCH_TAR:
        return RMP_FAIL(RMP_ERR_FORMAT,
                        "is a checkpoint in the format from before PyTorch 0.1.10 (a tar archive), which is not read; "
                        "load it with torch.load and save it again with torch.save");
    default:
        return RMP_FAIL(RMP_ERR_FORMAT, "is no PyTorch checkpoint (no zip archive)");
    }
    if (r.unverified > 0)
        RMP_LOG_WARN("model", "%s: %" PRId64 " of its tensors have no check sum: damage to them would go unnoticed",
                     path, r.unverified);
    return RMP_OK;
}

rmp_status rmp_torch_open(const char *path, rmp_torch_layout *layout, rmp_weights **out)
{
    rmp_mapping *mapping = NULL;
    rmp_weights *weights = NULL;
    *out = NULL;
    RMP_TRY(rmp_mapping_open(path, &mapping));
    const rmp_mapping file = *mapping;
    rmp_status status = rmp_weights_create(&weights);
    if (status == RMP_OK) status = rmp_weights_adopt(weights, mapping, rmp_mapping_release);
    if (status != RMP_OK)
        rmp_mapping_release(mapping);
    else
        status = read_all(&file, path, layout, weights);
    if (status != RMP_OK) {
        rmp_weights_destroy(&weights);
        return rmp_fail_context(status, "%s", path);
    }
    *out = weights;
    return RMP_OK;
}
