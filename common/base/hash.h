/*
 * hash.h - uthash, changed to report that memory has run out; by itself it would end the program.
 *
 * HASH_FIND, HASH_DEL, HASH_ITER, HASH_CLEAR and the handle, always a member called hh, are
 * uthash's: https://troydhanson.github.io/uthash/userguide.html. To add there are the two macros
 * below alone: uthash's own say nothing, and with these gcc warns of who does not look.
 */
#ifndef PG2ANY_HASH_H
#define PG2ANY_HASH_H

#ifdef UTHASH_H
#error "uthash.h was included without base/hash.h"
#endif

#include <stdbool.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/*
 * Adds `element` to the table `head`; the key is its member `field`, which may have no padding and
 * must not be there yet. Sets the bool `added`; false: memory has run out, the table is as it was
 * and the element still the caller's.
 */
#define HASH_TRY_ADD(head, field, element, added)                                                  \
    do {                                                                                           \
        HASH_ADD(hh, head, field, sizeof(element)->field, element);                                \
        (added) = (element)->hh.tbl != NULL;                                                       \
    } while (0)

/* The same with a key of `size` bytes at `key`, which live as long as the element. */
#define HASH_TRY_ADD_KEYPTR(head, key, size, element, added)                                       \
    do {                                                                                           \
        HASH_ADD_KEYPTR(hh, head, key, size, element);                                             \
        (added) = (element)->hh.tbl != NULL;                                                       \
    } while (0)

#endif
