#include "base/begin.h"

#include <stddef.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/std_fds.h"

bool program_begin(const struct program *program, int argc, char **argv, void *target,
                   struct stage_options *stage, int *status)
{
    struct err err = {0};
    std_fds_reserve();
    log_init(program->name);
    switch (options_parse(program, argc, argv, target, stage, &err)) {
    case OPTIONS_RUN:
        return true;
    case OPTIONS_LEAVE:
        *status = STATUS_OK;
        return false;
    case OPTIONS_ERROR:
        break;
    }
    if (stage)
        stats_never_began(stage->stats, program->name, &err);
    *status = exit_status(&err);
    return false;
}
