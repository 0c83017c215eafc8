/* The gradient of every operation on the reference device against differences of its forward. */
#include "gpu/devices.h"
#include "tests/unit/cases.h"

#include <criterion/criterion.h>
#include <math.h>

typedef struct run {
    rmp_device *device;
    rmp_plan *plan;
    rmp_buffer *input[4], *output, *gradient;
    int inputs;
    int64_t batch, in, out;
} run;

static void must(rmp_status status, const char *what)
{
    cr_assert_eq(status, RMP_OK, "%s: %s (%s)", what, rmp_fail_message(), rmp_fail_place());
}

static void run_start(run *r, const op_case *c, int64_t batch)
{
    const rmp_graph *g = c->graph;
    *r = (run){.inputs = rmp_graph_inputs(g), .batch = batch};
    r->in = batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_input_value(g, 0)));
    r->out = batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_result(g)));
    must(rmp_reference_create(&r->device), "device");
    must(rmp_plan_create(r->device, g, &(rmp_plan_options){.batch = batch, .vjp = true}, &r->plan), "plan");
    must(rmp_buffer_create(r->device, r->out, &r->output), "output");
    must(rmp_buffer_create(r->device, r->in, &r->gradient), "gradient");
    for (int i = 0; i < r->inputs; i++) {
        float *data = case_data(c, i, batch, 1);
        int64_t count = batch * rmp_shape_count(rmp_graph_shape(g, rmp_graph_input_value(g, i)));
        must(rmp_buffer_create(r->device, count, &r->input[i]), "input");
        must(rmp_buffer_upload(r->input[i], 0, count, data), "input");
        free(data);
    }
}

static void run_end(run *r)
{
    rmp_plan_destroy(&r->plan);
    for (int i = 0; i < r->inputs; i++)
        rmp_buffer_destroy(&r->input[i]);
    rmp_buffer_destroy(&r->output);
    rmp_buffer_destroy(&r->gradient);
    rmp_device_destroy(&r->device);
}

static void forward_at(run *r, const float *x, float *y)
{
    must(rmp_buffer_upload(r->input[0], 0, r->in, x), "x");
    must(rmp_plan_forward(r->plan, r->inputs, (const rmp_buffer *const *)r->input, r->output), "forward");
    if (y) must(rmp_buffer_download(r->output, 0, r->out, y), "y");
}

/* <v, (f(x + h u) - f(x - h u))> / 2h; x + h u is exact: all three are on binary grids. */
static double difference(run *r, const float *x, const float *u, const float *v, double h, float *moved, float *y)
{
    double sum = 0;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int64_t i = 0; i < r->in; i++)
            moved[i] = (float)((double)x[i] + sign * h * (double)u[i]);
        forward_at(r, moved, y);
        for (int64_t i = 0; i < r->out; i++)
            sum += sign * (double)v[i] * (double)y[i];
    }
    return sum / (2 * h);
}

/* Richardson's extrapolation leaves h^4 f^(5) / 480, below 1e-6 for h = 1/32. What decides is that y is rounded to
 * float32: 3e-8 |y| |v| on average, divided by h / 2, and |y| is up to ten times |J| here: 2e-5 of |g|. A wrong term
 * shows at 1e-2 and more. */
static void check_case(const family *f, int variant, int64_t batch)
{
    op_case c;
    run r;
    cr_assert(case_build(&c, f, variant), "%s %d: %s", f->name, variant, rmp_fail_message());
    run_start(&r, &c, batch);
    size_t in = (size_t)r.in * sizeof(float), out = (size_t)r.out * sizeof(float);
    float *x = case_data(&c, 0, batch, 1), *moved = malloc(in), *u = malloc(in), *g = malloc(in);
    float *v = malloc(out), *y = malloc(out);
    for (int64_t i = 0; i < r.in; i++)
        u[i] = case_normal(7, i) < 0 ? -1 : 1;
    for (int64_t i = 0; i < r.out; i++)
        v[i] = case_normal(8, i);

    const double h = 1.0 / 32;
    double coarse = difference(&r, x, u, v, h, moved, y), fine = difference(&r, x, u, v, h / 2, moved, y);
    double expected = (4 * fine - coarse) / 3;
    forward_at(&r, x, NULL);
    rmp_buffer *cotangent;
    must(rmp_buffer_create(r.device, r.out, &cotangent), "cotangent");
    must(rmp_buffer_upload(cotangent, 0, r.out, v), "cotangent");
    double product = 0, norm = 0;
    for (int again = 0; again < 2; again++) { /* a second VJP on one forward gives the same */
        must(rmp_plan_vjp(r.plan, cotangent, r.gradient), "vjp");
        must(rmp_buffer_download(r.gradient, 0, r.in, g), "gradient");
        product = norm = 0;
        for (int64_t i = 0; i < r.in; i++) {
            product += (double)u[i] * (double)g[i];
            norm += (double)g[i] * (double)g[i];
        }
        /* u is +-1: |g| is the standard deviation of <u, g> */
        cr_expect_leq(fabs(product - expected), 1e-4 * sqrt(norm),
                      "%s %d, batch %d: <u, J^T v> = %.9g, <J u, v> = %.9g, |g| %g", f->name, variant, (int)batch,
                      product, expected, sqrt(norm));
    }
    cr_expect(norm > 0, "%s %d: the gradient is zero", f->name, variant);
    rmp_buffer_destroy(&cotangent);
    run_end(&r);
    case_free(&c);
    free(x), free(moved), free(u), free(g), free(v), free(y);
}

Test(gradients, every_operation)
{
    for (int f = 0; f < FAMILIES; f++)
        for (int variant = 0; variant < families[f].variants; variant++) {
            check_case(&families[f], variant, 1);
            check_case(&families[f], variant, 3);
        }
}

/* The catalogue is only worth its name while it has every operation. */
Test(gradients, catalogue_is_complete)
{
    bool seen[RMP_OP_COUNT] = {false};
    for (int f = 0; f < FAMILIES; f++)
        for (int variant = 0; variant < families[f].variants; variant++) {
            op_case c;
            cr_assert(case_build(&c, &families[f], variant), "%s", rmp_fail_message());
            for (rmp_value v = 0; v < rmp_graph_size(c.graph); v++)
                seen[rmp_graph_node(c.graph, v)->op] = true;
            case_free(&c);
        }
    for (int op = 0; op < RMP_OP_COUNT; op++)
        cr_expect(seen[op], "no case of %s", rmp_op_name((rmp_op)op));
}
