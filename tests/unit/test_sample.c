/* Pictures of measurements, channels, shipped files, memory: the small parts of a job. */
#include "jobs/budget.h"
#include "jobs/machine.h"
#include "jobs/paths.h"
#include "jobs/sample.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(sample, gray_is_repeated_and_averaged)
{
    const float gray[2] = {0.25f, -1}, color[6] = {0, 3, 6, -1, 0, 1};
    float out[6];
    rmp_channels_repeat(gray, 2, 1, 3, out);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(out[i], gray[i / 3]);
    rmp_channels_repeat(color, 2, 3, 3, out);
    cr_assert_eq(memcmp(out, color, sizeof color), 0);
    rmp_channels_mean(color, 2, 3, 1, out);
    cr_assert_eq(out[0], 3.0f);
    cr_assert_eq(out[1], 0.0f);
}

Test(sample, a_picture_of_a_measurement_has_the_size_of_the_image)
{
    float y[2 * 3 * 3];
    rmp_image picture;
    /* A constant stays one through the interpolation; only the asked-for channels are taken. */
    for (int i = 0; i < 18; i++)
        y[i] = i % 3 == 0 ? 0.5f : 9.0f;
    cr_assert_eq(rmp_measurement_picture(y, (rmp_shape){2, 3, 3}, (rmp_shape){8, 11, 3}, 1, &picture), RMP_OK);
    cr_assert_eq(picture.shape.h, 8);
    cr_assert_eq(picture.shape.w, 11);
    cr_assert_eq(picture.shape.c, 1);
    for (int i = 0; i < 88; i++)
        cr_assert_float_eq(picture.values[i], 0.5f, 1e-6f); /* rounding of float weights */
    rmp_image_free(&picture);
    /* A ramp along the width keeps its order and does not mix with the height. */
    for (int i = 0; i < 6; i++)
        y[i] = (float)(i % 3);
    cr_assert_eq(rmp_measurement_picture(y, (rmp_shape){2, 3, 1}, (rmp_shape){8, 12, 1}, 1, &picture), RMP_OK);
    for (int r = 0; r < 8; r++) {
        for (int i = 2; i < 10; i++)
            cr_assert(picture.values[r * 12 + i] < picture.values[r * 12 + i + 1]);
        cr_assert_float_eq(picture.values[r * 12 + 5], picture.values[5], 1e-6f);
    }
    rmp_image_free(&picture);
    /* The same size: as it is. */
    cr_assert_eq(rmp_measurement_picture(y, (rmp_shape){2, 3, 1}, (rmp_shape){2, 3, 1}, 1, &picture), RMP_OK);
    cr_assert_eq(memcmp(picture.values, y, 6 * sizeof(float)), 0);
    rmp_image_free(&picture);
}

Test(paths, shipped_files_are_found_from_the_program)
{
    char *folder, *path, *mention;
    cr_assert_eq(rmp_paths_shipped(&folder), RMP_OK, "%s", rmp_fail_message());
    char *expected = realpath(RMP_SOURCE "/jobs", NULL);
    cr_assert_str_eq(folder, expected);
    free(expected);
    free(folder);
    cr_assert_eq(rmp_paths_model("photo64", &path), RMP_OK, "%s", rmp_fail_message());
    cr_assert_eq(access(path, R_OK), 0);
    free(path);
    cr_assert_eq(rmp_paths_model("some/file", &path), RMP_OK);
    cr_assert_str_eq(path, "some/file");
    free(path);
    cr_assert_eq(rmp_paths_model("photo65", &path), RMP_ERR_CONFIG);
    mention = strstr(rmp_fail_message(), "there are: photo64");
    cr_assert(mention != NULL, "%s", rmp_fail_message());
}

Test(machine, memory_and_processors_are_plausible)
{
    rmp_machine m;
    cr_assert_eq(rmp_machine_look(&m), RMP_OK, "%s", rmp_fail_message());
    cr_assert(m.processors >= 1 && m.processors <= sysconf(_SC_NPROCESSORS_CONF));
    cr_assert(m.memory > 0 && m.memory <= (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    cr_assert(m.available > 0 && m.available <= m.memory);
}

Test(budget, bytes_as_people_read_them)
{
    char text[32];
    cr_assert_str_eq(rmp_bytes_text(1023, text, sizeof text), "1023 bytes");
    cr_assert_str_eq(rmp_bytes_text(1536, text, sizeof text), "1.5 KiB");
    cr_assert_str_eq(rmp_bytes_text((int64_t)3 << 30, text, sizeof text), "3.0 GiB");
}
