/* Versions of this program and of the libraries it runs with. */
#pragma once

#include <jansson.h>

/* {"rmp": "0.1.0", "onednn": "2.7.2", ...}, as the libraries themselves say at run time; a new reference, NULL if there
 * is no memory. */
json_t *rmp_versions(void);
