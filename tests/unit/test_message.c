#include "jobs/message.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static rmp_result example(void)
{
    rmp_result r;
    float *tensor = malloc(3 * sizeof *tensor), *deviation = malloc(3 * sizeof *deviation),
          *features = malloc(2 * sizeof *features);
    cr_assert_eq(rmp_result_create(2, 1, &r), RMP_OK);
    for (int i = 0; i < 3; i++)
        tensor[i] = deviation[i] = (float)i;
    features[0] = features[1] = 4;
    r.row[0] = (rmp_row){.item = 5,
                         .output = strdup("images/a.png"),
                         .height = 2,
                         .width = 3,
                         .channels = 1,
                         .psnr = 30.5,
                         .lpips = 0.5,
                         .distance = NAN,
                         .distance_mean = NAN,
                         .std = NAN,
                         .coverage = NAN,
                         .evaluations = 7,
                         .std_evaluations = 9,
                         .tensor = tensor,
                         .tensor_std = deviation,
                         .tensor_length = 3,
                         .features = features,
                         .feature_length = 2,
                         .rank = 4,
                         .host = strdup("node")};
    r.row[1] = (rmp_row){.item = 6, .failed = true, .reason = strdup("truncated"), .host = strdup("")};
    r.file[0] = (rmp_result_file){strdup("images/a.png"), strdup("bytes"), 5};
    return r;
}

Test(message, results_come_back_whole)
{
    rmp_result in = example(), out;
    void *bytes;
    size_t size;
    cr_assert_eq(rmp_result_pack(&in, &bytes, &size), RMP_OK);
    cr_assert_eq(rmp_result_unpack(bytes, size, &out), RMP_OK);
    cr_assert_eq(out.count, 2);
    cr_assert_eq(out.files, 1);
    cr_assert_eq(out.row[0].item, 5);
    cr_assert_str_eq(out.row[0].output, "images/a.png");
    cr_assert_null(out.row[0].reason);
    cr_assert_eq(out.row[0].psnr, 30.5);
    cr_assert_eq(out.row[0].lpips, 0.5);
    cr_assert_eq(out.row[0].feature_length, 2);
    cr_assert_eq(out.row[0].features[1], 4.0f);
    cr_assert_null(out.row[0].truth_features);
    cr_assert(isnan(out.row[0].distance));
    cr_assert_eq(out.row[0].tensor_length, 3);
    cr_assert_eq(out.row[0].tensor[2], 2.0f);
    cr_assert_eq(out.row[0].tensor_std[1], 1.0f);
    cr_assert_eq(out.row[0].std_evaluations, 9);
    cr_assert(isnan(out.row[0].distance_mean) && isnan(out.row[0].std) && isnan(out.row[0].coverage));
    cr_assert_str_eq(out.row[0].host, "node");
    cr_assert(out.row[1].failed);
    cr_assert_str_eq(out.row[1].reason, "truncated");
    cr_assert_null(out.row[1].tensor);
    cr_assert_null(out.row[1].features);
    cr_assert_str_eq(out.row[1].host, "");
    cr_assert_eq(out.file[0].size, 5);
    cr_assert_eq(memcmp(out.file[0].bytes, "bytes", 5), 0);
    free(bytes);
    rmp_result_free(&in);
    rmp_result_free(&out);
}

Test(message, a_cut_message_is_an_error)
{
    rmp_result in = example(), out;
    void *bytes;
    size_t size;
    cr_assert_eq(rmp_result_pack(&in, &bytes, &size), RMP_OK);
    for (size_t cut = 0; cut < size; cut++) {
        /* A copy of exactly that length, so that the sanitizer sees a read beyond it. */
        void *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        void *exact = realloc(part, cut > 0 ? cut : 1);
        cr_assert_neq(rmp_result_unpack(exact, cut, &out), RMP_OK, "%zu of %zu bytes", cut, size);
        free(exact);
    }
    free(bytes);
    rmp_result_free(&in);
}

Test(message, items)
{
    char id[] = "a", image[] = "/x/a.png";
    const rmp_item in[2] = {{.index = 3, .id = id, .image = image}, {.index = 4, .id = id, .measurement = image}};
    rmp_item *out;
    int64_t count, cell;
    void *bytes;
    size_t size;
    cr_assert_eq(rmp_items_pack(in, 2, 7, &bytes, &size), RMP_OK);
    cr_assert_eq(rmp_items_unpack(bytes, size, &out, &count, &cell), RMP_OK);
    cr_assert_eq(cell, 7);
    cr_assert_eq(count, 2);
    cr_assert_eq(out[1].index, 4);
    cr_assert_str_eq(out[0].image, "/x/a.png");
    cr_assert_null(out[0].measurement);
    cr_assert_null(out[1].image);
    rmp_items_free(out, count);
    cr_assert_neq(rmp_items_unpack(bytes, size - 1, &out, &count, &cell), RMP_OK);
    free(bytes);
}
