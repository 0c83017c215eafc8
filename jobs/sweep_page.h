/* Inside of the report of a sweep. Everything is bounded, however many cells there are. */
#pragma once

#include "jobs/sweep_results.h"

enum { RMP_SWEEP_CHARTS = 8 /* of one kind beside each other */, RMP_SWEEP_LINES = 12, RMP_SWEEP_PICTURES = 24 };

/* Colours of lines and points: static storage. */
const char *rmp_sweep_colour(int line);

/* The main figure of the cell at these places; NaN if it is left out. */
double rmp_sweep_value_at(const rmp_sweep_results *results, const int place[RMP_SWEEP_AXES]);
/* "sr4.T=10: psnr 28.14, cost 40, 1 of 6 items failed": a cell, when a pointer rests on it; HTML. */
void rmp_sweep_cell_text(const rmp_sweep_results *results, int64_t cell, FILE *out);
/* "T 10, sr4": where a place lies on the axes of `mask` (bit a: axis a), for titles. */
void rmp_sweep_place_text(const rmp_sweep *sweep, const int place[RMP_SWEEP_AXES], unsigned mask, char *text,
                          size_t size);
/* Goes through the places on the axes of `mask`: from zeros; false after the last. */
bool rmp_sweep_next_place(const rmp_sweep *sweep, unsigned mask, int place[RMP_SWEEP_AXES]);
/* Axes that change what is restored. */
unsigned rmp_sweep_problem_axes(const rmp_sweep *sweep);

/* Heat maps of the main figure over pairs of axes. */
void rmp_sweep_heat_maps(const rmp_sweep_results *results, FILE *out);
/* The main figure along each numeric axis, and against the cost. */
void rmp_sweep_curves(const rmp_sweep_results *results, FILE *out);
/* Restored images of the cells beside each other. RMP_ERR_MEMORY, or what encoding a picture returned. */
rmp_status rmp_sweep_pictures(const rmp_sweep_results *results, FILE *out) RMP_MUST_CHECK;
