/* Conjugate gradients on explicit matrices: what they solve, how soon, and when they stop. */
#include "core/cg.h"
#include "tests/unit/fields.h"

enum { SIZE = 24 };

typedef struct matrix {
    double entry[SIZE][SIZE];
    double diagonal[SIZE]; /* of the preconditioner's inverse */
    rmp_field *sum;        /* what the steps add up to */
    const rmp_field *p;
    int applied;
} matrix;

static rmp_status apply(void *context, const rmp_field *p, const bool active[], rmp_field *out)
{
    matrix *m = context;
    (void)active;
    m->p = p;
    m->applied++;
    for (int64_t i = 0; i < p->space->n; ++i) {
        float x[SIZE], y[SIZE];
        OK(rmp_field_get(p, i, x));
        for (int r = 0; r < SIZE; ++r) {
            double sum = 0.0;
            for (int c = 0; c < SIZE; ++c)
                sum += m->entry[r][c] * (double)x[c];
            y[r] = (float)sum;
        }
        OK(rmp_field_put(out, i, y));
    }
    return RMP_OK;
}

static rmp_status precondition(void *context, const rmp_field *r, rmp_field *g)
{
    const matrix *m = context;
    for (int64_t i = 0; i < r->space->n; ++i) {
        float x[SIZE];
        OK(rmp_field_get(r, i, x));
        for (int k = 0; k < SIZE; ++k)
            x[k] = (float)((double)x[k] / m->diagonal[k]);
        OK(rmp_field_put(g, i, x));
    }
    return RMP_OK;
}

static rmp_status add(void *context, const double alpha[], bool first)
{
    matrix *m = context;
    double keep[MOST_IMAGES];
    for (int64_t i = 0; i < m->p->space->n; ++i)
        keep[i] = first ? 0.0 : 1.0;
    return rmp_field_axpby(alpha, m->p, keep, m->sum);
}

static rmp_status safe(void *context, const rmp_field *p, double out[])
{
    (void)context;
    return rmp_field_dot(p, p, out);
}

/* Symmetric, positive, eigenvalues of a badly scaled diagonal plus a little coupling. */
static matrix badly_scaled(void)
{
    matrix m = {0};
    for (int r = 0; r < SIZE; ++r) {
        m.diagonal[r] = pow(10.0, 3.0 * r / (SIZE - 1.0));
        for (int c = 0; c < SIZE; ++c)
            m.entry[r][c] = (r == c ? m.diagonal[r] : 0.0) + 0.2 / (1.0 + abs(r - c));
    }
    return m;
}

static double misfit(const matrix *m, const rmp_field *z, const rmp_field *b)
{
    rmp_field *y = new_field(z->space);
    matrix copy = *m;
    OK(apply(&copy, z, NULL, y));
    const double error = relative_error(y, b);
    rmp_field_destroy(&y);
    return error;
}

typedef struct setting {
    rmp_space space;
    rmp_device *device;
    rmp_field *b, *r, *z;
    bool alive[2];
    int64_t iterations[2];
} setting;

static void open_setting(setting *s)
{
    *s = (setting){.device = reference_device(), .alive = {true, true}};
    rmp_space_local(&s->space, s->device, 2, (rmp_shape){1, 1, SIZE});
    s->b = random_field(&s->space, 3);
    s->r = new_field(&s->space);
    s->z = new_field(&s->space);
}

static void close_setting(setting *s)
{
    rmp_field_destroy(&s->b);
    rmp_field_destroy(&s->r);
    rmp_field_destroy(&s->z);
    rmp_device_destroy(&s->device);
}

static void solve(setting *s, rmp_cg *cg, const rmp_cg_system *system)
{
    s->iterations[0] = s->iterations[1] = 0;
    OK(rmp_field_copy(s->b, s->r));
    OK(rmp_cg_solve(cg, system, s->r, s->alive, s->z, s->iterations));
}

/* The sums along the steps are the solution; a preconditioner near the inverse saves most iterations; a warm start
 * along the solution of the same system needs one. */
Test(cg, solves)
{
    setting s;
    open_setting(&s);
    matrix m = badly_scaled();
    int64_t needed[2];
    for (int k = 0; k < 2; ++k) {
        const rmp_cg_options options = {.warm = k == 1, .precondition = k == 1};
        rmp_cg *cg = NULL;
        OK(rmp_cg_create(&s.space, &options, &cg));
        m.sum = new_field(&s.space);
        rmp_cg_system system = {
            .context = &m, .apply = apply, .step = add, .iterations = 500, .growth = 10.0, .tolerance = 1e-5};
        if (k == 1) system.precondition = precondition;
        solve(&s, cg, &system);
        /* float32 fields leave 1e-7 times the condition of 1000 at most */
        cr_assert(lt(dbl, misfit(&m, s.z, s.b), 1e-4));
        cr_assert(lt(dbl, relative_error(m.sum, s.z), 1e-6));
        needed[k] = s.iterations[0];
        if (k == 1) {
            system.tolerance = 1e-3;
            solve(&s, cg, &system);
            cr_assert(eq(i64, s.iterations[0], 1));
            cr_assert(lt(dbl, misfit(&m, s.z, s.b), 1e-3));
            system.apart = true; /* from nothing again */
            solve(&s, cg, &system);
            cr_assert(gt(i64, s.iterations[0], 1));
        }
        rmp_field_destroy(&m.sum);
        rmp_cg_destroy(&cg);
    }
    cr_assert(lt(i64, 3 * needed[1], needed[0]), "%d and %d iterations", (int)needed[0], (int)needed[1]);
    close_setting(&s);
}

/* A start that helps only in part: conjugate gradients go on from there and converge as they would. */
Test(cg, goes_on_from_a_start)
{
    setting s;
    open_setting(&s);
    matrix m = badly_scaled(), other = badly_scaled();
    for (int r = 0; r < SIZE; ++r)
        other.entry[r][r] *= 1.0 + 0.3 * sin(r);
    const rmp_cg_options options = {.warm = true};
    rmp_cg *cg = NULL;
    OK(rmp_cg_create(&s.space, &options, &cg));
    rmp_cg_system system = {.context = &other, .apply = apply, .iterations = 500, .growth = 10.0, .tolerance = 1e-5};
    solve(&s, cg, &system);
    system.context = &m;
    solve(&s, cg, &system);
    cr_assert(lt(dbl, misfit(&m, s.z, s.b), 1e-4));
    rmp_cg_destroy(&cg);
    close_setting(&s);
}

/* A step that would make the residual grow is not taken, in z nor in the residual. */
Test(cg, a_refused_step_leaves_the_residual)
{
    setting s;
    open_setting(&s);
    matrix m = badly_scaled();
    const rmp_cg_options options = {0};
    rmp_cg *cg = NULL;
    OK(rmp_cg_create(&s.space, &options, &cg));
    const rmp_cg_system system = {.context = &m, .apply = apply, .iterations = 500, .growth = 1.0, .tolerance = 1e-5};
    solve(&s, cg, &system);
    cr_assert(gt(dbl, misfit(&m, s.z, s.b), 1e-3)); /* the guard has stopped it */
    rmp_field *sum = new_field(&s.space);
    OK(apply(&m, s.z, NULL, sum));
    OK(rmp_field_axpby1(1.0, s.r, 1.0, sum));
    cr_assert(lt(dbl, relative_error(sum, s.b), 1e-5)); /* float32: some steps, and one of them back */
    rmp_field_destroy(&sum);
    rmp_cg_destroy(&cg);
    close_setting(&s);
}

/* Curvature that is not positive: a safe first step and no more; without one nothing. A dead image costs nothing and
 * changes nothing. */
Test(cg, guard)
{
    setting s;
    open_setting(&s);
    matrix m = {0};
    for (int r = 0; r < SIZE; ++r)
        m.entry[r][r] = -1.0;
    const rmp_cg_options options = {0};
    rmp_cg *cg = NULL;
    OK(rmp_cg_create(&s.space, &options, &cg));
    rmp_cg_system system = {.context = &m, .apply = apply, .safe_curvature = safe, .growth = 10.0, .iterations = 9};
    s.alive[1] = false;
    solve(&s, cg, &system);
    cr_assert(eq(int, m.applied, 1));
    cr_assert(eq(i64, s.iterations[0], 1));
    cr_assert(eq(i64, s.iterations[1], 0));
    float z[SIZE], b[SIZE];
    OK(rmp_field_get(s.z, 0, z));
    OK(rmp_field_get(s.b, 0, b));
    for (int i = 0; i < SIZE; ++i)
        cr_assert(lt(flt, fabsf(z[i] - b[i]), 1e-6f)); /* the step is that of the identity */
    OK(rmp_field_get(s.z, 1, z));
    for (int i = 0; i < SIZE; ++i)
        cr_assert(eq(flt, z[i], 0.0f));
    system.safe_curvature = NULL;
    solve(&s, cg, &system);
    OK(rmp_field_get(s.z, 0, z));
    for (int i = 0; i < SIZE; ++i)
        cr_assert(eq(flt, z[i], 0.0f));
    /* far from symmetric: the residual would explode, the guard stops long before the limit */
    for (int r = 0; r < SIZE; ++r)
        for (int c = 0; c < SIZE; ++c)
            m.entry[r][c] = r == c ? 0.01 : r < c ? 1.0 : -1.0;
    m.applied = 0;
    system.iterations = 1000;
    solve(&s, cg, &system);
    cr_assert(lt(int, m.applied, 100));
    OK(rmp_field_get(s.z, 0, z));
    for (int i = 0; i < SIZE; ++i)
        cr_assert(isfinite(z[i]));
    rmp_cg_destroy(&cg);
    close_setting(&s);
}
