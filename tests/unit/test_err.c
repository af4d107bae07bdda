/*
 * Tests of common/base/err.c: which faults of a system call pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/err.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void what_passes_is_temporary(void **state)
{
    (void)state;
    static const int passing[] = {EAGAIN,  EDQUOT, EINTR,  EIO,    EMFILE, ENFILE,
                                  ENOBUFS, ENOLCK, ENOMEM, ENOSPC, ESTALE};
    static const int lasting[] = {0,       EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT,
                                  ENOTDIR, EPERM,  EROFS,  ENXIO, EINVAL};
    for (size_t i = 0; i < LENGTH(passing); i++)
        assert_int_equal(err_kind_of(passing[i]), ERR_TEMPORARY);
    for (size_t i = 0; i < LENGTH(lasting); i++)
        assert_int_equal(err_kind_of(lasting[i]), ERR_PERMANENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_is_temporary),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
