#include "io/description.h"

#include <inttypes.h>
#include <string.h>

rmp_status rmp_json_unknown(const char *where, const char *key)
{
    return RMP_FAIL(RMP_ERR_FORMAT, "%s: unknown key '%s'", where, key);
}

rmp_status rmp_json_integer(const char *key, const json_t *value, int64_t least, int64_t most, int64_t *out)
{
    RMP_CHECK(json_is_integer(value) && json_integer_value(value) >= least && json_integer_value(value) <= most,
              RMP_ERR_FORMAT, "%s: an integer from %" PRId64 " to %" PRId64 " is needed", key, least, most);
    *out = json_integer_value(value);
    return RMP_OK;
}

rmp_status rmp_json_number(const char *key, const json_t *value, double *out)
{
    RMP_CHECK(json_is_number(value), RMP_ERR_FORMAT, "%s: a number is needed", key);
    *out = json_number_value(value);
    return RMP_OK;
}

rmp_status rmp_json_boolean(const char *key, const json_t *value, bool *out)
{
    RMP_CHECK(json_is_boolean(value), RMP_ERR_FORMAT, "%s: true or false is needed", key);
    *out = json_is_true(value);
    return RMP_OK;
}

rmp_status rmp_json_integers(const char *key, const json_t *value, int64_t most, int capacity, int64_t out[],
                             int *count)
{
    RMP_CHECK(json_is_array(value) && json_array_size(value) <= (size_t)capacity, RMP_ERR_FORMAT,
              "%s: a list of at most %d integers is needed", key, capacity);
    *count = (int)json_array_size(value);
    for (int i = 0; i < *count; i++)
        RMP_TRY(rmp_json_integer(key, json_array_get(value, (size_t)i), 1, most, &out[i]));
    return RMP_OK;
}

rmp_status rmp_json_word(const char *key, const json_t *value, const char *const words[], int *out)
{
    const char *word = json_string_value(value);
    char all[256] = "";
    for (int i = 0; words[i]; i++) {
        if (word && strcmp(word, words[i]) == 0) {
            *out = i;
            return RMP_OK;
        }
        if (i > 0) strncat(all, ", ", sizeof all - strlen(all) - 1);
        strncat(all, words[i], sizeof all - strlen(all) - 1);
    }
    return RMP_FAIL(RMP_ERR_FORMAT, "%s: '%s' is unknown; supported: %s", key, word ? word : "?", all);
}

rmp_status rmp_json_plain(const char *key, const json_t *value, const rmp_json_integer_key integers[],
                          const rmp_json_number_key numbers[], const rmp_json_boolean_key booleans[], bool *known)
{
    *known = true;
    for (; integers->key; integers++)
        if (strcmp(key, integers->key) == 0)
            return rmp_json_integer(key, value, integers->least, 1 << 20, integers->out);
    for (; numbers->key; numbers++)
        if (strcmp(key, numbers->key) == 0) return rmp_json_number(key, value, numbers->out);
    for (; booleans->key; booleans++)
        if (strcmp(key, booleans->key) == 0) return rmp_json_boolean(key, value, booleans->out);
    *known = false;
    return RMP_OK;
}

rmp_status rmp_json_dropout(const char *key, const json_t *value, bool *known)
{
    double number = 0.0;
    *known = strcmp(key, "dropout") == 0;
    if (!*known) return RMP_OK;
    RMP_TRY(rmp_json_number(key, value, &number));
    RMP_CHECK(number >= 0.0 && number <= 1.0, RMP_ERR_FORMAT, "dropout: a number from 0 to 1 is needed");
    return RMP_OK;
}

bool rmp_json_listed(const char *key, const char *const words[])
{
    for (; *words; words++)
        if (strcmp(key, *words) == 0) return true;
    return false;
}

rmp_status rmp_json_needed(const char *where, json_t *object, const char *const keys[])
{
    RMP_CHECK(json_is_object(object), RMP_ERR_FORMAT, "%s: a JSON object is needed", where);
    for (; *keys; keys++)
        RMP_CHECK(json_object_get(object, *keys), RMP_ERR_FORMAT, "%s: '%s' is missing", where, *keys);
    return RMP_OK;
}
