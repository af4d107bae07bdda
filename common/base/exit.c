#include "base/exit.h"

#include <stddef.h>

#include "base/log.h"

int status_of(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return STATUS_OK;
    case ERR_PERMANENT:
        return STATUS_PERMANENT;
    case ERR_TEMPORARY:
    case ERR_RETRY:
        return STATUS_TEMPORARY;
    }
    BUG("unknown kind of error");
}

int exit_status(const struct err *err)
{
    int status = status_of(err->kind);
    if (status != STATUS_OK)
        (err->follows ? log_info : log_error)(
            err->text, "kind", status == STATUS_PERMANENT ? "permanent" : "temporary", NULL);
    return status;
}
