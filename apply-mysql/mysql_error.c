/*
 * What an error of the server or of the client library means for the group that is being applied,
 * and its text without the values that the server puts into it.
 *
 * Numbers: MySQL Reference Manual, "Error Messages and Common Problems"; MariaDB's own, its page
 * "MariaDB Error Codes". The session's lc_messages is en_US, so that the texts are known.
 */
#include <stdio.h>
#include <string.h>

#include "mysql_driver.h"
#include "sql/error_rules.h"

#define TLS_ERROR 2026 /* CR_SSL_CONNECTION_ERROR */

static const char plain[] =
    "the server wants the password in clear text, which it gets only with tls=verify-ca or "
    "verify-identity in --dest";
static const char login[] = "the server does not let this user in from here";
static const char
    space[] = "free some space",
    replica[] = "is this a replica?",
    time_limit[] = "the server has a limit on the time that a statement may take",
    privileges[] =
        "the user needs SELECT, INSERT, UPDATE, DELETE, and CREATE, ALTER, DROP, INDEX for "
        "--ddl evolve, on the target's databases",
    wide[] = "InnoDB has at most 1017 columns, and 65,535 bytes in a row without its "
             "texts: leave columns out of the publication (a column list)",
    foreign_keys[] = "foreign keys of the target itself are checked; "
                     "foreign_keys=off in --dest leaves that to the source";

/*
 * Names of the numbers beside them; some are in one client library's headers only. Not among them
 * is 2061, CR_AUTH_PLUGIN_ERR: the client's plugin says so of a server that insists on TLS, but
 * also of a connection that broke off while it was made.
 */
static const struct error_rule rules[] = {
    {3, ERR_TEMPORARY, NULL},     /* EE_WRITE */
    {20, ERR_TEMPORARY, space},   /* EE_DISK_FULL */
    {1020, ERR_RETRY, NULL},      /* CHECKREAD: MariaDB with innodb_snapshot_isolation */
    {1021, ERR_TEMPORARY, space}, /* DISK_FULL */
    {1024, ERR_TEMPORARY, NULL},  /* ERROR_ON_READ */
    {1026, ERR_TEMPORARY, NULL},  /* ERROR_ON_WRITE */
    {1030, ERR_TEMPORARY, NULL},  /* GET_ERRNO, "error 28 from storage engine": the disk, mostly */
    {1037, ERR_TEMPORARY, NULL},  /* OUTOFMEMORY */
    {1038, ERR_TEMPORARY, NULL},  /* OUT_OF_SORTMEMORY */
    {1040, ERR_TEMPORARY, NULL},  /* CON_COUNT_ERROR */
    {1041, ERR_TEMPORARY, NULL},  /* OUT_OF_RESOURCES */
    {1043, ERR_TEMPORARY, NULL},  /* HANDSHAKE_ERROR */
    {1044, ERR_PERMANENT, privileges}, /* DBACCESS_DENIED_ERROR */
    /* ACCESS_DENIED_ERROR */
    {1045, ERR_PERMANENT, "user and password come from --dest, else from the option files"},
    {1047, ERR_RETRY, NULL}, /* UNKNOWN_COM_ERROR: a Galera node that is not in the cluster */
    /* BAD_DB_ERROR */
    {1049, ERR_PERMANENT, "create it, or leave create_database on"},
    {1053, ERR_RETRY, NULL},           /* SERVER_SHUTDOWN */
    {1114, ERR_TEMPORARY, space},      /* RECORD_FILE_FULL */
    {1117, ERR_PERMANENT, wide},       /* TOO_MANY_FIELDS */
    {1118, ERR_PERMANENT, wide},       /* TOO_BIG_ROWSIZE */
    {1129, ERR_TEMPORARY, NULL},       /* HOST_IS_BLOCKED */
    {1130, ERR_PERMANENT, login},      /* HOST_NOT_PRIVILEGED */
    {1135, ERR_TEMPORARY, NULL},       /* CANT_CREATE_THREAD */
    {1142, ERR_PERMANENT, privileges}, /* TABLEACCESS_DENIED_ERROR */
    {1143, ERR_PERMANENT, privileges}, /* COLUMNACCESS_DENIED_ERROR */
    {1152, ERR_RETRY, NULL},           /* ABORTING_CONNECTION */
    {1158, ERR_RETRY, NULL},           /* NET_READ_ERROR */
    {1159, ERR_RETRY, NULL},           /* NET_READ_INTERRUPTED */
    {1160, ERR_RETRY, NULL},           /* NET_ERROR_ON_WRITE */
    {1161, ERR_RETRY, NULL},           /* NET_WRITE_INTERRUPTED */
    {1203, ERR_TEMPORARY, NULL},       /* TOO_MANY_USER_CONNECTIONS */
    /* LOCK_WAIT_TIMEOUT */
    {1205, ERR_RETRY, "another session holds a lock; --query-timeout says how long to wait for it"},
    {1213, ERR_RETRY, NULL},             /* LOCK_DEADLOCK */
    {1226, ERR_TEMPORARY, NULL},         /* USER_LIMIT_REACHED: in an hour, or connections */
    {1227, ERR_PERMANENT, privileges},   /* SPECIFIC_ACCESS_DENIED_ERROR */
    {1251, ERR_PERMANENT, login},        /* NOT_SUPPORTED_AUTH_MODE */
    {1290, ERR_TEMPORARY, replica},      /* OPTION_PREVENTS_STATEMENT: --read-only */
    {1317, ERR_RETRY, NULL},             /* QUERY_INTERRUPTED */
    {1412, ERR_RETRY, NULL},             /* TABLE_DEF_CHANGED */
    {1451, ERR_PERMANENT, foreign_keys}, /* a row that is referenced is to be deleted */
    {1452, ERR_PERMANENT, foreign_keys}, /* a row is to refer to one that is not there */
    /* MAX_PREPARED_STMT_COUNT_REACHED */
    {MY_TOO_MANY_STATEMENTS, ERR_TEMPORARY, "raise the server's max_prepared_stmt_count"},
    {1524, ERR_PERMANENT, login}, /* PLUGIN_IS_NOT_LOADED: of the user's */
    {1615, ERR_RETRY, NULL},      /* NEED_REPREPARE */
    {1637, ERR_TEMPORARY, NULL},  /* TOO_MANY_CONCURRENT_TRXS */
    /* BINLOG_STMT_MODE_AND_ROW_ENGINE */
    {1665, ERR_TEMPORARY, "set binlog_format to ROW or MIXED in the server"},
    {1698, ERR_PERMANENT, login},      /* ACCESS_DENIED_NO_PASSWORD_ERROR */
    {1792, ERR_TEMPORARY, replica},    /* CANT_EXECUTE_IN_READ_ONLY_TRANSACTION */
    {1820, ERR_PERMANENT, login},      /* MUST_CHANGE_PASSWORD */
    {1836, ERR_TEMPORARY, replica},    /* READ_ONLY_MODE */
    {1862, ERR_PERMANENT, login},      /* MUST_CHANGE_PASSWORD_LOGIN */
    {1878, ERR_TEMPORARY, NULL},       /* TEMP_FILE_WRITE_FAILURE */
    {1927, ERR_RETRY, NULL},           /* MariaDB: CONNECTION_KILLED */
    {1969, ERR_PERMANENT, time_limit}, /* MariaDB: STATEMENT_TIMEOUT */
    {2001, ERR_TEMPORARY, NULL},       /* CR_SOCKET_CREATE_ERROR */
    {2002, ERR_TEMPORARY, NULL},       /* CR_CONNECTION_ERROR */
    {2003, ERR_TEMPORARY, NULL},       /* CR_CONN_HOST_ERROR */
    {2004, ERR_TEMPORARY, NULL},       /* CR_IPSOCK_ERROR */
    {2005, ERR_TEMPORARY, NULL},       /* CR_UNKNOWN_HOST */
    {2006, ERR_RETRY, NULL},           /* CR_SERVER_GONE_ERROR */
    {2008, ERR_TEMPORARY, NULL},       /* CR_OUT_OF_MEMORY */
    {2012, ERR_TEMPORARY, NULL},       /* CR_SERVER_HANDSHAKE_ERR */
    /* CR_SERVER_LOST */
    {2013, ERR_RETRY, "the server is gone, or took longer than --query-timeout"},
    {TLS_ERROR, ERR_PERMANENT,
     "tls=off, required, verify-ca or verify-identity in --dest says what is asked for"},
    {2049, ERR_PERMANENT, login},      /* CR_SECURE_AUTH */
    {2055, ERR_RETRY, NULL},           /* CR_SERVER_LOST_EXTENDED */
    {2059, ERR_PERMANENT, login},      /* CR_AUTH_PLUGIN_CANNOT_LOAD */
    {3024, ERR_PERMANENT, time_limit}, /* MySQL: QUERY_TIMEOUT */
    {3032, ERR_TEMPORARY, NULL},       /* SERVER_OFFLINE_MODE */
    {3101, ERR_RETRY, NULL},           /* TRANSACTION_ROLLBACK_DURING_COMMIT: group replication */
    {3118, ERR_PERMANENT, login},      /* MySQL: ACCOUNT_HAS_BEEN_LOCKED */
    /* SECURE_TRANSPORT_REQUIRED */
    {3159, ERR_PERMANENT, "the server takes encrypted connections only: tls=required in --dest"},
    {3169, ERR_RETRY, NULL},      /* SESSION_WAS_KILLED */
    {5010, ERR_PERMANENT, plain}, /* MariaDB: CR_PLUGIN_NOT_ALLOWED */
    {4031, ERR_RETRY, NULL},      /* MySQL: CLIENT_INTERACTION_TIMEOUT, idle for too long */
    {4150, ERR_PERMANENT, login}, /* MariaDB: USER_IS_BLOCKED, until somebody unblocks it */
    {4151, ERR_PERMANENT, login}, /* MariaDB: ACCOUNT_HAS_BEEN_LOCKED */
    {0, ERR_PERMANENT, NULL},
};

bool my_error_is_duplicate(unsigned int number)
{
    /* DUP_ENTRY, DUP_ENTRY_WITH_KEY_NAME, DUP_ENTRY_AUTOINCREMENT_CASE */
    return number == 1062 || number == 1586 || number == 1569;
}

/* A limit of the server on time, locks or the binary log's cache: not of the table that it was
 * reached with. */
static bool is_of_server(unsigned int number)
{
    /* STATEMENT_TIMEOUT, QUERY_TIMEOUT, LOCK_TABLE_FULL, TRANS_CACHE_FULL */
    return number == 1969 || number == 3024 || number == 1206 || number == 1197;
}

/*
 * Values stand in single quotes after "entry " or ": ", and what comes after them begins with
 * "' for " where anything does. A value may hold any of that itself, so the last one counts. One
 * that has no partition stands at the end, bare.
 */
void my_error_scrub(const char *message, char *out, size_t size)
{
    static const char bare[] = "no partition for value ";
    const char *start = strstr(message, "entry '"), *other = strstr(message, ": '");
    if (other && (!start || other < start))
        start = other;
    if (!start) {
        const char *value = strstr(message, bare), *end = value ? value + strlen(bare) : NULL;
        (void)snprintf(out, size, "%.*s%s", end ? (int)(end - message) : (int)strlen(message),
                       message, end ? "…" : "");
        return;
    }
    start = strchr(start, '\'');
    const char *rest = "";
    for (const char *p = start; (p = strstr(p, "' for ")) != NULL; p++)
        rest = p + 1;
    (void)snprintf(out, size, "%.*s…%s", (int)(start - message), message, rest);
}

int my_error_set(struct err *err, unsigned int number, const char *sqlstate, const char *message,
                 const char *what)
{
    char text[512];
    const struct error_rule *rule = error_rule_find(rules, (int)number);
    enum err_kind kind = rule->kind;
    my_error_scrub(message, text, sizeof text);
    /* A handshake that breaks off has the same number as one that was refused. */
    if (number == TLS_ERROR && !strcasestr(message, "certificate") &&
        !strcasestr(message, "support"))
        kind = ERR_TEMPORARY;
    (void)err_set(err, kind, "%.200s: %s (%u, %s)", what, text, number, sqlstate);
    err->whole = is_of_server(number);
    return error_rule_hint(rule, err);
}
