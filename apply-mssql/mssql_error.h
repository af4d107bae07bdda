/*
 * mssql_error.h - what SQL Server's error numbers mean for the group that is being applied.
 * (Microsoft's page "Database Engine events and errors"; for Azure "Troubleshoot connectivity
 * issues and other errors".)
 */
#ifndef PG2ANY_MSSQL_ERROR_H
#define PG2ANY_MSSQL_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The database cannot be opened: a mistake, or a server that has just started and is not through
 * with its recovery. */
#define MSSQL_CANNOT_OPEN_DATABASE 4060

/* A unique index or constraint refused a row. */
bool mssql_error_is_duplicate(int number);

/* Copies a message of the server without the values of rows that some of them quote. */
void mssql_error_scrub(const char *message, char *out, size_t size);

/* Sets `err` to "<what>: <message> (error N, state M)" with what the user can do; returns -1. */
int mssql_error_set(struct err *err, int number, int state, const char *message, const char *what);

#endif
