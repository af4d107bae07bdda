#include "mysql_error.h"

#include <stdio.h>
#include <string.h>

/* Some of them are in one client library's headers only, so all stand here. */
enum {
    EE_WRITE_ERROR = 3,
    EE_DISK_IS_FULL = 20,
    DISK_FULL = 1021,
    ERROR_ON_READ = 1024,
    ERROR_ON_WRITE = 1026,
    HANDLER_ERROR = 1030, /* "Got error 28 from storage engine": the disk, mostly */
    OUT_OF_MEMORY = 1037,
    OUT_OF_SORT_MEMORY = 1038,
    TOO_MANY_CONNECTIONS = 1040,
    OUT_OF_RESOURCES = 1041,
    BAD_HANDSHAKE = 1043,
    DATABASE_ACCESS_DENIED = 1044,
    ACCESS_DENIED = 1045,
    NOT_READY = 1047, /* a Galera node that is not in the cluster says this too */
    UNKNOWN_DATABASE = 1049,
    SERVER_SHUTDOWN = 1053,
    DUPLICATE_ENTRY = 1062,
    TABLE_FULL = 1114,
    HOST_BLOCKED = 1129,
    TABLE_ACCESS_DENIED = 1142,
    COLUMN_ACCESS_DENIED = 1143,
    ABORTED_CONNECTION = 1152,
    NETWORK_READ = 1158,
    NETWORK_READ_INTERRUPTED = 1159,
    NETWORK_WRITE = 1160,
    NETWORK_WRITE_INTERRUPTED = 1161,
    TOO_MANY_USER_CONNECTIONS = 1203,
    LOCK_WAIT_TIMEOUT = 1205,
    LOCK_DEADLOCK = 1213,
    SPECIFIC_ACCESS_DENIED = 1227,
    OPTION_PREVENTS = 1290, /* --read-only */
    QUERY_INTERRUPTED = 1317,
    TABLE_DEFINITION_CHANGED = 1412,
    NO_REFERENCED_ROW = 1451, /* a row that is referenced is to be deleted */
    ROW_IS_REFERENCED = 1452, /* a row is to refer to one that is not there */
    DUPLICATE_ENTRY_IN_KEY = 1586,
    DUPLICATE_UNKNOWN_KEY = 1569,
    NEED_REPREPARE = 1615,
    READ_ONLY_MODE = 1836,
    TEMPORARY_FILE_WRITE = 1878,
    CONNECTION_KILLED = 1927, /* MariaDB */
    RECORD_CHANGED = 1020,    /* MariaDB with innodb_snapshot_isolation */
    STATEMENT_TIMEOUT_MARIADB = 1969,
    STATEMENT_TIMEOUT_MYSQL = 3024,
    CLIENT_INTERACTION_TIMEOUT = 4031, /* MySQL: the connection was idle for too long */

    CLIENT_CONNECTION = 2002,
    CLIENT_HOST = 2003,
    CLIENT_UNKNOWN_HOST = 2005,
    CLIENT_SERVER_GONE = 2006,
    CLIENT_OUT_OF_MEMORY = 2008,
    CLIENT_HANDSHAKE = 2012,
    CLIENT_SERVER_LOST = 2013,
    CLIENT_TLS = 2026,
    CLIENT_SERVER_LOST_EXTENDED = 2055,
};

bool mysql_error_disconnects(unsigned int number)
{
    switch (number) {
    case SERVER_SHUTDOWN:
    case ABORTED_CONNECTION:
    case NETWORK_READ:
    case NETWORK_READ_INTERRUPTED:
    case NETWORK_WRITE:
    case NETWORK_WRITE_INTERRUPTED:
    case CONNECTION_KILLED:
    case CLIENT_INTERACTION_TIMEOUT:
    case CLIENT_SERVER_GONE:
    case CLIENT_SERVER_LOST:
    case CLIENT_SERVER_LOST_EXTENDED:
        return true;
    default:
        return false;
    }
}

bool mysql_error_is_duplicate(unsigned int number)
{
    return number == DUPLICATE_ENTRY || number == DUPLICATE_ENTRY_IN_KEY ||
           number == DUPLICATE_UNKNOWN_KEY;
}

enum err_kind mysql_error_kind(unsigned int number)
{
    if (mysql_error_disconnects(number))
        return ERR_RETRY;
    switch (number) {
    case LOCK_WAIT_TIMEOUT:
    case LOCK_DEADLOCK:
    case RECORD_CHANGED:
    case TABLE_DEFINITION_CHANGED:
    case NEED_REPREPARE:
    case QUERY_INTERRUPTED:
    case NOT_READY:
        return ERR_RETRY;
    case EE_WRITE_ERROR:
    case EE_DISK_IS_FULL:
    case DISK_FULL:
    case ERROR_ON_READ:
    case ERROR_ON_WRITE:
    case HANDLER_ERROR:
    case OUT_OF_MEMORY:
    case OUT_OF_SORT_MEMORY:
    case OUT_OF_RESOURCES:
    case TABLE_FULL:
    case TEMPORARY_FILE_WRITE:
    case TOO_MANY_CONNECTIONS:
    case TOO_MANY_USER_CONNECTIONS:
    case BAD_HANDSHAKE:
    case HOST_BLOCKED:
    case OPTION_PREVENTS:
    case READ_ONLY_MODE:
    case CLIENT_CONNECTION:
    case CLIENT_HOST:
    case CLIENT_UNKNOWN_HOST:
    case CLIENT_OUT_OF_MEMORY:
    case CLIENT_HANDSHAKE:
        return ERR_TEMPORARY;
    default:
        return ERR_PERMANENT;
    }
}

static const char *hint(unsigned int number)
{
    switch (number) {
    case DATABASE_ACCESS_DENIED:
    case TABLE_ACCESS_DENIED:
    case COLUMN_ACCESS_DENIED:
    case SPECIFIC_ACCESS_DENIED:
        return "the user needs SELECT, INSERT, UPDATE, DELETE, and CREATE, ALTER, DROP, INDEX for "
               "--ddl evolve, on the databases that are written to";
    case ACCESS_DENIED:
        return "user and password come from --dest, else from the option files";
    case UNKNOWN_DATABASE:
        return "create it, or leave create_database on";
    case DISK_FULL:
    case EE_DISK_IS_FULL:
    case TABLE_FULL:
        return "free some space";
    case LOCK_WAIT_TIMEOUT:
        return "another session holds a lock; --query-timeout says how long to wait for it";
    case CLIENT_SERVER_LOST:
        return "the server is gone, or took longer than --query-timeout";
    case NO_REFERENCED_ROW:
    case ROW_IS_REFERENCED:
        return "foreign keys of the target itself are checked; foreign_keys=off in --dest leaves "
               "that to the source";
    case OPTION_PREVENTS:
    case READ_ONLY_MODE:
        return "is this a replica?";
    case CLIENT_TLS:
        return "tls=off, required, verify-ca or verify-identity in --dest says what is asked for";
    case STATEMENT_TIMEOUT_MARIADB:
    case STATEMENT_TIMEOUT_MYSQL:
        return "the server has a limit on the time that a statement may take";
    default:
        return NULL;
    }
}

/*
 * Values stand in single quotes after "entry " or ": ", and what comes after them begins with
 * "' for " where anything does. A value may hold any of that itself, so the last one counts.
 */
void mysql_error_scrub(const char *message, char *out, size_t size)
{
    const char *start = strstr(message, "entry '"), *other = strstr(message, ": '");
    if (other && (!start || other < start))
        start = other;
    if (!start) {
        (void)snprintf(out, size, "%s", message);
        return;
    }
    start = strchr(start, '\'');
    const char *rest = "";
    for (const char *p = start; (p = strstr(p, "' for ")) != NULL; p++)
        rest = p + 1;
    (void)snprintf(out, size, "%.*s…%s", (int)(start - message), message, rest);
}

int mysql_error_set(struct err *err, unsigned int number, const char *sqlstate, const char *message,
                    const char *what)
{
    char text[512];
    mysql_error_scrub(message, text, sizeof text);
    enum err_kind kind = mysql_error_kind(number);
    /* A handshake that breaks off has the same number as one that was refused. */
    if (number == CLIENT_TLS && !strcasestr(message, "certificate") &&
        !strcasestr(message, "support"))
        kind = ERR_TEMPORARY;
    (void)err_set(err, kind, "%.200s: %s (%u, %s)", what, text, number, sqlstate);
    const char *advice = hint(number);
    return advice ? err_hint(err, "%s", advice) : -1;
}
