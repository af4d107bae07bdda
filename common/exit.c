#include "exit.h"

#include <stddef.h>

#include "log.h"

int exit_status(const struct err *err)
{
    switch (err->kind) {
    case ERR_NONE:
        return STATUS_OK;
    case ERR_PERMANENT:
        log_error(err->text, "kind", "permanent", NULL);
        return STATUS_PERMANENT;
    case ERR_TEMPORARY:
    case ERR_RETRY:
        log_error(err->text, "kind", "temporary", NULL);
        return STATUS_TEMPORARY;
    }
    BUG("unknown kind of error");
}
