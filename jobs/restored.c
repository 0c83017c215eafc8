#include "jobs/restored.h"

#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stream {
    rmp_file_writer *writer;
    int64_t d, next;
    bool std;       /* what this pass writes */
    float *nothing; /* (d) NaN */
} stream;

static rmp_status append_row(void *context, const rmp_item *item, const rmp_row *row)
{
    stream *s = context;
    RMP_CHECK(item->index == s->next, RMP_ERR_INTERNAL, "item %lld is missing in the journal", (long long)s->next);
    RMP_CHECK(row->tensor == NULL || row->tensor_length == s->d, RMP_ERR_FORMAT,
              "item %s has %lld numbers in the journal, not %lld", item->id, (long long)row->tensor_length,
              (long long)s->d);
    s->next++;
    const float *values = s->std ? row->tensor_std : row->tensor;
    return rmp_file_writer_append(s->writer, values != NULL ? values : s->nothing, (size_t)s->d * sizeof(float));
}

rmp_status rmp_restored_write(rmp_journal *journal, const char *dir, int64_t items, int64_t d, bool std)
{
    stream s = {.d = d};
    char header[384];
    unsigned char length[8];
    rmp_status status;
    const int64_t bytes = items * d * (int64_t)sizeof(float);
    int n =
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[0,%lld]}",
                 (long long)items, (long long)d, (long long)bytes);
    if (std)
        n += snprintf(header + n, sizeof header - (size_t)n,
                      ",\"std\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[%lld,%lld]}",
                      (long long)items, (long long)d, (long long)bytes, (long long)(2 * bytes));
    header[n++] = '}';
    /* Spaces up to a multiple of 8, so that the data is aligned. */
    while (n % 8 != 0)
        header[n++] = ' ';
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)n >> (8 * i) & 255u);
    s.nothing = malloc((size_t)d * sizeof *s.nothing);
    RMP_CHECK(s.nothing != NULL, RMP_ERR_MEMORY, "no memory for %lld numbers", (long long)d);
    for (int64_t i = 0; i < d; i++)
        s.nothing[i] = NAN;
    RMP_TRY_GOTO(rmp_file_writer_open(dir, "restored.safetensors", &s.writer), done);
    RMP_TRY_GOTO(rmp_file_writer_append(s.writer, length, sizeof length), done);
    RMP_TRY_GOTO(rmp_file_writer_append(s.writer, header, (size_t)n), done);
    for (int pass = 0; pass < 1 + std; pass++) {
        s.std = pass == 1;
        s.next = 0;
        RMP_TRY_GOTO(rmp_journal_visit(journal, append_row, &s), done);
        RMP_CHECK_GOTO(s.next == items, RMP_ERR_INTERNAL, done, "%lld of %lld items are done", (long long)s.next,
                       (long long)items);
    }
    status = rmp_file_writer_commit(&s.writer);
done:
    rmp_file_writer_abort(&s.writer);
    free(s.nothing);
    return status;
}
