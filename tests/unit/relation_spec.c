#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/pg_type.h"
#include "relation_spec.h"

static const struct {
    const char *name;
    uint32_t oid;
    int32_t typmod;
} types[] = {
    {"int4", PG_TYPE_INT4, -1},          {"int8", PG_TYPE_INT8, -1},
    {"text", PG_TYPE_TEXT, -1},          {"varchar(5)", PG_TYPE_VARCHAR, 9},
    {"varchar(9)", PG_TYPE_VARCHAR, 13}, {"uuid", PG_TYPE_UUID, -1},
};

static void parse_column(struct column *c, char *text)
{
    c->name = strsep(&text, "/");
    c->attnum = (int32_t)strtol(strsep(&text, "/"), NULL, 10);
    c->type_name = strsep(&text, "/");
    c->fill = !text ? FILL_NULL : *text == '?' ? FILL_UNKNOWN : FILL_VALUE;
    if (c->fill == FILL_VALUE) {
        c->fill_value = text + 1;
        c->fill_size = strlen(text + 1);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, c->type_name) == 0) {
            c->type_oid = c->base_type_oid = types[i].oid;
            c->typmod = types[i].typmod;
            return;
        }
    fail_msg("no type %s", c->type_name);
}

static void set_attributes(struct parsed_relation *p)
{
    size_t n = 0;
    for (uint32_t i = 0; i < p->rel.ncolumns; i++) {
        size_t attnum = (size_t)p->columns[i].attnum;
        if (attnum == 0)
            return;
        assert_true(attnum <= SPEC_ATTRIBUTES);
        while (n < attnum)
            p->attributes[n++] = ATTRIBUTE_DROPPED;
        p->attributes[attnum - 1] = ATTRIBUTE_PUBLISHED;
    }
    p->rel.attributes = p->attributes;
}

void relation_spec_parse(const struct relation_spec *spec, struct parsed_relation *p)
{
    memset(p, 0, sizeof *p);
    char *rest = p->copy = strdup(spec->text);
    assert_non_null(rest);
    p->rel = (struct relation){
        .relid = spec->relid ? spec->relid : 7,
        .namespace = "public",
        .name = strsep(&rest, " "),
        .replica_identity = REPLICA_IDENTITY_DEFAULT,
        .primary_key_known = spec->npk >= 0,
        .columns = p->columns,
        .npk = spec->npk > 0 ? (uint32_t)spec->npk : 0,
        .pk = p->pk,
    };
    for (char *column; (column = strsep(&rest, " ")); p->rel.ncolumns++) {
        assert_true(p->rel.ncolumns < SPEC_COLUMNS);
        p->pk[p->rel.ncolumns] = p->rel.ncolumns;
        parse_column(&p->columns[p->rel.ncolumns], column);
    }
    set_attributes(p);
}
