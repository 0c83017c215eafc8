#include "io/safetensors.h"

#include "io/file.h"
#include "io/mapping.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are used as they are mapped");

/* The limit of the format's reference implementation. */
enum { MAX_HEADER = 100000000 };

static const rmp_dtype DTYPES[] = {RMP_F64, RMP_I64, RMP_F32, RMP_I32, RMP_F16, RMP_BF16, RMP_U8};
enum { DTYPE_COUNT = sizeof DTYPES / sizeof *DTYPES };

typedef struct span { /* of a tensor in the data part */
    uint64_t begin, end;
    const char *name;
} span;

static rmp_status parse_header(const rmp_mapping *m, json_t **header, size_t *data_begin)
{
    const unsigned char *bytes = m->bytes;
    RMP_CHECK(m->size < 4 || memcmp(bytes, "PK\3\4", 4) != 0, RMP_ERR_FORMAT,
              "is a zip archive (a PyTorch checkpoint?), not a .safetensors file");
    RMP_CHECK(m->size >= 8, RMP_ERR_FORMAT, "is truncated: %zu bytes", m->size);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    RMP_CHECK(length <= MAX_HEADER, RMP_ERR_FORMAT, "is not a .safetensors file: header of %" PRIu64 " bytes", length);
    RMP_CHECK(length <= m->size - 8, RMP_ERR_FORMAT, "is truncated: header of %" PRIu64 " bytes in a file of %zu",
              length, m->size);
    json_error_t error;
    *header = json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    RMP_CHECK(*header, RMP_ERR_FORMAT, "is not a .safetensors file: header, position %d: %s", error.position,
              error.text);
    RMP_CHECK(json_is_object(*header), RMP_ERR_FORMAT, "is not a .safetensors file: the header is no JSON object");
    *data_begin = 8 + (size_t)length;
    return RMP_OK;
}

static rmp_status parse_dtype(const char *name, const json_t *info, rmp_dtype *out)
{
    const char *text = json_string_value(json_object_get(info, "dtype"));
    RMP_CHECK(text, RMP_ERR_FORMAT, "tensor '%s' has no dtype", name);
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (strcmp(text, rmp_dtype_name(DTYPES[i])) == 0) {
            *out = DTYPES[i];
            return RMP_OK;
        }
    return RMP_FAIL(RMP_ERR_FORMAT, "tensor '%s' has type %.40s; F32, F16, BF16, F64, I64, I32 and U8 can be read",
                    name, text);
}

/* Shape and, in *bytes, the size that it implies. */
static rmp_status parse_shape(const char *name, const json_t *info, rmp_tensor *t, uint64_t *bytes)
{
    const json_t *shape = json_object_get(info, "shape");
    RMP_CHECK(json_is_array(shape), RMP_ERR_FORMAT, "tensor '%s' has no shape", name);
    RMP_CHECK(json_array_size(shape) <= RMP_MAX_RANK, RMP_ERR_FORMAT, "tensor '%s' has %zu dimensions, more than %d",
              name, json_array_size(shape), (int)RMP_MAX_RANK);
    t->rank = (int)json_array_size(shape);
    bool empty = false;
    for (int i = 0; i < t->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        RMP_CHECK(json_is_integer(dim) && json_integer_value(dim) >= 0, RMP_ERR_FORMAT,
                  "tensor '%s': dimension %d is no size", name, i);
        t->dims[i] = json_integer_value(dim);
        empty = empty || t->dims[i] == 0;
    }
    /* The limit keeps every product of dimensions, whatever the order, inside int64_t. */
    uint64_t count = 1;
    for (int i = 0; i < t->rank; i++) {
        const uint64_t dim = t->dims[i] > 0 ? (uint64_t)t->dims[i] : 1;
        RMP_CHECK(dim <= ((uint64_t)INT64_MAX >> 3) / count, RMP_ERR_FORMAT, "tensor '%s' has an impossible shape",
                  name);
        count *= dim;
    }
    *bytes = empty ? 0 : count * rmp_dtype_size(t->dtype);
    return RMP_OK;
}

static rmp_status parse_span(const char *name, const json_t *info, uint64_t data_size, span *out)
{
    const json_t *offsets = json_object_get(info, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    RMP_CHECK(json_array_size(offsets) == 2 && json_is_integer(begin) && json_is_integer(end), RMP_ERR_FORMAT,
              "tensor '%s' has no data_offsets", name);
    const json_int_t b = json_integer_value(begin), e = json_integer_value(end);
    RMP_CHECK(b >= 0 && b <= e, RMP_ERR_FORMAT, "tensor '%s' has data_offsets %" PRId64 ", %" PRId64, name, (int64_t)b,
              (int64_t)e);
    RMP_CHECK((uint64_t)e <= data_size, RMP_ERR_FORMAT,
              "is truncated: tensor '%s' ends at byte %" PRId64 " of %" PRIu64 " bytes of data", name, (int64_t)e,
              data_size);
    *out = (span){(uint64_t)b, (uint64_t)e, name};
    return RMP_OK;
}

/* Devices read elements through pointers of their type: what the file does not align is copied. */
static rmp_status align(rmp_weights *weights, const char *name, const char *data, size_t bytes, rmp_tensor *t)
{
    t->data = data;
    if ((uintptr_t)data % rmp_dtype_size(t->dtype) == 0) return RMP_OK;
    void *copy = malloc(bytes ? bytes : 1);
    RMP_CHECK(copy, RMP_ERR_MEMORY, "no memory for tensor '%s' (%zu bytes)", name, bytes);
    memcpy(copy, data, bytes);
    const rmp_status status = rmp_weights_adopt(weights, copy, free);
    if (status != RMP_OK)
        free(copy);
    else
        t->data = copy;
    return status;
}

static int compare_spans(const void *left, const void *right)
{
    const span *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* The format allows neither overlaps nor holes: no bytes that no reader sees. */
static rmp_status check_spans(span *spans, size_t count, uint64_t data_size)
{
    qsort(spans, count, sizeof *spans, compare_spans);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        RMP_CHECK(spans[i].begin >= at, RMP_ERR_FORMAT, "tensors '%s' and '%s' overlap", spans[i - 1].name,
                  spans[i].name);
        RMP_CHECK(spans[i].begin == at, RMP_ERR_FORMAT, "%" PRIu64 " bytes before tensor '%s' belong to none",
                  spans[i].begin - at, spans[i].name);
        at = spans[i].end;
    }
    RMP_CHECK(at == data_size, RMP_ERR_FORMAT, "%" PRIu64 " bytes at its end belong to no tensor", data_size - at);
    return RMP_OK;
}

static rmp_status add_tensor(rmp_weights *weights, const char *name, const json_t *info, const char *data,
                             uint64_t data_size, span *out)
{
    rmp_tensor t = {0};
    uint64_t bytes = 0;
    RMP_CHECK(json_is_object(info), RMP_ERR_FORMAT, "tensor '%s' has no description", name);
    RMP_TRY(parse_dtype(name, info, &t.dtype));
    RMP_TRY(parse_shape(name, info, &t, &bytes));
    RMP_TRY(parse_span(name, info, data_size, out));
    RMP_CHECK(out->end - out->begin == bytes, RMP_ERR_FORMAT,
              "tensor '%s' has %" PRIu64 " bytes where its shape needs %" PRIu64, name, out->end - out->begin, bytes);
    RMP_TRY(align(weights, name, data + out->begin, (size_t)bytes, &t));
    return rmp_weights_add(weights, name, &t);
}

static rmp_status read_metadata(const json_t *header, const char *key, char **metadata)
{
    const json_t *all = json_object_get(header, "__metadata__"), *value;
    const char *name;
    if (!all) return RMP_OK;
    RMP_CHECK(json_is_object(all), RMP_ERR_FORMAT, "__metadata__ is no JSON object");
    json_object_foreach((json_t *)(uintptr_t)all, name, value)
    {
        RMP_CHECK(json_is_string(value), RMP_ERR_FORMAT, "__metadata__: '%s' is no text", name);
        if (!key || !metadata || strcmp(name, key) != 0) continue;
        *metadata = strdup(json_string_value(value));
        RMP_CHECK(*metadata, RMP_ERR_MEMORY, "no memory for its metadata");
    }
    return RMP_OK;
}

static rmp_status read_tensors(json_t *header, const char *data, uint64_t data_size, rmp_weights *weights)
{
    span *spans = calloc(json_object_size(header) + 1, sizeof *spans);
    RMP_CHECK(spans, RMP_ERR_MEMORY, "no memory for %zu tensors", json_object_size(header));
    rmp_status status = RMP_OK;
    size_t count = 0;
    const char *name;
    json_t *info;
    json_object_foreach(header, name, info)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        RMP_TRY_GOTO(add_tensor(weights, name, info, data, data_size, &spans[count]), done);
        count++;
    }
    status = check_spans(spans, count, data_size);
done:
    free(spans);
    return status;
}

rmp_status rmp_safetensors_open(const char *path, const char *metadata_key, char **metadata, rmp_weights **out)
{
    rmp_mapping *m = NULL;
    rmp_weights *weights = NULL;
    json_t *header = NULL;
    size_t begin = 0;
    *out = NULL;
    if (metadata) *metadata = NULL;
    RMP_TRY(rmp_mapping_open(path, &m));
    rmp_status status = rmp_weights_create(&weights);
    if (status != RMP_OK) {
        rmp_mapping_release(m);
        return status;
    }
    const rmp_mapping file = *m;
    status = rmp_weights_adopt(weights, m, rmp_mapping_release);
    if (status != RMP_OK) {
        rmp_mapping_release(m);
        goto failed;
    }
    RMP_TRY_GOTO(parse_header(&file, &header, &begin), failed);
    RMP_TRY_GOTO(read_metadata(header, metadata_key, metadata), failed);
    RMP_TRY_GOTO(read_tensors(header, (const char *)file.bytes + begin, file.size - begin, weights), failed);
    json_decref(header);
    *out = weights;
    return RMP_OK;
failed:
    json_decref(header);
    rmp_weights_destroy(&weights);
    if (metadata) {
        free(*metadata);
        *metadata = NULL;
    }
    return rmp_fail_context(status, "%s", path);
}

/* Calls `each` for the tensors in the order of their data: widest type first. */
static rmp_status in_order(const rmp_weights *weights,
                           rmp_status (*each)(void *context, const char *name, const rmp_tensor *t), void *context)
{
    for (int d = 0; d < DTYPE_COUNT; d++)
        for (int64_t i = 0; i < rmp_weights_count(weights); i++) {
            const rmp_tensor *t = rmp_weights_tensor(weights, i);
            if (t->dtype == DTYPES[d]) RMP_TRY(each(context, rmp_weights_name(weights, i), t));
        }
    return RMP_OK;
}

typedef struct description {
    json_t *header;
    json_int_t offset;
} description;

static rmp_status describe(void *context, const char *name, const rmp_tensor *t)
{
    description *d = context;
    const json_int_t end = d->offset + (json_int_t)rmp_tensor_count(t) * (json_int_t)rmp_dtype_size(t->dtype);
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->dims[i])) != 0) {
            json_decref(shape);
            return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the header");
        }
    /* pack takes `shape` over, also when it fails */
    json_t *info = json_pack("{s:s, s:o, s:[I, I]}", "dtype", rmp_dtype_name(t->dtype), "shape", shape, "data_offsets",
                             d->offset, end);
    RMP_CHECK(info && json_object_set_new(d->header, name, info) == 0, RMP_ERR_ARGUMENT,
              "tensor '%s' cannot be described (is its name UTF-8?)", name);
    d->offset = end;
    return RMP_OK;
}

/* Where a file goes: to a writer, or to memory. */
typedef struct sink {
    rmp_file_writer *writer; /* NULL: memory */
    FILE *memory;
} sink;

static rmp_status put(const sink *to, const void *bytes, size_t size)
{
    if (to->writer) return rmp_file_writer_append(to->writer, bytes, size);
    RMP_CHECK(fwrite(bytes, 1, size, to->memory) == size, RMP_ERR_MEMORY, "no memory for tensors");
    return RMP_OK;
}

static rmp_status append_data(void *context, const char *name, const rmp_tensor *t)
{
    (void)name;
    return put(context, t->data, (size_t)rmp_tensor_count(t) * rmp_dtype_size(t->dtype));
}

static rmp_status write_all(sink *to, const rmp_weights *weights, const char *key, const char *metadata)
{
    description d = {.header = json_object()};
    char *text = NULL;
    rmp_status status = RMP_OK;
    if (key) {
        json_t *entry = json_pack("{s:s}", key, metadata);
        RMP_CHECK_GOTO(entry && json_object_set_new(d.header, "__metadata__", entry) == 0, RMP_ERR_ARGUMENT, done,
                       "metadata '%s' is not UTF-8", key);
    }
    RMP_TRY_GOTO(in_order(weights, describe, &d), done);
    text = json_dumps(d.header, JSON_COMPACT);
    RMP_CHECK_GOTO(text, RMP_ERR_MEMORY, done, "no memory for the header");
    const uint64_t used = strlen(text), length = (used + 7) / 8 * 8; /* spaces align the data */
    RMP_TRY_GOTO(put(to, &length, sizeof length), done);
    RMP_TRY_GOTO(put(to, text, (size_t)used), done);
    RMP_TRY_GOTO(put(to, "       ", (size_t)(length - used)), done);
    status = in_order(weights, append_data, to);
done:
    free(text);
    json_decref(d.header);
    return status;
}

rmp_status rmp_safetensors_write(const char *dir, const char *name, const rmp_weights *weights,
                                 const char *metadata_key, const char *metadata)
{
    rmp_file_writer *writer = NULL;
    RMP_TRY(rmp_file_writer_open(dir, name, &writer));
    const rmp_status status = write_all(&(sink){.writer = writer}, weights, metadata_key, metadata);
    if (status != RMP_OK) {
        rmp_file_writer_abort(&writer);
        return status == RMP_ERR_IO ? status : rmp_fail_context(status, "%s/%s", dir, name); /* named already */
    }
    return rmp_file_writer_commit(&writer);
}

rmp_status rmp_safetensors_encode(const rmp_weights *weights, void **bytes, size_t *size)
{
    char *text = NULL;
    *bytes = NULL;
    sink to = {.memory = open_memstream(&text, size)};
    RMP_CHECK(to.memory, RMP_ERR_MEMORY, "no memory for tensors");
    rmp_status status = write_all(&to, weights, NULL, NULL);
    if (fclose(to.memory) != 0 && status == RMP_OK) status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for tensors");
    if (status != RMP_OK) {
        free(text);
        return status;
    }
    *bytes = text;
    return RMP_OK;
}
