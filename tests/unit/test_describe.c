#include "jobs/describe.h"
#include "jobs/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char job_text[] = "input:\n  images: \"photos\"\n"
                               "prior:\n  kind: network\n  model: \"models/photo64.safetensors\"\n"
                               "operator:\n  kind: super_resolution\n  factor: 4\n"
                               "noise:\n  kind: gaussian\n  sigma: 0.05\n  range: \"[-1,1]\"\n"
                               "solver:\n  kind: ve_rmp\n  likelihood: moment\n  T: 20\n  T_in: 1\n"
                               "seed: 18446744073709551615\nlist: [1, -2.5, yes, true, ~]\ntext: \"true\"\n";

Test(describe, yaml_becomes_json)
{
    json_t *job = NULL;
    cr_assert_eq(rmp_describe_json(job_text, &job), RMP_OK, "%s", rmp_fail_message());
    cr_assert_str_eq(rmp_describe_word(job, "operator.kind", "?"), "super_resolution");
    cr_assert_str_eq(rmp_describe_word(job, "operator.absent", "?"), "?");
    cr_assert_str_eq(rmp_describe_word(job, "absent.kind", "?"), "?");
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(job, "operator"), "factor")), 4);
    cr_assert_str_eq(json_string_value(json_object_get(job, "seed")), "18446744073709551615");
    const json_t *list = json_object_get(job, "list");
    cr_assert_eq(json_array_size(list), 5);
    cr_assert(json_is_integer(json_array_get(list, 0)));
    cr_assert_eq(json_real_value(json_array_get(list, 1)), -2.5);
    cr_assert(json_is_string(json_array_get(list, 2)));
    cr_assert(json_is_true(json_array_get(list, 3)));
    cr_assert(json_is_null(json_array_get(list, 4)));
    cr_assert(json_is_string(json_object_get(job, "text")), "a quoted word stays a text");
    json_decref(job);
}

Test(describe, words_for_people)
{
    json_t *job = NULL;
    char text[256];
    cr_assert_eq(rmp_describe_json(job_text, &job), RMP_OK);
    rmp_describe_task(job, text, sizeof text);
    cr_assert_str_eq(text, "super-resolution x4");
    rmp_describe_method(job, text, sizeof text);
    cr_assert_str_eq(text, "gaussian noise 0.05 on [-1,1]; ve_rmp, moment likelihood, T 20 x 1; photo64.safetensors");
    json_decref(job);
    cr_assert_eq(rmp_describe_json("{}", &job), RMP_OK);
    rmp_describe_task(job, text, sizeof text);
    cr_assert_str_eq(text, "restoration");
    json_decref(job);
}

Test(describe, what_is_not_a_job)
{
    static const char *const wrong[] = {"a: [1, 2", "a: &x 1\nb: *x\n", "? [1]\n: 2\n", "a: \"\\q\"\n",
                                        "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *job = NULL;
        cr_assert_eq(rmp_describe_json(wrong[i], &job), RMP_ERR_FORMAT, "%s", wrong[i]);
        cr_assert_null(job);
    }
}

Test(text, invalid_utf8_is_replaced)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9"},
        {"a\xFF", "a\xEF\xBF\xBD"},
        {"\xC3", "\xEF\xBF\xBD"},                                 /* cut off */
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* overlong */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* surrogate */
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = rmp_text_utf8(cases[i].in);
        cr_assert_str_eq(out, cases[i].out, "case %zu", i);
        free(out);
    }
}

static char *written(void (*write)(FILE *, const char *), const char *in)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(out, in);
    fclose(out);
    return text;
}

static void write_base64(FILE *out, const char *text) { rmp_text_base64(out, text, strlen(text)); }

Test(text, html_is_escaped)
{
    char *text = written(rmp_text_html, "<a href='x'>\"&\x01\xFF");
    cr_assert_str_eq(text, "&lt;a href=&#39;x&#39;&gt;&quot;&amp; \xEF\xBF\xBD");
    free(text);
}

Test(text, base64_of_rfc_4648)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = written(write_base64, cases[i][0]);
        cr_assert_str_eq(text, cases[i][1]);
        free(text);
    }
}
