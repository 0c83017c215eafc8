/* Text that comes from outside (file names, reasons) made safe for what it is written into. */
#pragma once

#include "core/status.h"

#include <stdio.h>

/* A copy in which every byte that is not part of valid UTF-8 is U+FFFD: file names may hold any bytes, JSON and HTML
 * may not. Owned by the caller; NULL only if there is no memory. NULL counts as "". */
char *rmp_text_utf8(const char *text);

/* Writes text into HTML content or a quoted attribute: & < > " ' become entities, invalid UTF-8 U+FFFD, control
 * characters a space. */
void rmp_text_html(FILE *out, const char *text);

/* Writes text as a cell of a CSV file, quoted where RFC 4180 wants it. */
void rmp_text_csv(FILE *out, const char *text);

/* Writes bytes as base64 without line breaks. */
void rmp_text_base64(FILE *out, const void *bytes, size_t size);
