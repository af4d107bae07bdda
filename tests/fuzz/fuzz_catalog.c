/*
 * fuzz_catalog.c - any texts as what the catalog says of a relation.
 *
 * An input is the relation and the fields of the answer. What must hold: an answer that is taken
 * gives a frame that its reader takes, and that says the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "frames/frame_check.h"
#include "frames/pg_type.h"
#include "pg-capture/catalog.h"
#include "tests/fuzz/input.h"

/* In the place of catalog.c's: the answer of the input. */
int __wrap_catalog_connect(struct catalog *c, struct err *err);
int __wrap_catalog_ask(struct catalog *c, const char *name, const char *sql, int nparams,
                       const char *const *params, struct shape shape, PGresult **result,
                       struct err *err);
int __wrap_catalog_query(struct catalog *c, const char *sql, int nparams, const char *const *params,
                         struct shape shape, PGresult **result, struct err *err);

static struct input *answer;

int __wrap_catalog_connect(struct catalog *c, struct err *err)
{
    (void)c;
    (void)err;
    return 0;
}

/* Of the shape, which the real one checks. */
int __wrap_catalog_query(struct catalog *c, const char *sql, int nparams, const char *const *params,
                         struct shape shape, PGresult **result, struct err *err)
{
    (void)c;
    (void)sql;
    (void)nparams;
    (void)params;
    (void)err;
    static char name[] = "c";
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[32] = {{0}};
    check(r && shape.columns <= 32, "another shape");
    for (int i = 0; i < shape.columns; i++)
        columns[i].name = name;
    check(PQsetResultAttrs(r, shape.columns, columns), "no memory");
    for (int row = 0; row < shape.rows; row++)
        for (int i = 0; i < shape.columns; i++) {
            char *text = input_text(answer);
            bool null = strcmp(text, "~") == 0;
            check(PQsetvalue(r, row, i, null ? NULL : text, null ? -1 : (int)strlen(text)),
                  "no memory");
            free(text);
        }
    *result = r;
    return 0;
}

int __wrap_catalog_ask(struct catalog *c, const char *name, const char *sql, int nparams,
                       const char *const *params, struct shape shape, PGresult **result,
                       struct err *err)
{
    (void)name;
    return __wrap_catalog_query(c, sql, nparams, params, shape, result, err);
}

static void check_frame(const struct relation *rel)
{
    struct buf frame = {0}, again = {0};
    struct relation *read;
    struct err err = {0};
    relation_to_frame(rel, &frame);
    check(!frame.failed, "no memory");
    check(relation_from_bytes(frame.data, frame.len, &read, &err) == 0,
          "what the catalog said makes a frame that is refused");
    relation_to_frame(read, &again);
    check(again.len == frame.len && memcmp(again.data, frame.data, frame.len) == 0,
          "what the catalog said is something else in the frame");
    relation_unref(read);
    buf_free(&frame);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t types[] = {PG_TYPE_INT4, PG_TYPE_TEXT, PG_TYPE_BYTEA, 20000};
    static const char *const publications[] = {"pub"};
    static const struct catalog_subject subject = {"slot", 1, publications};
    struct input in = input(data, size);
    struct column columns[4] = {{0}};
    uint8_t options = input_u8(&in);
    struct relation rel = {.relid = 16384,
                           .namespace = "public",
                           .name = "t",
                           .replica_identity = "dnfi"[options >> 4 & 3],
                           .columns = columns,
                           .ncolumns = options & 3};
    for (uint32_t i = 0; i < rel.ncolumns; i++)
        columns[i] = (struct column){.name = (const char *[]){"a", "b", "c"}[i],
                                     .type_oid = types[input_below(&in, 4)],
                                     .typmod = -1,
                                     .type_name = "",
                                     .base_type_oid = 0};
    for (uint32_t i = 0; i < rel.ncolumns; i++)
        columns[i].base_type_oid = columns[i].type_oid;
    const struct pgoutput_place place = {.stage = options & 4 ? PLACE_STREAMED : PLACE_ENDED};
    struct catalog c;
    struct err err = {0};
    answer = &in;
    catalog_init(&c, NULL, NULL, NULL, 1000, &subject);
    if (catalog_relation(&c, &rel, &place, &err) == 0)
        check_frame(&rel);
    else
        check(err.kind != ERR_NONE && err.text[0] != '\0', "an error without a text");
    catalog_forget_relation(&c);
    buf_free(&c.bytes);
    buf_free(&c.texts);
    return 0;
}
