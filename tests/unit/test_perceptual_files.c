/* Weight files of the networks of metrics: what people have, and what does not fit. */
#include "gpu/devices.h"
#include "io/formula.h"
#include "io/perceptual.h"
#include "io/safetensors.h"
#include "jobs/model_file.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <math.h>

TestSuite(perceptual_files, .init = scratch_setup, .fini = scratch_teardown);

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

static void refused(rmp_status status, rmp_status want, const char *words)
{
    cr_expect(status == want && strstr(rmp_fail_message(), words), "status %d, '%s' lacks '%s'", (int)status,
              rmp_fail_message(), words);
}

static float *image_of(const char *name, rmp_shape s)
{
    float *image = malloc((size_t)rmp_shape_count(s) * sizeof *image);
    for (int64_t i = 0; i < rmp_shape_count(s); i++)
        image[i] = rmp_formula_value(rmp_formula_seed(name), (uint64_t)i, 1, 0);
    return image;
}

/* A set of weights to be written under other names than ours. */
typedef struct file {
    rmp_weights *formula, *named;
} file;

static file file_of(rmp_perceptual_kind kind)
{
    file f = {NULL, NULL};
    rmp_weights *list = NULL;
    must(rmp_weights_create(&list), "list");
    must(rmp_perceptual_list(kind, list), "list");
    must(rmp_formula_weights(list, 1.5, 0, &f.formula), "formula");
    must(rmp_weights_create(&f.named), "file");
    rmp_weights_destroy(&list);
    return f;
}

static void add(file *f, const char *name, const rmp_tensor *tensor)
{
    must(rmp_weights_add(f->named, name, tensor), name);
}

/* All tensors whose names begin with `prefix`, under the same names. */
static void add_all(file *f, const char *prefix)
{
    for (int64_t i = 0; i < rmp_weights_count(f->formula); i++) {
        const char *name = rmp_weights_name(f->formula, i);
        if (strncmp(name, prefix, strlen(prefix)) == 0) add(f, name, rmp_weights_tensor(f->formula, i));
    }
}

/* net.sliceK.N as torchvision's features.N */
static void add_backbone(file *f)
{
    for (int64_t i = 0; i < rmp_weights_count(f->formula); i++) {
        char name[128];
        const char *ours = rmp_weights_name(f->formula, i);
        if (strncmp(ours, "net.", 4) != 0) continue;
        snprintf(name, sizeof name, "features.%s", strchr(ours + 4, '.') + 1);
        add(f, name, rmp_weights_tensor(f->formula, i));
    }
}

static const char *write_file(file *f, const char *name)
{
    must(rmp_safetensors_write(scratch, name, f->named, NULL, NULL), name);
    rmp_weights_destroy(&f->named);
    rmp_weights_destroy(&f->formula);
    return scratch_path(name);
}

static void expect_refused(const char *path, const char *words)
{
    rmp_perceptual_net *net = NULL;
    refused(rmp_perceptual_open(path, &net), RMP_ERR_FORMAT, words);
    cr_expect_null(net);
    cr_expect(strstr(rmp_fail_message(), path), "'%s' does not name %s", rmp_fail_message(), path);
}

static void expect_kind(const char *path, rmp_perceptual_kind kind)
{
    rmp_perceptual_net *net = NULL;
    must(rmp_perceptual_open(path, &net), path);
    cr_expect_eq(rmp_perceptual_net_kind(net), kind, "%s: %s", path, rmp_perceptual_name(rmp_perceptual_net_kind(net)));
    rmp_perceptual_close(&net);
}

static const float zeros[2048];
static const rmp_tensor head = {.dtype = RMP_F32, .rank = 2, .dims = {1008, 2}, .data = zeros};
static const rmp_tensor counter = {.dtype = RMP_I64, .rank = 0, .data = zeros};

static double distance_of(const char *path)
{
    const rmp_shape shape = {33, 31, 3};
    rmp_perceptual_net *net = NULL;
    rmp_device *device = NULL;
    rmp_perceptual *p = NULL;
    double out = 0;
    float *a = image_of("a", shape), *b = image_of("b", shape);
    must(rmp_perceptual_open(path, &net), path);
    must(rmp_host_create(1, 0, &device), "device");
    must(rmp_perceptual_create(device, net, shape, &p), path);
    must(rmp_perceptual_distance(p, a, b, &out), path);
    rmp_perceptual_destroy(&p);
    rmp_device_destroy(&device);
    rmp_perceptual_close(&net);
    free(a), free(b);
    return out;
}

/* A whole state dict, with the second names that its list of modules gives, and a classifier of torchvision joined with
 * the layers of the package, are the same network. */
Test(perceptual_files, files_of_lpips)
{
    const rmp_text_list none = {.count = 0};
    static const float scaling[3] = {0.458F, 0.448F, 0.450F};
    const rmp_tensor scale = {.dtype = RMP_F32, .rank = 4, .dims = {1, 3, 1, 1}, .data = scaling};
    file f = file_of(RMP_PERCEPTUAL_SQUEEZE);
    add(&f, "scaling_layer.scale", &scale);
    add_all(&f, "");
    add(&f, "lins.6.model.1.weight", rmp_weights_find(f.formula, "lin6.model.1.weight"));
    const double want = distance_of(write_file(&f, "whole.safetensors"));
    cr_assert_gt(want, 0);

    f = file_of(RMP_PERCEPTUAL_SQUEEZE);
    add_backbone(&f);
    add(&f, "classifier.1.weight", &head);
    const char *backbone = write_file(&f, "backbone.safetensors");
    expect_refused(backbone, "is a classifier without the linear layers of LPIPS");
    f = file_of(RMP_PERCEPTUAL_SQUEEZE);
    add_all(&f, "lin");
    const char *linear = write_file(&f, "linear.safetensors"), *joined = scratch_path("joined.safetensors");
    expect_refused(linear, "holds the linear layers of LPIPS without its network");
    FILE *log = tmpfile();
    must(rmp_model_convert(backbone, linear, joined, NULL, &none, false, log), "convert");
    must(rmp_model_check(joined, NULL, &none, log), "check");
    expect_kind(joined, RMP_PERCEPTUAL_SQUEEZE);
    /* the built-in scaling is that of the file to float32 */
    cr_expect_leq(fabs(distance_of(joined) - want), 1e-6 * want);

    refused(rmp_model_convert(joined, linear, scratch_path("x.safetensors"), NULL, &none, false, log), RMP_ERR_CONFIG,
            "is whole; a second file is not needed");
    refused(rmp_model_convert(backbone, backbone, scratch_path("x.safetensors"), NULL, &none, false, log),
            RMP_ERR_FORMAT, "holds no linear layers of LPIPS");
    refused(rmp_model_convert(joined, NULL, scratch_path("x.safetensors"), NULL, &none, true, log), RMP_ERR_CONFIG,
            "--half: networks of metrics stay as they are");
    refused(rmp_model_check(joined, "adm", &none, log), RMP_ERR_CONFIG, "--arch and --set are of score networks");
    refused(
        rmp_model_convert(backbone, scratch_path("none.pth"), scratch_path("x.safetensors"), NULL, &none, false, log),
        RMP_ERR_CONFIG, "none.pth");
    cr_expect_neq(access(scratch_path("x.safetensors"), F_OK), 0, "nothing is written of what is refused");
    fclose(log);
}

Test(perceptual_files, kinds_are_told_by_their_tensors)
{
    for (int kind = 0; kind < RMP_PERCEPTUAL_INCEPTION; kind++) {
        char name[64];
        file f = file_of((rmp_perceptual_kind)kind);
        snprintf(name, sizeof name, "%d.safetensors", kind);
        add_all(&f, "");
        expect_kind(write_file(&f, name), (rmp_perceptual_kind)kind);
    }
    file f = file_of(RMP_PERCEPTUAL_INCEPTION);
    add_all(&f, "");
    add(&f, "fc.weight", &head);
    add(&f, "Mixed_7c.branch_pool.bn.num_batches_tracked", &counter);
    expect_kind(write_file(&f, "inception.safetensors"), RMP_PERCEPTUAL_INCEPTION);
}

/* What is missing, misshapen or too much is named, the file too. */
Test(perceptual_files, files_that_do_not_fit)
{
    const rmp_text_list none = {.count = 0};
    file f = file_of(RMP_PERCEPTUAL_ALEX);
    add_all(&f, "net");
    add_all(&f, "lin0");
    add(&f, "lin1.model.1.weight", rmp_weights_find(f.formula, "lin0.model.1.weight"));
    add(&f, "net.slice6.12.weight", &head);
    const char *path = write_file(&f, "a.safetensors");
    expect_refused(path, "3 missing, first 'lin2.model.1.weight' (1, 384, 1, 1)");
    expect_refused(path, "'lin1.model.1.weight' is (1, 64, 1, 1), not (1, 192, 1, 1)");
    expect_refused(path, "1 unexpected, first 'net.slice6.12.weight'");
    FILE *log = tmpfile();
    refused(rmp_model_check(path, NULL, &none, log), RMP_ERR_FORMAT, "3 tensors missing, 1 misshapen, 1 unexpected");
    fclose(log);

    f = file_of(RMP_PERCEPTUAL_ALEX);
    add_all(&f, "");
    add(&f, "lins.0.model.1.weight", &head);
    expect_refused(write_file(&f, "b.safetensors"),
                   "'lins.0.model.1.weight' and 'lin0.model.1.weight' must be the same");

    f = file_of(RMP_PERCEPTUAL_ALEX);
    add_all(&f, "");
    add(&f, "scaling_layer.scale", &head);
    expect_refused(write_file(&f, "c.safetensors"), "'scaling_layer.scale' is (1008, 2), not (1, 3, 1, 1)");

    f = file_of(RMP_PERCEPTUAL_ALEX);
    add_all(&f, "");
    add(&f, "scaling_layer.scale", &(rmp_tensor){.dtype = RMP_F32, .rank = 4, .dims = {1, 3, 1, 1}, .data = zeros});
    expect_refused(write_file(&f, "d.safetensors"), "'scaling_layer.scale' has 0");

    f = file_of(RMP_PERCEPTUAL_ALEX);
    add(&f, "weight", &head);
    expect_refused(write_file(&f, "e.safetensors"), "is no network of LPIPS or FID");
}

Test(perceptual_files, other_inceptions_are_refused)
{
    file f = file_of(RMP_PERCEPTUAL_INCEPTION);
    add_all(&f, "");
    add(&f, "AuxLogits.conv0.conv.weight", &head);
    expect_refused(write_file(&f, "a.safetensors"), "is torchvision's Inception-v3");
    f = file_of(RMP_PERCEPTUAL_INCEPTION);
    add_all(&f, "");
    add(&f, "fc.weight", &(rmp_tensor){.dtype = RMP_F32, .rank = 2, .dims = {1000, 2}, .data = zeros});
    expect_refused(write_file(&f, "b.safetensors"), "is torchvision's Inception-v3");
    f = file_of(RMP_PERCEPTUAL_INCEPTION);
    rmp_tensor *variance = (rmp_tensor *)(uintptr_t)rmp_weights_find(f.formula, "Mixed_6b.branch7x7_2.bn.running_var");
    ((float *)(uintptr_t)variance->data)[5] = -0.5F;
    add_all(&f, "");
    expect_refused(write_file(&f, "c.safetensors"), "'Mixed_6b.branch7x7_2.bn.running_var' has a variance of -0.5");
}

Test(perceptual_files, descriptions)
{
    static const struct {
        const char *text, *words;
        bool named; /* the architecture is one of ours, whatever else is wrong */
    } cases[] = {{"{\"architecture\": \"lpips_resnet\"}",
                  "architecture: 'lpips_resnet' is unknown; supported: lpips_alex", false},
                 {"{}", "'architecture' is missing", false},
                 {"{\"architecture\": \"inception\", \"gain\": \"x\"}", "gain: a number is needed", true},
                 {"{\"architecture\": \"inception\", \"size\": 3}", "unknown key 'size'", true},
                 {"{", "line 1", false}};
    char path[300];
    rmp_perceptual_net *net = NULL;
    snprintf(path, sizeof path, "formula:%s", scratch_path("a.json"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write(scratch_path("a.json"), cases[i].text, strlen(cases[i].text));
        refused(rmp_perceptual_open(path, &net), RMP_ERR_FORMAT, cases[i].words);
        cr_expect(strstr(rmp_fail_message(), scratch_path("a.json")), "%s", rmp_fail_message());
        cr_expect_eq(rmp_perceptual_probe(path), cases[i].named, "%s", cases[i].text);
    }
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/adm_tiny_base.json");
    cr_expect_not(rmp_perceptual_probe(path), "a score network");
    snprintf(path, sizeof path, "formula:" RMP_FIXTURES "/lpips_vgg.json");
    cr_expect(rmp_perceptual_probe(path));
    cr_expect_not(rmp_perceptual_probe(scratch_path("none")));
    refused(rmp_perceptual_open(scratch_path("none"), &net), RMP_ERR_IO, "none");
}
