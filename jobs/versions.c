#include "jobs/versions.h"

#include <cblas.h>
#include <mpi.h>
#include <oneapi/dnnl/dnnl.h>
#include <png.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <yaml.h>

/* The first line: some libraries add their copyright, or how they were built. */
static void add(json_t *object, const char *name, const char *version)
{
    json_object_set_new(object, name, json_stringn(version, strcspn(version, "\n")));
}

json_t *rmp_versions(void)
{
    json_t *object = json_object();
    if (!object) return NULL;
    add(object, "rmp", RMP_VERSION);
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    const dnnl_version_t *dnnl = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
    add(object, "onednn", text);
    add(object, "openblas", openblas_get_config());
    int length = 0;
    if (MPI_Get_library_version(text, &length) == MPI_SUCCESS) add(object, "mpi", text);
    add(object, "sqlite", sqlite3_libversion());
    add(object, "libtiff", TIFFGetVersion());
    add(object, "libpng", png_get_libpng_ver(NULL));
    add(object, "libyaml", yaml_get_version_string());
    add(object, "jansson", jansson_version_str());
    add(object, "compiler", __VERSION__);
    return object;
}
