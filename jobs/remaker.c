#include "jobs/remaker.h"

#include "gpu/devices.h"
#include "io/file.h"

#include <stdlib.h>

static rmp_status open_job(rmp_remaker *remaker)
{
    char *path = NULL;
    RMP_TRY(rmp_path_join(remaker->dir, "job.yaml", &path));
    rmp_status status = rmp_job_read(path, 0, NULL, &remaker->job);
    free(path);
    RMP_TRY(status);
    const rmp_device_request device = {.kind = "cpu"};
    const rmp_restorer_options options = {.host = ""};
    RMP_TRY(rmp_device_create(&device, &remaker->device));
    RMP_TRY(rmp_task_open(remaker->job, remaker->device, &remaker->task));
    return rmp_restorer_create(remaker->task, &options, &remaker->restorer);
}

rmp_status rmp_remaker_measure(void *context, const rmp_item *item, rmp_image *out)
{
    rmp_remaker *remaker = context;
    if (!remaker->tried) remaker->opened = open_job(remaker);
    RMP_CHECK(!remaker->tried || remaker->opened == RMP_OK, RMP_ERR_CONFIG, "the job cannot be opened any more");
    remaker->tried = true;
    RMP_TRY(remaker->opened);
    return rmp_restorer_measure(remaker->restorer, item, out);
}

void rmp_remaker_close(rmp_remaker *remaker)
{
    rmp_restorer_destroy(&remaker->restorer);
    rmp_task_close(&remaker->task);
    rmp_device_destroy(&remaker->device);
    rmp_job_free(&remaker->job);
}
