#include "jobs/run_json.h"

#include "io/file.h"
#include "jobs/text.h"

#include <math.h>
#include <stdlib.h>

json_t *rmp_run_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *rmp_run_text(const char *text)
{
    char *utf8 = rmp_text_utf8(text);
    json_t *out = utf8 != NULL ? json_string(utf8) : NULL;
    free(utf8);
    return out;
}

json_t *rmp_run_former(const char *dir, size_t most)
{
    char *path = NULL, *bytes = NULL;
    size_t size = 0;
    json_t *root = NULL;
    if (rmp_path_join(dir, "summary.json", &path) == RMP_OK && rmp_file_read(path, most, &bytes, &size) == RMP_OK)
        root = json_loadb(bytes, size, 0, NULL);
    free(bytes);
    free(path);
    rmp_fail_clear();
    return root;
}

static json_t *copy_or_null(const json_t *value) { return value != NULL ? json_deep_copy(value) : json_null(); }

json_t *rmp_run_hardware(const rmp_run_facts *facts, const json_t *before)
{
    if (facts != NULL)
        return json_pack("{so so si si}", "device", rmp_run_text(facts->device), "precision",
                         rmp_run_text(facts->precision), "ranks", facts->ranks, "threads", facts->threads);
    return copy_or_null(json_object_get(before, "hardware"));
}

json_t *rmp_run_last(const rmp_run_facts *facts, const json_t *before)
{
    if (facts != NULL) {
        const double rate = facts->elapsed > 0 ? (double)facts->items / facts->elapsed : NAN;
        return json_pack("{so sI so}", "elapsed", rmp_run_real(facts->elapsed), "items", (json_int_t)facts->items,
                         "items_per_second", rmp_run_real(rate));
    }
    return copy_or_null(json_object_get(json_object_get(before, "timing"), "last_run"));
}
