/*
 * What SQL Server's error numbers mean for the group that is being applied. (Microsoft's page
 * "Database Engine events and errors"; for Azure "Troubleshoot connectivity issues and other
 * errors".)
 */
#include <stdio.h>
#include <string.h>

#include "mssql_driver.h"
#include "sql/error_rules.h"

static const char permissions[] = "docs/MSSQL.md says which permissions the user needs",
                  login[] = "the server does not let this login in",
                  space[] = "free some space, or let the files grow",
                  replica[] = "is this a secondary replica?";

/*
 * Not among them are two refusals of a login that may pass by themselves: 4064, its default
 * database cannot be opened, which may be in recovery; and 18486, it is locked out, which ends when
 * the policy's lockout duration is over.
 */
static const struct error_rule rules[] = {
    {229, ERR_PERMANENT, permissions}, /* no permission on an object */
    {230, ERR_PERMANENT, permissions}, /* on a column */
    {262, ERR_PERMANENT, permissions}, /* for a statement */
    {547, ERR_PERMANENT,
     "constraints of the target itself are checked; ALTER TABLE … NOCHECK "
     "CONSTRAINT leaves that to the source"},
    {596, ERR_RETRY, NULL},             /* the session was killed */
    {615, ERR_TEMPORARY, NULL},         /* the database is not open yet */
    {701, ERR_TEMPORARY, NULL},         /* out of memory */
    {802, ERR_TEMPORARY, NULL},         /* no buffers */
    {845, ERR_TEMPORARY, NULL},         /* a page is waited for too long */
    {916, ERR_PERMANENT, login},        /* the login has no user in the database */
    {921, ERR_TEMPORARY, NULL},         /* the database is not recovered yet */
    {922, ERR_TEMPORARY, NULL},         /* is being recovered */
    {926, ERR_TEMPORARY, NULL},         /* is suspect: its recovery failed */
    {927, ERR_TEMPORARY, NULL},         /* is being restored */
    {942, ERR_TEMPORARY, NULL},         /* is offline */
    {952, ERR_TEMPORARY, NULL},         /* is in transition */
    {976, ERR_TEMPORARY, replica},      /* is not readable */
    {978, ERR_TEMPORARY, replica},      /* takes readers only */
    {979, ERR_TEMPORARY, replica},      /* takes no readers */
    {982, ERR_TEMPORARY, replica},      /* no replica is there to read */
    {983, ERR_TEMPORARY, NULL},         /* is inaccessible */
    {988, ERR_TEMPORARY, NULL},         /* has no quorum */
    {1088, ERR_PERMANENT, permissions}, /* an object is not found */
    {1101, ERR_TEMPORARY, space},       /* the disk is full */
    {1105, ERR_TEMPORARY, space},       /* a filegroup is full */
    {1204, ERR_TEMPORARY, NULL},        /* out of locks */
    {1205, ERR_RETRY, NULL},            /* a deadlock */
    {1222, ERR_RETRY, "another session holds a lock; --query-timeout says how long to wait for it"},
    {3906, ERR_TEMPORARY, replica}, /* the database is read-only */
    {3958, ERR_TEMPORARY, NULL},    /* the version store is full */
    {3960, ERR_RETRY, NULL},        /* a conflict of snapshots */
    {3961, ERR_RETRY, NULL},        /* the schema changed below a snapshot */
    {3967, ERR_TEMPORARY, NULL},    /* the version store is short */
    {MSSQL_CANNOT_OPEN_DATABASE, ERR_PERMANENT,
     "create the database, or a user for this login in it"},
    {4221, ERR_TEMPORARY, replica}, /* a login to a secondary */
    {5074, ERR_PERMANENT, "drop what depends on the column in the target, and start again"},
    {6005, ERR_RETRY, NULL},       /* shutting down */
    {8645, ERR_TEMPORARY, NULL},   /* a timeout of memory */
    {8651, ERR_TEMPORARY, NULL},   /* no grant of memory */
    {9001, ERR_TEMPORARY, NULL},   /* the log is not available */
    {9002, ERR_TEMPORARY, space},  /* the log is full */
    {10928, ERR_TEMPORARY, NULL},  /* a limit of resources */
    {10929, ERR_TEMPORARY, NULL},  /* resources are busy */
    {10936, ERR_TEMPORARY, NULL},  /* a limit of requests */
    {17142, ERR_TEMPORARY, NULL},  /* the server is paused */
    {17187, ERR_TEMPORARY, NULL},  /* not ready for clients yet */
    {17188, ERR_TEMPORARY, NULL},  /* shutting down */
    {17809, ERR_TEMPORARY, NULL},  /* too many connections */
    {18401, ERR_TEMPORARY, NULL},  /* being upgraded */
    {18452, ERR_PERMANENT, login}, /* of a domain that is not trusted */
    {18456, ERR_PERMANENT,
     "user and password are those of --dest, and the user needs a login and "
     "a user in the database"},
    {18470, ERR_PERMANENT, login}, /* disabled */
    {18487, ERR_PERMANENT, login}, /* the password has expired */
    {18488, ERR_PERMANENT, login}, /* the password has to be changed */
    {40143, ERR_TEMPORARY, NULL},  /* Azure: a request could not be processed */
    {40197, ERR_RETRY, NULL},      /* an error */
    {40501, ERR_TEMPORARY, NULL},  /* busy */
    {40540, ERR_TEMPORARY, NULL},  /* the service has an error */
    {40544, ERR_TEMPORARY, space}, /* the quota is reached */
    {40613, ERR_TEMPORARY, NULL},  /* the database is unavailable */
    {40971, ERR_TEMPORARY, NULL},  /* the service cannot be reached */
    {41301, ERR_RETRY, NULL},      /* memory-optimized tables: a dependency */
    {41302, ERR_RETRY, NULL},      /* a conflict */
    {41305, ERR_RETRY, NULL},      /* a read that cannot be repeated */
    {41325, ERR_RETRY, NULL},      /* not serializable */
    {42108, ERR_TEMPORARY, NULL},  /* Azure: the pool is paused */
    {42109, ERR_TEMPORARY, NULL},  /* is warming up */
    {49918, ERR_TEMPORARY, NULL},  /* too many requests of one kind or another */
    {49919, ERR_TEMPORARY, NULL},
    {49920, ERR_TEMPORARY, NULL},
    {0, ERR_PERMANENT, NULL},
};

bool mssql_error_is_duplicate(int number)
{
    return number == 2601 || number == 2627; /* of an index, of a constraint */
}

/* What stands before a value in a message, and what comes after it. */
static const struct {
    const char *before, *after;
} quoting[] = {
    {"The duplicate key value is (", ")."},
    {"Truncated value: '", "'."},
    {"value '", "' to "},
    {", value = ", "."}, /* 220, 232: numbers */
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
    const struct error_rule *rule = error_rule_find(rules, number);
    mssql_error_scrub(message, text, sizeof text);
    (void)err_set(err, rule->kind, "%.200s: %s (error %d, state %d)", what, text, number, state);
    return error_rule_hint(rule, err);
}
