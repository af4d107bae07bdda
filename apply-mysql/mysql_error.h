/*
 * mysql_error.h - what an error of the server or of the client library means for the group that is
 * being applied, and its text without the values that the server puts into it.
 *
 * Numbers: MySQL Reference Manual, "Error Messages and Common Problems"; MariaDB's own, its page
 * "MariaDB Error Codes". The session's lc_messages is en_US, so that the texts are known.
 */
#ifndef PG2ANY_MYSQL_ERROR_H
#define PG2ANY_MYSQL_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Repeating the group may help, leaving and coming back may, or nothing but a person does. */
enum err_kind mysql_error_kind(unsigned int number);

/* Whether the connection is gone, or of no more use. */
bool mysql_error_disconnects(unsigned int number);

/* A mistake in one row's values, as opposed to one of the statement, the table or the server. */
bool mysql_error_is_duplicate(unsigned int number);

/* Copies a message of the server without the values in it: Duplicate entry … for key 'PRIMARY'. */
void mysql_error_scrub(const char *message, char *out, size_t size);

/* Sets `err` to "what: message (errno, sqlstate)", with a hint where there is one; returns -1. */
int mysql_error_set(struct err *err, unsigned int number, const char *sqlstate, const char *message,
                    const char *what);

#endif
