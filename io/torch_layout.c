#include "io/torch_layout.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LISTED = 400, MAX_KEY = 40 };

const char *rmp_torch_layout_text(rmp_torch_layout layout)
{
    static const char *const texts[] = {"state dict", "state dict under 'state_dict'", "state dict under 'model'",
                                        "state dict of averaged weights (EMA)",
                                        "score_sde checkpoint, averaged weights (EMA) matched by position"};
    return texts[layout];
}

static bool is_state(const rmp_pickle_value *value)
{
    if (!value || value->kind != RMP_PICKLE_DICT || value->as.list.count == 0) return false;
    for (int64_t i = 0; i < value->as.list.count; i += 2)
        if (value->as.list.items[i]->kind != RMP_PICKLE_TEXT || value->as.list.items[i + 1]->kind != RMP_PICKLE_TENSOR)
            return false;
    return true;
}

/* A key of a dict for people: printable and short. */
static void show_key(const rmp_pickle_value *key, char out[static MAX_KEY + 1])
{
    if (key->kind != RMP_PICKLE_TEXT) {
        snprintf(out, MAX_KEY + 1, "%s", rmp_pickle_kind_name(key->kind));
        return;
    }
    const size_t size = key->as.text.size < MAX_KEY ? key->as.text.size : MAX_KEY;
    for (size_t i = 0; i < size; i++) {
        const char c = key->as.text.bytes[i];
        out[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    out[size] = '\0';
}

static rmp_status refuse(const rmp_pickle_value *root)
{
    char listed[MAX_LISTED] = "", key[MAX_KEY + 1];
    size_t used = 0;
    const int64_t count = root->as.list.count;
    for (int64_t i = 0; i < count; i += 2) {
        show_key(root->as.list.items[i], key);
        if (used + strlen(key) + 8 >= sizeof listed) {
            snprintf(listed + used, sizeof listed - used, ", ...");
            break;
        }
        used += (size_t)snprintf(listed + used, sizeof listed - used, "%s'%s'", i ? ", " : "", key);
    }
    return RMP_FAIL(RMP_ERR_FORMAT,
                    "holds no weights where they are looked for: its parts are %s; a state dict, or one under "
                    "'state_dict', 'model', 'ema' or 'model_ema' is read",
                    count ? listed : "none");
}

/* A dict in which some values are tensors and some are not: name the first that is not. */
static rmp_status check_mixed(const rmp_pickle_value *root)
{
    char key[MAX_KEY + 1];
    bool tensor = false;
    const rmp_pickle_value *other = NULL, *kind = NULL;
    for (int64_t i = 0; i < root->as.list.count; i += 2) {
        if (root->as.list.items[i + 1]->kind == RMP_PICKLE_TENSOR) {
            tensor = true;
        } else if (!other) {
            other = root->as.list.items[i];
            kind = root->as.list.items[i + 1];
        }
    }
    if (!tensor || !other) return RMP_OK;
    show_key(other, key);
    return RMP_FAIL(RMP_ERR_FORMAT, "is no state dict: '%s' is %s among tensors", key,
                    rmp_pickle_kind_name(kind->kind));
}

static rmp_status select_score_sde(const rmp_pickle_value *root, const rmp_pickle_value *shadow, torch_selection *out)
{
    const rmp_pickle_value *model = rmp_pickle_get(root, "model");
    RMP_CHECK(shadow->kind == RMP_PICKLE_LIST, RMP_ERR_FORMAT, "ema.shadow_params is %s, not a list",
              rmp_pickle_kind_name(shadow->kind));
    RMP_CHECK(is_state(model), RMP_ERR_FORMAT,
              "has ema.shadow_params, but no state dict under 'model' that has their names");
    for (int64_t i = 0; i < shadow->as.list.count; i++)
        RMP_CHECK(shadow->as.list.items[i]->kind == RMP_PICKLE_TENSOR, RMP_ERR_FORMAT,
                  "ema.shadow_params: number %lld is %s, not a tensor", (long long)i,
                  rmp_pickle_kind_name(shadow->as.list.items[i]->kind));
    *out = (torch_selection){RMP_TORCH_SCORE_SDE, model, shadow};
    return RMP_OK;
}

/* The state dict of a part: itself, or what it has under "state_dict". */
static const rmp_pickle_value *state_of(const rmp_pickle_value *part)
{
    const rmp_pickle_value *inner = rmp_pickle_get(part, "state_dict");
    return is_state(inner) ? inner : is_state(part) ? part : NULL;
}

/* A dict of collections of tensors: numbers that it would be wrong to pass over. */
static bool holds_tensors(const rmp_pickle_value *part)
{
    for (int64_t i = 1; i < part->as.list.count; i += 2) {
        const rmp_pickle_value *value = part->as.list.items[i];
        const int64_t first = value->kind == RMP_PICKLE_DICT ? 1 : 0;
        if (value->kind != RMP_PICKLE_DICT && value->kind != RMP_PICKLE_LIST && value->kind != RMP_PICKLE_TUPLE)
            continue;
        if (value->as.list.count > first && value->as.list.items[first]->kind == RMP_PICKLE_TENSOR) return true;
    }
    return false;
}

/* Averaged weights are what is meant where a trainer kept them; the names are those that trainers give them. */
static rmp_status select_average(const rmp_pickle_value *root, torch_selection *out)
{
    static const char *const keys[] = {"ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const rmp_pickle_value *part = rmp_pickle_get(root, keys[i]), *state = state_of(part);
        if (state) {
            *out = (torch_selection){RMP_TORCH_EMA, state, NULL};
            return RMP_OK;
        }
        if (!part || part->kind != RMP_PICKLE_DICT) continue;
        RMP_TRY(check_mixed(part));
        RMP_CHECK(!holds_tensors(part), RMP_ERR_FORMAT,
                  "has averaged weights under '%s' in a form that is not known: neither a state dict, nor one under "
                  "'state_dict', nor a list 'shadow_params'",
                  keys[i]);
    }
    return RMP_OK;
}

rmp_status torch_select(const rmp_pickle_value *root, torch_selection *out)
{
    static const struct {
        const char *key;
        rmp_torch_layout layout;
    } parts[] = {{"state_dict", RMP_TORCH_STATE_DICT}, {"model", RMP_TORCH_MODEL}};
    *out = (torch_selection){0};
    RMP_CHECK(root->kind == RMP_PICKLE_DICT, RMP_ERR_FORMAT, "holds %s where weights are a dict",
              rmp_pickle_kind_name(root->kind));
    if (is_state(root)) {
        *out = (torch_selection){RMP_TORCH_BARE, root, NULL};
        return RMP_OK;
    }
    const rmp_pickle_value *shadow = rmp_pickle_get(rmp_pickle_get(root, "ema"), "shadow_params");
    if (shadow && shadow->kind != RMP_PICKLE_TENSOR) return select_score_sde(root, shadow, out);
    RMP_CHECK(!is_state(rmp_pickle_get(root, "state_dict")) || !is_state(rmp_pickle_get(root, "model")), RMP_ERR_FORMAT,
              "has weights under 'state_dict' and under 'model': which are meant is not determined");
    RMP_TRY(select_average(root, out));
    if (out->state) return RMP_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const rmp_pickle_value *part = rmp_pickle_get(root, parts[i].key);
        if (is_state(part)) {
            *out = (torch_selection){parts[i].layout, part, NULL};
            return RMP_OK;
        }
        if (part && part->kind == RMP_PICKLE_DICT) RMP_TRY(check_mixed(part));
    }
    RMP_TRY(check_mixed(root));
    return refuse(root);
}
