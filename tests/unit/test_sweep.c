/* Sweeps: axes, cells, names, resolved text, and every mistake by name. */
#include "io/sweep.h"
#include "tests/unit/scratch.h"

TestSuite(sweep, .init = scratch_setup, .fini = scratch_teardown);

static const char base[] = "input:\n"            /* 1 */
                           "  images: photos/\n" /* 2 */
                           "prior: {model: photo64}\n"
                           "operator: {kind: super_resolution, factor: 4}\n"
                           "noise: {sigma: 0.05}\n" /* 5 */
                           "solver:\n"
                           "  likelihood: moment\n"
                           "  cg_iterations: 7\n" /* 8 */
                           "output: {dir: out}\n"
                           "sweep:\n"; /* 10 */

static const char *write_sweep(const char *axes)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s", base, axes);
    scratch_write(scratch_path("t.yaml"), text, strlen(text));
    return scratch_path("t.yaml");
}

static rmp_sweep *accepts(const char *axes, int grids, char *const grid[])
{
    rmp_sweep *sweep = NULL;
    expect_ok(rmp_sweep_read(write_sweep(axes), 0, NULL, grids, grid, &sweep));
    return sweep;
}

static void refuses_with(const char *axes, char *set, char *grid, const char *word, const char *other)
{
    rmp_sweep *sweep = NULL;
    char *sets[] = {set}, *grids[] = {grid};
    rmp_fail_clear();
    const rmp_status status = rmp_sweep_read(write_sweep(axes), set != NULL, sets, grid != NULL, grids, &sweep);
    expect_failure(status, RMP_ERR_CONFIG, word, other);
    cr_assert_null(sweep);
}

static void refuses(const char *axes, const char *word, const char *other)
{
    refuses_with(axes, NULL, NULL, word, other);
}

static void expect_name(const rmp_sweep *sweep, int64_t cell, const char *wanted)
{
    char name[RMP_SWEEP_NAME + 1];
    rmp_sweep_name(sweep, cell, name);
    cr_assert_str_eq(name, wanted);
}

static const char two_axes[] = "  solver.T: [10, 20, 40]\n"
                               "  task:\n"
                               "    sr4: {operator.kind: super_resolution, operator.factor: 4}\n"
                               "    inpaint: {operator.kind: inpaint_random, operator.fraction: 0.6}\n";

Test(sweep, the_last_axis_varies_fastest)
{
    rmp_sweep *s = accepts(two_axes, 0, NULL);
    cr_assert_eq(s->axes, 2);
    cr_assert_eq(s->cells, 6);
    cr_assert(s->axis[0].numeric && !s->axis[0].named && !s->axis[0].problem);
    cr_assert(!s->axis[1].numeric && s->axis[1].named && s->axis[1].problem);
    cr_assert_float_eq(s->axis[0].point[2].number, 40, 0);
    expect_name(s, 0, "T=10.sr4");
    expect_name(s, 1, "T=10.inpaint");
    expect_name(s, 5, "T=40.inpaint");
    rmp_sweep_free(&s);
    cr_assert_null(s);
}

Test(sweep, a_cell_is_a_job)
{
    rmp_sweep *s = accepts(two_axes, 0, NULL);
    rmp_job *job = NULL;
    expect_ok(rmp_sweep_job(s, 3, &job));
    cr_assert_eq(job->solver.T, 20);
    cr_assert_eq(job->solver.cg_iterations, 7); /* of the base */
    cr_assert_eq(job->op.config.kind, RMP_OPERATOR_INPAINT_RANDOM);
    cr_assert_float_eq(job->op.config.fraction, 0.6, 0);
    char folder[512];
    snprintf(folder, sizeof folder, "%s/out/cells/T=20.inpaint", scratch);
    cr_assert(strstr(job->output.dir, "/out/cells/T=20.inpaint") != NULL, "%s", job->output.dir);
    rmp_job_free(&job);
    rmp_sweep_free(&s);
}

/* operator.factor and solver.cg_iterations of the file mean nothing for the kinds that these cells choose. */
Test(sweep, keys_of_other_kinds_are_left_out)
{
    rmp_sweep *s = accepts("  how:\n"
                           "    a: {solver.likelihood: pigdm}\n"
                           "    b: {operator.kind: denoise}\n"
                           "    c: {noise.kind: none}\n",
                           0, NULL);
    for (int64_t i = 0; i < 3; i++) {
        rmp_job *job = NULL;
        char *text = NULL;
        expect_ok(rmp_sweep_job(s, i, &job));
        expect_ok(rmp_job_text(job, &text));
        cr_assert_eq(strstr(text, "cg_iterations") == NULL, i == 0);
        cr_assert_eq(strstr(text, "factor") == NULL, i == 1);
        cr_assert_eq(strstr(text, "sigma: 0.05") == NULL, i == 2);
        free(text);
        rmp_job_free(&job);
    }
    rmp_sweep_free(&s);
}

/* The same of --set, but not of a key that the cell itself sets, or where the cell chose no kind. */
Test(sweep, keys_that_do_not_apply)
{
    char *set[] = {"solver.cg_iterations=5"};
    rmp_sweep *s = NULL;
    rmp_job *job = NULL;
    expect_ok(rmp_sweep_read(write_sweep("  solver.likelihood: [moment, pigdm]\n"), 1, set, 0, NULL, &s));
    expect_ok(rmp_sweep_job(s, 0, &job));
    cr_assert_eq(job->solver.cg_iterations, 5);
    rmp_job_free(&job);
    expect_ok(rmp_sweep_job(s, 1, &job));
    rmp_job_free(&job);
    rmp_sweep_free(&s);

    s = accepts("  solver.likelihood: [moment, pigdm]\n  solver.cg_iterations: [1, 2]\n", 0, NULL);
    expect_ok(rmp_sweep_job(s, 1, &job));
    rmp_job_free(&job);
    expect_failure(rmp_sweep_job(s, 2, &job), RMP_ERR_CONFIG, "cell likelihood=pigdm.cg_iterations=1",
                   "solver.cg_iterations: does not apply");
    rmp_sweep_free(&s);

    s = accepts("  how:\n    a: {operator.std: 3}\n", 0, NULL);
    expect_failure(rmp_sweep_job(s, 0, &job), RMP_ERR_CONFIG, "t.yaml:12: sweep.how.a: operator.std", "does not apply");
    rmp_sweep_free(&s);
}

Test(sweep, null_removes_a_key)
{
    rmp_sweep *s = accepts("  solver.cg_iterations: [null, 1]\n", 0, NULL);
    rmp_job *job = NULL;
    expect_name(s, 0, "cg_iterations=null");
    expect_ok(rmp_sweep_job(s, 0, &job));
    cr_assert_neq(job->solver.cg_iterations, 7); /* the default, not that of the file */
    rmp_job_free(&job);
    rmp_sweep_free(&s);
}

/* Names tell values apart by what is needed of a path, and are those of any file system. */
Test(sweep, names)
{
    rmp_sweep *s = accepts("  operator.mask: [masks/a.png, masks/b/a.png]\n"
                           "  operator.box: [[48, 32], [8, 8]]\n"
                           "  noise.range: [\"[-1,1]\", \"[0,255]\"]\n",
                           0, NULL);
    expect_name(s, 0, "mask=masks_a.png.box=48x32.range=-1x1");
    expect_name(s, 7, "mask=b_a.png.box=8x8.range=0x255");
    rmp_sweep_free(&s);
}

Test(sweep, long_names_stay_different)
{
    char *grid[] = {
        "operator.file=/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1,/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"};
    char a[RMP_SWEEP_NAME + 1], b[RMP_SWEEP_NAME + 1];
    rmp_sweep *s = accepts("  solver.T: [1, 2]\n", 1, grid);
    rmp_sweep_name(s, 0, a);
    rmp_sweep_name(s, 1, b);
    cr_assert(strcmp(a, b) != 0, "%s", a);
    rmp_sweep_free(&s);
}

static char *text_of(const rmp_sweep *sweep)
{
    char *text = NULL;
    expect_ok(rmp_sweep_text(sweep, &text));
    return text;
}

/* The resolved text gives the same cells with the same names and the same text again. */
Test(sweep, resolved_text)
{
    rmp_sweep *s = accepts("  operator.mask: [masks/a.png, b.png]\n"
                           "  noise.range: [\"[-1,1]\", \"[0,255]\"]\n"
                           "  operator.box: [[48, 32], [8, 8]]\n"
                           "  how:\n    plain: {}\n    quick: {solver.T: 5, prior.model: nets/my net.pt}\n",
                           0, NULL);
    char *text = text_of(s);
    scratch_write(scratch_path("again.yaml"), text, strlen(text));
    rmp_sweep *again = NULL;
    expect_ok(rmp_sweep_read(scratch_path("again.yaml"), 0, NULL, 0, NULL, &again));
    char *second = text_of(again), name[RMP_SWEEP_NAME + 1];
    cr_assert_str_eq(text, second);
    cr_assert_eq(s->cells, again->cells);
    for (int64_t i = 0; i < s->cells; i++) {
        rmp_sweep_name(s, i, name);
        expect_name(again, i, name);
    }
    free(text);
    free(second);
    rmp_sweep_free(&again);
    rmp_sweep_free(&s);
}

Test(sweep, grids_of_the_command_line)
{
    char *grid[] = {"solver.T=5,6", "task=inpaint", "solver.s1=0.5,1"};
    rmp_sweep *s = accepts(two_axes, 3, grid);
    cr_assert_eq(s->cells, 4);
    expect_name(s, 0, "T=5.inpaint.s1=0.5");
    expect_name(s, 3, "T=6.inpaint.s1=1");
    rmp_sweep_free(&s);
    /* A file without a section. */
    scratch_write(scratch_path("plain.yaml"), base, sizeof base - 1 - strlen("sweep:\n"));
    expect_ok(rmp_sweep_read(scratch_path("plain.yaml"), 0, NULL, 1, grid, &s));
    cr_assert_eq(s->cells, 2);
    rmp_sweep_free(&s);
    expect_failure(rmp_sweep_read(scratch_path("plain.yaml"), 0, NULL, 0, NULL, &s), RMP_ERR_CONFIG, "sweep: missing",
                   "--grid");
}

Test(sweep, mistakes)
{
    refuses("  solver.X: [1, 2]\n", "t.yaml:11: sweep.solver.X", "no key solver.X");
    refuses("  how:\n    a: {solver.X: 1}\n", "t.yaml:12: sweep.how.a", "no key solver.X");
    refuses("  solver.T: [10,\n    many]\n", "t.yaml:12: sweep.solver.T", "'many' is not accepted; give an integer");
    refuses("  solver.T: []\n", "t.yaml:11: sweep.solver.T", "empty");
    refuses("  how: {}\n", "t.yaml:11: sweep.how", "empty");
    refuses("  {}\n", "t.yaml:10: sweep", "axes");
    refuses("  solver.T: 5\n", "t.yaml:11: sweep.solver.T", "list of values");
    refuses("  solver.T: {a: {solver.T: 1}}\n", "t.yaml:11: sweep.solver.T", "list");
    refuses("  noise.sigma: [0.1, 0.2, 0.10]\n", "t.yaml:11: sweep.noise.sigma", "0.1 is there twice");
    refuses("  how:\n    a: {}\n    a: {}\n", "t.yaml:13: sweep.how.a", "twice");
    refuses("  how:\n    a: {solver.T: 1, solver.T: 2}\n", "t.yaml:12: sweep.how.a", "given twice");
    refuses("  solver.T: [1]\n  solver.T: [2]\n", "t.yaml:12: sweep.solver.T", "given twice");
    refuses("  solver.T: [1]\n  how: {a: {solver.T: 2}}\n", "t.yaml:12: sweep.how.a", "two axes");
    refuses("  output.dir: [a, b]\n", "t.yaml:11: sweep.output.dir", "folder");
    refuses("  how: {a: {output.dir: b}}\n", "t.yaml:11: sweep.how.a", "folder");
    refuses("  how: {\"a b\": {}}\n", "t.yaml:11: sweep.how.a b", "named");
    refuses("  failed: {a: {}}\n", "t.yaml:11: sweep.failed", "named");
    refuses("  how: {a: 3}\n", "t.yaml:11: sweep.how.a", "sets keys");
    refuses("  seed: [1, 2\n", "t.yaml:", "not YAML");
}

Test(sweep, mistakes_of_the_command_line)
{
    refuses_with(two_axes, "solver.T=5", NULL, "--set solver.T=5", "--grid");
    refuses_with(two_axes, "solver.X=5", NULL, "--set solver.X=5", "no key");
    refuses_with(two_axes, "output.dir=null", NULL, "output.dir", "missing");
    refuses_with(two_axes, NULL, "solver.T", "--grid solver.T", "expected");
    refuses_with(two_axes, NULL, "solver.T=", "--grid solver.T=", "expected");
    refuses_with(two_axes, NULL, "solver.T=1,0", "--grid solver.T=1,0", "not accepted");
    refuses_with(two_axes, NULL, "nothing=1", "--grid nothing=1", "no axis");
    refuses_with(two_axes, NULL, "task=sr4,blur", "--grid task=sr4,blur", "no variant 'blur'");
    refuses_with(two_axes, NULL, "task=sr4,sr4", "--grid task=sr4,sr4", "twice");
    refuses_with(two_axes, NULL, "operator.factor=2,4", "--grid operator.factor=2,4", "two axes");
}

Test(sweep, bounded)
{
    char axes[2048] = "  solver.T: [1";
    size_t used = strlen(axes);
    for (int i = 2; i <= 101; i++)
        used += (size_t)snprintf(axes + used, sizeof axes - used, ", %d", i);
    used += (size_t)snprintf(axes + used, sizeof axes - used, "]\n  seed: [1");
    for (int i = 2; i <= 100; i++)
        used += (size_t)snprintf(axes + used, sizeof axes - used, ", %d", i);
    snprintf(axes + used, sizeof axes - used, "]\n");
    refuses(axes, "t.yaml: sweep", "more than 10000 cells");
    refuses("  a: {x: {}}\n  b: {x: {}}\n  c: {x: {}}\n  d: {x: {}}\n  e: {x: {}}\n  f: {x: {}}\n  g: {x: {}}\n"
            "  h: {x: {}}\n  i: {x: {}}\n",
            "sweep.i", "at most 8 axes");
}

/* A job is no sweep, and the other way round. */
Test(sweep, another_command)
{
    rmp_job *job = NULL;
    expect_failure(rmp_job_read(write_sweep(two_axes), 0, NULL, &job), RMP_ERR_CONFIG, "t.yaml:10: sweep", "rmp sweep");
    cr_assert(rmp_sweep_is_one(base, sizeof base - 1));
    cr_assert(!rmp_sweep_is_one("seed: 1\n", 8));
    cr_assert(!rmp_sweep_is_one("seed: [1\n", 9));
}

/* ---- combinations that are no cells ---- */

static const char excepting[] = "  task:\n"
                                "    a: {operator.factor: 2}\n"
                                "    b: {operator.factor: 4}\n"
                                "    c: {operator.factor: 8}\n"
                                "  except: [{task: [b, c], how: fast}, {task: a, how: [good]}]\n"
                                "  how:\n"
                                "    good: {solver.T_in: 3}\n"
                                "    fast: {solver.T_in: 1}\n"
                                "  solver.T: [10, 20]\n";

Test(sweep, exceptions_are_no_cells)
{
    static const char *const names[] = {"a.fast.T=10", "a.fast.T=20", "b.good.T=10",
                                        "b.good.T=20", "c.good.T=10", "c.good.T=20"};
    rmp_sweep *sweep = accepts(excepting, 0, NULL);
    int place[RMP_SWEEP_AXES];
    cr_assert_eq(sweep->cells, 6);
    for (int i = 0; i < 6; i++) {
        expect_name(sweep, i, names[i]);
        rmp_sweep_places(sweep, i, place);
        cr_assert_eq(rmp_sweep_cell_at(sweep, place), i);
    }
    rmp_job *job;
    expect_ok(rmp_sweep_job(sweep, 2, &job));
    cr_assert_eq(job->solver.T_in, 3);
    rmp_job_free(&job);
    memset(place, 0, sizeof place); /* a.good.T=10 */
    cr_assert_eq(rmp_sweep_cell_at(sweep, place), -1);
    place[0] = place[1] = place[2] = 1; /* b.fast.T=20 */
    cr_assert_eq(rmp_sweep_cell_at(sweep, place), -1);
    rmp_sweep_free(&sweep);
}

Test(sweep, exceptions_in_the_text)
{
    char *text, *again, *grid[] = {"task=c,b"};
    rmp_sweep *sweep = accepts(excepting, 1, grid), *other;
    cr_assert_eq(sweep->cells, 4);
    expect_name(sweep, 0, "c.good.T=10");
    expect_ok(rmp_sweep_text(sweep, &text));
    /* What speaks of a variant that is not there any more is gone. */
    cr_assert_not_null(strstr(text, "  except:\n    - {task: [c, b], how: [fast]}\n"), "%s", text);
    cr_assert_null(strstr(text, "good]"), "%s", text);
    scratch_write(scratch_path("again.yaml"), text, strlen(text));
    expect_ok(rmp_sweep_read(scratch_path("again.yaml"), 0, NULL, 0, NULL, &other));
    expect_ok(rmp_sweep_text(other, &again));
    cr_assert_str_eq(text, again);
    free(text);
    free(again);
    rmp_sweep_free(&sweep);
    rmp_sweep_free(&other);
}

Test(sweep, wrong_exceptions)
{
#define AXES "  solver.T: [10, 20]\n  how: {good: {solver.T_in: 3}, fast: {solver.T_in: 1}}\n"
    refuses(AXES "  except: [{how: slow}]\n", "t.yaml:13: sweep.except: the axis how has no variant 'slow'", "");
    refuses(AXES "  except: [{how: [[good]]}]\n", "has no variant ''", "");
    refuses(AXES "  except: [{hou: good}]\n", "there is no axis of variants 'hou'", "");
    refuses(AXES "  except: [{solver.T: 10}]\n", "there is no axis of variants 'solver.T'", "");
    refuses(AXES "  except: [{how: good, how: fast}]\n", "how is given twice", "");
    refuses(AXES "  except: [good]\n", "names variants of axes", "");
    refuses(AXES "  except: [{}]\n", "names variants of axes", "");
    refuses(AXES "  except: {how: good}\n", "takes a list of combinations", "");
    refuses(AXES "  except: [{how: [good, fast]}]\n", "leaves no cell", "");
    refuses(AXES "  except: [{how: good}]\n  except: [{how: fast}]\n", "twice", "");
#undef AXES
    char text[4096] = "  how: {good: {solver.T_in: 3}, fast: {solver.T_in: 1}}\n  except:\n";
    for (int i = 0; i <= RMP_SWEEP_EXCEPTIONS; i++)
        strcat(text, "    - {how: fast}\n");
    refuses(text, "at most 64 exceptions", "");
}
