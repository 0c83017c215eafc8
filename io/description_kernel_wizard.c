#include "io/description.h"

#include <string.h>

/* Of the original's options: what concerns training, or the half of the network that is not built. */
static const char *const ignored[] = {"pretrained", "N_frames", "use_vae", "KernelExtractor", NULL};

/* The UNet: published ones have no normalisation. */
static rmp_status adapter(json_t *object)
{
    static const char *const norms[] = {"none", NULL};
    const char *key;
    json_t *value;
    int choice = 0;
    bool dropout = false;
    RMP_CHECK(json_is_object(object), RMP_ERR_FORMAT, "Adapter: a JSON object is needed");
    json_object_foreach(object, key, value)
    {
        if (strcmp(key, "norm") == 0)
            RMP_TRY(rmp_json_word("Adapter.norm", value, norms, &choice));
        else if (strcmp(key, "use_dropout") == 0)
            RMP_TRY(rmp_json_boolean("Adapter.use_dropout", value, &dropout));
        else
            return rmp_json_unknown("Adapter", key);
    }
    return RMP_OK;
}

static rmp_status argument(rmp_kernel_wizard_config *c, const char *key, json_t *value)
{
    const rmp_json_integer_key integers[] = {{"input_nc", 1, &c->input_nc},     {"nf", 1, &c->nf},
                                             {"front_RBs", 0, &c->front_RBs},   {"back_RBs", 0, &c->back_RBs},
                                             {"kernel_dim", 1, &c->kernel_dim}, {NULL, 0, NULL}};
    const rmp_json_number_key numbers[] = {{NULL, NULL}};
    const rmp_json_boolean_key booleans[] = {{NULL, NULL}};
    bool known = false;
    if (strcmp(key, "Adapter") == 0) return adapter(value);
    RMP_TRY(rmp_json_plain(key, value, integers, numbers, booleans, &known));
    return known || rmp_json_listed(key, ignored) ? RMP_OK : rmp_json_unknown("arguments", key);
}

static rmp_status arguments(json_t *object, rmp_description *d)
{
    static const char *const needed[] = {"nf", "front_RBs", "back_RBs", NULL};
    rmp_kernel_wizard_config *c = &d->config.kernel_wizard;
    const char *key;
    json_t *value;
    RMP_TRY(rmp_json_needed("arguments", object, needed));
    rmp_kernel_wizard_defaults(c);
    c->kernel_dim = 0;
    json_object_foreach(object, key, value) RMP_TRY(argument(c, key, value));
    if (c->kernel_dim == 0) c->kernel_dim = 8 * c->nf;
    return RMP_OK;
}

static rmp_status list(const rmp_description *d, rmp_weights *weights)
{
    return rmp_kernel_wizard_list(&d->config.kernel_wizard, weights);
}

const rmp_architecture rmp_architecture_kernel_wizard = {"kernel_wizard", "KernelWizard", arguments, list, NULL};
