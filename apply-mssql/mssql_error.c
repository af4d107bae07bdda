#include "mssql_error.h"

#include <stdio.h>
#include <string.h>

enum {
    NO_PERMISSION_FOR_STATEMENT = 262,
    NO_PERMISSION = 229,
    NO_COLUMN_PERMISSION = 230,
    SESSION_KILLED = 596,
    OUT_OF_MEMORY = 701,
    NO_BUFFERS = 802,
    DATABASE_IN_TRANSITION = 952,
    DATABASE_NOT_RECOVERED = 921,
    DATABASE_RECOVERING = 922,
    DATABASE_RESTORING = 927,
    DATABASE_OFFLINE = 942,
    DATABASE_INACCESSIBLE = 983,
    REPLICA_NOT_READABLE = 976,
    CANNOT_FIND_OBJECT = 1088,
    DISK_FULL_ALLOCATING = 1101,
    FILEGROUP_FULL = 1105,
    OUT_OF_LOCKS = 1204,
    DEADLOCK = 1205,
    LOCK_TIMEOUT = 1222,
    DUPLICATE_INDEX = 2601,
    DUPLICATE_KEY = 2627,
    TRUNCATED = 2628,
    READ_ONLY = 3906,
    VERSION_STORE_FULL = 3958,
    SNAPSHOT_CONFLICT = 3960,
    SNAPSHOT_CHANGED_SCHEMA = 3961,
    VERSION_STORE_SHORT = 3967,
    CANNOT_OPEN_DATABASE = 4060,
    LOGIN_TO_SECONDARY = 4221,
    SHUTDOWN = 6005,
    MEMORY_TIMEOUT = 8645,
    MEMORY_GRANT = 8651,
    LOG_FULL = 9002,
    LOG_FOR_DATABASE_NOT_AVAILABLE = 9001,
    RESOURCE_LIMIT = 10928,
    RESOURCE_BUSY = 10929,
    SERVER_PAUSED = 17142,
    TOO_MANY_CONNECTIONS = 17809,
    UPGRADE_MODE = 18401,
    LOGIN_FAILED = 18456,
    AZURE_ERROR = 40197,
    AZURE_BUSY = 40501,
    AZURE_QUOTA = 40544,
    AZURE_UNAVAILABLE = 40613,
    MEMORY_TABLE_CONFLICT = 41302,
    MEMORY_TABLE_REPEATABLE = 41305,
    MEMORY_TABLE_SERIALIZABLE = 41325,
    MEMORY_TABLE_DEPENDENCY = 41301,
    AZURE_TOO_MANY_CREATES = 49918,
    AZURE_TOO_MANY_UPDATES = 49919,
    AZURE_TOO_MANY_REQUESTS = 49920,
    FOREIGN_KEY = 547,
    DEPENDENT_OBJECT = 5074,
};

bool mssql_error_is_duplicate(int number)
{
    return number == DUPLICATE_KEY || number == DUPLICATE_INDEX;
}

bool mssql_error_is_unavailable(int number)
{
    return number == CANNOT_OPEN_DATABASE;
}

enum err_kind mssql_error_kind(int number)
{
    switch (number) {
    case DEADLOCK:
    case LOCK_TIMEOUT:
    case SNAPSHOT_CONFLICT:
    case SNAPSHOT_CHANGED_SCHEMA:
    case SESSION_KILLED:
    case MEMORY_TABLE_CONFLICT:
    case MEMORY_TABLE_REPEATABLE:
    case MEMORY_TABLE_SERIALIZABLE:
    case MEMORY_TABLE_DEPENDENCY:
    case SHUTDOWN:
    case AZURE_ERROR:
        return ERR_RETRY;
    case OUT_OF_MEMORY:
    case NO_BUFFERS:
    case DATABASE_IN_TRANSITION:
    case DATABASE_NOT_RECOVERED:
    case DATABASE_RECOVERING:
    case DATABASE_RESTORING:
    case DATABASE_OFFLINE:
    case DATABASE_INACCESSIBLE:
    case REPLICA_NOT_READABLE:
    case DISK_FULL_ALLOCATING:
    case FILEGROUP_FULL:
    case OUT_OF_LOCKS:
    case READ_ONLY:
    case VERSION_STORE_FULL:
    case VERSION_STORE_SHORT:
    case LOGIN_TO_SECONDARY:
    case MEMORY_TIMEOUT:
    case MEMORY_GRANT:
    case LOG_FULL:
    case LOG_FOR_DATABASE_NOT_AVAILABLE:
    case RESOURCE_LIMIT:
    case RESOURCE_BUSY:
    case SERVER_PAUSED:
    case TOO_MANY_CONNECTIONS:
    case UPGRADE_MODE:
    case AZURE_BUSY:
    case AZURE_QUOTA:
    case AZURE_UNAVAILABLE:
    case AZURE_TOO_MANY_CREATES:
    case AZURE_TOO_MANY_UPDATES:
    case AZURE_TOO_MANY_REQUESTS:
        return ERR_TEMPORARY;
    default:
        return ERR_PERMANENT;
    }
}

static const char *hint(int number)
{
    switch (number) {
    case NO_PERMISSION:
    case NO_COLUMN_PERMISSION:
    case NO_PERMISSION_FOR_STATEMENT:
    case CANNOT_FIND_OBJECT:
        return "docs/MSSQL.md says which permissions the user needs";
    case LOGIN_FAILED:
        return "user and password are those of --dest, and the user needs a login and a user in "
               "the database";
    case CANNOT_OPEN_DATABASE:
        return "create the database, or a user for this login in it";
    case DISK_FULL_ALLOCATING:
    case FILEGROUP_FULL:
    case LOG_FULL:
    case AZURE_QUOTA:
        return "free some space, or let the files grow";
    case LOCK_TIMEOUT:
        return "another session holds a lock; --query-timeout says how long to wait for it";
    case READ_ONLY:
    case LOGIN_TO_SECONDARY:
    case REPLICA_NOT_READABLE:
        return "is this a secondary replica?";
    case FOREIGN_KEY:
        return "foreign keys of the target itself are checked; ALTER TABLE … NOCHECK CONSTRAINT "
               "leaves that to the source";
    case DEPENDENT_OBJECT:
        return "drop what depends on the column in the target, and start again";
    default:
        return NULL;
    }
}

/* What stands before a value in a message, and what comes after it. */
static const struct {
    const char *before, *after;
} quoting[] = {
    {"The duplicate key value is (", ")."},
    {"Truncated value: '", "'."},
    {"value '", "' to "},
};

/* A value may hold what comes after it, so the last one counts. */
void mssql_error_scrub(const char *message, char *out, size_t size)
{
    for (size_t i = 0; i < sizeof quoting / sizeof *quoting; i++) {
        const char *start = strstr(message, quoting[i].before), *end = NULL;
        if (!start)
            continue;
        start += strlen(quoting[i].before);
        for (const char *p = start; (p = strstr(p, quoting[i].after)) != NULL; p++)
            end = p;
        (void)snprintf(out, size, "%.*s…%s", (int)(start - message), message, end ? end : "");
        return;
    }
    (void)snprintf(out, size, "%s", message);
}

int mssql_error_set(struct err *err, int number, int state, const char *message, const char *what)
{
    char text[512];
    mssql_error_scrub(message, text, sizeof text);
    (void)err_set(err, mssql_error_kind(number), "%.200s: %s (error %d, state %d)", what, text,
                  number, state);
    const char *advice = hint(number);
    return advice ? err_hint(err, "%s", advice) : -1;
}
