#include "io/sweep.h"

#include "io/file.h"
#include "io/sweep_axis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells ---- */

void rmp_sweep_places(const rmp_sweep *sweep, int64_t cell, int place[RMP_SWEEP_AXES])
{
    if (sweep->kept != NULL) cell = sweep->kept[cell];
    for (int a = sweep->axes - 1; a >= 0; a--) {
        place[a] = (int)(cell % sweep->axis[a].points);
        cell /= sweep->axis[a].points;
    }
}

int64_t rmp_sweep_cell_at(const rmp_sweep *sweep, const int place[RMP_SWEEP_AXES])
{
    int64_t wanted = 0, low = 0, high = sweep->cells;
    for (int a = 0; a < sweep->axes; a++)
        wanted = wanted * sweep->axis[a].points + place[a];
    if (sweep->kept == NULL) return wanted;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (sweep->kept[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sweep->cells && sweep->kept[low] == wanted ? low : -1;
}

void rmp_sweep_name(const rmp_sweep *sweep, int64_t cell, char name[RMP_SWEEP_NAME + 1])
{
    int place[RMP_SWEEP_AXES];
    size_t used = 0;
    rmp_sweep_places(sweep, cell, place);
    name[0] = '\0';
    for (int a = 0; a < sweep->axes; a++) {
        const char *part = sweep->axis[a].point[place[a]].part;
        used += (size_t)snprintf(name + used, RMP_SWEEP_NAME + 1 - used, "%s%s", a > 0 ? "." : "", part);
    }
}

static rmp_status cell_failure(rmp_status status, const rmp_sweep *sweep, int64_t cell)
{
    char name[RMP_SWEEP_NAME + 1];
    if (status == RMP_OK) return RMP_OK;
    rmp_sweep_name(sweep, cell, name);
    return rmp_fail_context(status, "cell %s", name);
}

static rmp_status make_job(const rmp_sweep *sweep, int64_t cell, rmp_job_change change[], rmp_job **out)
{
    int place[RMP_SWEEP_AXES], changes = 0;
    char name[RMP_SWEEP_NAME + 1], *dir, *folder;
    rmp_sweep_places(sweep, cell, place);
    for (int a = 0; a < sweep->axes; a++) {
        const rmp_sweep_point *p = &sweep->axis[a].point[place[a]];
        for (int i = 0; i < p->changes; i++)
            change[changes++] = p->change[i];
    }
    const rmp_job_input input = {.path = sweep->path,
                                 .text = sweep->text,
                                 .size = sweep->size,
                                 .overrides = sweep->overrides,
                                 .override = sweep->override,
                                 .sweep = true,
                                 .changes = changes,
                                 .change = change};
    rmp_job *job = NULL;
    RMP_TRY(rmp_job_make(&input, &job));
    rmp_sweep_name(sweep, cell, name);
    rmp_status status = rmp_path_join(sweep->dir, "cells", &folder);
    if (status == RMP_OK) {
        status = rmp_path_join(folder, name, &dir);
        free(folder);
    }
    if (status != RMP_OK) {
        rmp_job_free(&job);
        return status;
    }
    free(job->output.dir);
    job->output.dir = dir;
    *out = job;
    return RMP_OK;
}

rmp_status rmp_sweep_job(const rmp_sweep *sweep, int64_t cell, rmp_job **out)
{
    int most = 1;
    *out = NULL;
    for (int a = 0; a < sweep->axes; a++) {
        int longest = 0;
        for (int i = 0; i < sweep->axis[a].points; i++) {
            if (sweep->axis[a].point[i].changes > longest) longest = sweep->axis[a].point[i].changes;
        }
        most += longest;
    }
    rmp_job_change *change = calloc((size_t)most, sizeof *change);
    RMP_CHECK(change != NULL, RMP_ERR_MEMORY, "no memory for a cell");
    rmp_status status = make_job(sweep, cell, change, out);
    free(change);
    return cell_failure(status, sweep, cell);
}

/* ---- the sweep as text ---- */

static void write_change(FILE *f, const rmp_job_change *change, const char *end)
{
    const char *equals = strchr(change->text, '=');
    fprintf(f, "%.*s: %s%s", (int)(equals - change->text), change->text, equals + 1, end);
}

static void write_axis(FILE *f, const rmp_sweep_axis *axis)
{
    if (!axis->named) {
        fprintf(f, "  %s: [", axis->name);
        for (int i = 0; i < axis->points; i++)
            fprintf(f, "%s%s", i > 0 ? ", " : "", strchr(axis->point[i].change[0].text, '=') + 1);
        fprintf(f, "]\n");
        return;
    }
    fprintf(f, "  %s:\n", axis->name);
    for (int i = 0; i < axis->points; i++) {
        const rmp_sweep_point *p = &axis->point[i];
        fprintf(f, "    %s: {", p->label);
        for (int c = 0; c < p->changes; c++)
            write_change(f, &p->change[c], c + 1 < p->changes ? ", " : "");
        fprintf(f, "}\n");
    }
}

static void write_names(FILE *f, const rmp_sweep_axis *axis, uint64_t bit)
{
    const char *before = "";
    fprintf(f, "%s: [", axis->name);
    for (int i = 0; i < axis->points; i++) {
        if ((axis->point[i].excepted & bit) == 0) continue;
        fprintf(f, "%s%s", before, axis->point[i].label);
        before = ", ";
    }
    fprintf(f, "]");
}

/* Those that --grid has left nothing of are not written. */
static void write_exceptions(FILE *f, const rmp_sweep *sweep)
{
    bool any = false;
    for (int e = 0; e < sweep->exceptions; e++) {
        const uint64_t bit = UINT64_C(1) << e;
        const char *before = "";
        if (!rmp_sweep_exception_matters(sweep, e)) continue;
        if (!any) fprintf(f, "  except:\n");
        any = true;
        fprintf(f, "    - {");
        for (int a = 0; a < sweep->axes; a++) {
            if ((sweep->axis[a].excepted & bit) == 0) continue;
            fprintf(f, "%s", before);
            write_names(f, &sweep->axis[a], bit);
            before = ", ";
        }
        fprintf(f, "}\n");
    }
}

rmp_status rmp_sweep_text(const rmp_sweep *sweep, char **out)
{
    size_t size;
    *out = NULL;
    FILE *f = open_memstream(out, &size);
    RMP_CHECK(f != NULL, RMP_ERR_MEMORY, "no memory for the text of the sweep");
    fprintf(f, "%ssweep:\n", sweep->base);
    for (int a = 0; a < sweep->axes; a++)
        write_axis(f, &sweep->axis[a]);
    write_exceptions(f, sweep);
    const bool complete = !ferror(f);
    if (fclose(f) == 0 && complete) return RMP_OK;
    free(*out);
    *out = NULL;
    return RMP_FAIL(RMP_ERR_MEMORY, "no memory for the text of the sweep");
}

void rmp_sweep_axis_free(rmp_sweep_axis *axis)
{
    for (int i = 0; i < axis->points; i++) {
        rmp_sweep_point *p = &axis->point[i];
        for (int c = 0; c < p->changes; c++)
            free(p->change[c].text);
        free(p->change);
        free(p->label);
        free(p->part);
        free(p->origin);
    }
    free(axis->point);
    free(axis->name);
    memset(axis, 0, sizeof *axis);
}

void rmp_sweep_free(rmp_sweep **sweep)
{
    rmp_sweep *s = *sweep;
    if (s == NULL) return;
    for (int a = 0; a < s->axes; a++)
        rmp_sweep_axis_free(&s->axis[a]);
    for (int i = 0; i < s->overrides; i++)
        free(s->override[i]);
    free(s->override);
    free(s->kept);
    free(s->path);
    free(s->text);
    free(s->base);
    free(s->dir);
    free(s);
    *sweep = NULL;
}
