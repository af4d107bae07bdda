/*
 * lsn.h - log sequence numbers and PostgreSQL's clock, as text and as numbers.
 *
 * An LSN is a uint64_t byte position in the WAL, written as two hexadecimal halves, "16/B374D848"
 * (PostgreSQL documentation, "pg_lsn Type"). 0 is InvalidXLogRecPtr: no position. Times are int64_t
 * microseconds since 2000-01-01 00:00:00 UTC, as in the replication protocol ("Streaming
 * Replication Protocol").
 */
#ifndef PG2ANY_LSN_H
#define PG2ANY_LSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_EPOCH_UNIX_S INT64_C(946684800) /* 2000-01-01 in Unix time */
#define LSN_TEXT_SIZE   18                 /* 8 + '/' + 8 + zero */

/* Writes "%X/%X" to `text` and returns it. */
const char *lsn_text(char text[LSN_TEXT_SIZE], uint64_t lsn);

/* The same in a buffer that lives as long as the enclosing block. */
#define LSN(lsn) lsn_text((char[LSN_TEXT_SIZE]){0}, (lsn))

/* Reads exactly `len` bytes of "%X/%X"; false when they are anything else. */
bool lsn_parse(const char *text, size_t len, uint64_t *lsn);

#define PG_TIME_TEXT_SIZE 96

/* "2026-11-22 10:20:30.123456+00:00"; "infinity" and "-infinity" for the ends of the range. */
const char *pg_time_text(char text[PG_TIME_TEXT_SIZE], int64_t time_us);

/* Reads what pg_time_text() wrote; false when it is anything else. */
bool pg_time_parse(const char *text, int64_t *time_us);

/* Now, on PostgreSQL's clock. */
int64_t pg_time_now_us(void);

/* On a clock that never jumps, for intervals. */
int64_t monotonic_ms(void);
int64_t monotonic_us(void);

#endif
