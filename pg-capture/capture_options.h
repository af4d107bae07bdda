/*
 * capture_options.h - pg-capture's options. main.c reads them; nothing changes them afterwards, and
 * their strings live as long as the process.
 */
#ifndef PG2ANY_CAPTURE_OPTIONS_H
#define PG2ANY_CAPTURE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "copy_indexes.h"

enum copy_mode { COPY_INITIAL, COPY_NEVER, COPY_ONLY };

struct capture_options {
    const char *source;
    const char *slot;
    const char *publications;  /* separated by commas */
    uint64_t protocol_version; /* 0: the highest the server has */
    int streaming;             /* enum streaming; -1: on, where the protocol has it */
    bool binary;
    bool two_phase;
    bool failover; /* only where the slot is made */
    bool messages;
    int origin; /* 0: any, 1: none */
    int copy;   /* enum copy_mode */
    struct option_list copy_tables;
    struct option_rows copy_chunk;
    int copy_indexes; /* enum copy_indexes */
    struct option_list acks, acks_apart;
    bool slot_copy;            /* the stream is that of a temporary copy of the slot */
    const char *until;         /* NULL, an LSN, "current" */
    uint64_t wal_budget_bytes; /* 0: what the server's setting says */
    uint64_t status_interval_ms;
    uint64_t connect_timeout_ms;
    const char *lsn_file;
    struct option_list rows;       /* tables; or all; or -: as stdin asks */
    uint64_t rate;                 /* of --rows, bytes in a second; 0: no limit */
    bool check, status, drop_slot; /* at most one of these and rows: do that instead */
    bool json;                     /* with status */
    struct stage_options stage;
};

#endif
