#include "jobs/sweep_results.h"
rmp_status rmp_sweep_write_html(const rmp_sweep_results *results)
{
    (void)results;
    return RMP_OK;
}
