/* libFuzzer target: the bytes as the description of a network, and as the config.json of diffusers with itself as the
 * scheduler's. Whatever is accepted must give a schedule and a list of tensors. */
#include "io/description.h"
#include "io/infer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void use(const char *text, bool formula)
{
    rmp_description d;
    rmp_weights *list = NULL;
    double *abar = NULL;
    int64_t steps = 0;
    if (rmp_description_parse(text, formula, &d) != RMP_OK) return;
    if (rmp_description_abar(&d, &abar, &steps) == RMP_OK && steps < 2) abort();
    free(abar);
    if (rmp_weights_create(&list) != RMP_OK) return;
    if (d.architecture->list(&d, list) == RMP_OK && rmp_weights_count(list) == 0) abort();
    rmp_weights_destroy(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, bytes, size);
    text[size] = '\0';
    use(text, false);
    use(text, true);
    json_t *config = json_loads(text, 0, NULL), *description = NULL;
    if (json_is_object(config) && rmp_infer_diffusers(config, config, &description) == RMP_OK) {
        char *made = json_dumps(description, 0);
        if (made) use(made, false);
        free(made);
    }
    json_decref(description);
    json_decref(config);
    free(text);
    return 0;
}
