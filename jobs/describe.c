#include "jobs/describe.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 16 };

static rmp_status next(yaml_parser_t *parser, yaml_event_t *event)
{
    RMP_CHECK(yaml_parser_parse(parser, event), RMP_ERR_FORMAT, "line %zu: %s", parser->problem_mark.line + 1,
              parser->problem ? parser->problem : "not YAML");
    return RMP_OK;
}

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (!strcmp(text, "true")) return json_true();
        if (!strcmp(text, "false")) return json_false();
        if (!strcmp(text, "null") || !strcmp(text, "~") || !*text) return json_null();
        char *end;
        if (strspn(text, "+-0123456789") == strlen(text)) {
            errno = 0;
            long long integer = strtoll(text, &end, 10);
            if (!*end && errno == ERANGE) return json_string(text); /* a seed above 2^63 stays exact */
            if (!*end) return json_integer(integer);
        }
        if (strspn(text, "+-.0123456789eE") == strlen(text)) {
            double real = strtod(text, &end);
            if (!*end && isfinite(real)) return json_real(real);
        }
    }
    return json_string(text); /* libyaml accepts only valid UTF-8 */
}

static rmp_status value(yaml_parser_t *parser, const yaml_event_t *first, int depth, json_t **out);

static rmp_status mapping(yaml_parser_t *parser, int depth, json_t *object)
{
    for (;;) {
        yaml_event_t key, item;
        RMP_TRY(next(parser, &key));
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return RMP_OK;
        }
        json_t *child = NULL;
        rmp_status status = RMP_OK;
        RMP_CHECK_GOTO(key.type == YAML_SCALAR_EVENT, RMP_ERR_FORMAT, done, "line %zu: a key must be a word",
                       key.start_mark.line + 1);
        RMP_TRY_GOTO(next(parser, &item), done);
        status = value(parser, &item, depth, &child);
        yaml_event_delete(&item);
        if (status == RMP_OK && json_object_set_new(object, (const char *)key.data.scalar.value, child) != 0)
            status = RMP_FAIL(RMP_ERR_MEMORY, "no memory for the job");
    done:
        yaml_event_delete(&key);
        RMP_TRY(status);
    }
}

static rmp_status sequence(yaml_parser_t *parser, int depth, json_t *array)
{
    for (;;) {
        yaml_event_t item;
        RMP_TRY(next(parser, &item));
        if (item.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&item);
            return RMP_OK;
        }
        json_t *child = NULL;
        rmp_status status = value(parser, &item, depth, &child);
        yaml_event_delete(&item);
        RMP_TRY(status);
        RMP_CHECK(json_array_append_new(array, child) == 0, RMP_ERR_MEMORY, "no memory for the job");
    }
}

/* `first` is the event that begins the value; the caller deletes it. */
static rmp_status value(yaml_parser_t *parser, const yaml_event_t *first, int depth, json_t **out)
{
    RMP_CHECK(depth < MAX_DEPTH, RMP_ERR_FORMAT, "line %zu: nested too deeply", first->start_mark.line + 1);
    bool map = first->type == YAML_MAPPING_START_EVENT, list = first->type == YAML_SEQUENCE_START_EVENT;
    RMP_CHECK(map || list || first->type == YAML_SCALAR_EVENT, RMP_ERR_FORMAT, "line %zu: anchors are not used here",
              first->start_mark.line + 1);
    json_t *node = map ? json_object() : list ? json_array() : scalar(first);
    RMP_CHECK(node, RMP_ERR_MEMORY, "no memory for the job");
    rmp_status status = map ? mapping(parser, depth + 1, node) : list ? sequence(parser, depth + 1, node) : RMP_OK;
    if (status != RMP_OK)
        json_decref(node);
    else
        *out = node;
    return status;
}

rmp_status rmp_describe_json(const char *yaml, json_t **out)
{
    yaml_parser_t parser;
    RMP_CHECK(yaml_parser_initialize(&parser), RMP_ERR_MEMORY, "no memory to read YAML");
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, strlen(yaml));
    rmp_status status = RMP_OK;
    yaml_event_t event;
    *out = NULL;
    for (bool begun = false; !begun && status == RMP_OK;) { /* stream and document start precede the first value */
        RMP_TRY_GOTO(next(&parser, &event), done);
        begun = event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT;
        if (begun) status = value(&parser, &event, 0, out);
        yaml_event_delete(&event);
    }
done:
    yaml_parser_delete(&parser);
    return status;
}

static const json_t *lookup(const json_t *job, const char *key)
{
    while (job) {
        size_t length = strcspn(key, ".");
        char part[64];
        if (length >= sizeof part) return NULL;
        memcpy(part, key, length);
        part[length] = '\0';
        job = json_object_get(job, part);
        if (!key[length]) return job;
        key += length + 1;
    }
    return NULL;
}

const char *rmp_describe_word(const json_t *job, const char *key, const char *otherwise)
{
    const char *text = json_string_value(lookup(job, key));
    return text ? text : otherwise;
}

static double number(const json_t *job, const char *key)
{
    const json_t *found = lookup(job, key);
    return json_is_number(found) ? json_number_value(found) : NAN;
}

/* "gaussian_blur(std=2), grayscale" becomes "gaussian_blur, grayscale". */
static void names_of_parts(const char *parts, char *text, size_t size)
{
    size_t used = 0;
    int depth = 0;
    for (const char *p = parts; *p != '\0' && used + 1 < size; p++) {
        depth += *p == '(';
        if (depth == 0) text[used++] = *p;
        depth -= *p == ')';
    }
    text[used] = '\0';
}

void rmp_describe_task(const json_t *job, char *text, size_t size)
{
    const char *kind = rmp_describe_word(job, "operator.kind", "restoration");
    if (!strcmp(kind, "super_resolution"))
        snprintf(text, size, "super-resolution x%g", number(job, "operator.factor"));
    else if (!strcmp(kind, "gaussian_blur"))
        snprintf(text, size, "Gaussian deblurring");
    else if (!strcmp(kind, "motion_blur"))
        snprintf(text, size, "motion deblurring");
    else if (!strcmp(kind, "nonlinear_blur"))
        snprintf(text, size, "non-linear deblurring");
    else if (!strcmp(kind, "inpaint_random"))
        snprintf(text, size, "inpainting %.0f%% random", 100 * number(job, "operator.fraction"));
    else if (!strcmp(kind, "inpaint_box"))
        snprintf(text, size, "inpainting of a box");
    else if (!strcmp(kind, "inpaint_mask"))
        snprintf(text, size, "inpainting of a mask");
    else if (!strcmp(kind, "denoise"))
        snprintf(text, size, "denoising");
    else if (!strcmp(kind, "phase_retrieval"))
        snprintf(text, size, "phase retrieval");
    else if (!strcmp(kind, "hdr"))
        snprintf(text, size, "high dynamic range");
    else if (!strcmp(kind, "gamma"))
        snprintf(text, size, "gamma %g", number(job, "operator.gamma"));
    else if (!strcmp(kind, "grayscale"))
        snprintf(text, size, "colours of a gray image");
    else if (!strcmp(kind, "compose"))
        names_of_parts(rmp_describe_word(job, "operator.parts", kind), text, size);
    else
        snprintf(text, size, "%s", kind);
}

static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

void rmp_describe_method(const json_t *job, char *text, size_t size)
{
    const char *noise = rmp_describe_word(job, "noise.kind", "unknown");
    double sigma = number(job, "noise.sigma"), T = number(job, "solver.T"), T_in = number(job, "solver.T_in");
    text[0] = '\0';
    if (!strcmp(noise, "none"))
        append(text, size, "no noise");
    else
        append(text, size, "%s noise", noise);
    if (isfinite(sigma)) append(text, size, " %g on %s", sigma, rmp_describe_word(job, "noise.range", "[-1,1]"));
    if (!strcmp(noise, "poisson")) append(text, size, ", %g counts at white", number(job, "noise.gain"));
    append(text, size, "; %s", rmp_describe_word(job, "solver.kind", "unknown solver"));
    const char *likelihood = rmp_describe_word(job, "solver.likelihood", NULL);
    if (likelihood != NULL) append(text, size, ", %s likelihood", likelihood);
    if (isfinite(T)) append(text, size, ", T %.0f", T);
    if (isfinite(T_in)) append(text, size, " x %.0f", T_in);
    const char *model = rmp_describe_word(job, "prior.model", NULL);
    if (model) {
        const char *slash = strrchr(model, '/');
        append(text, size, "; %s", slash ? slash + 1 : model);
    } else {
        append(text, size, "; %s prior", rmp_describe_word(job, "prior.kind", "unknown"));
    }
}
