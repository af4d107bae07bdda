/*
 * pg_type.h - the oids of PostgreSQL's built-in types that pg2any treats by name.
 *
 * Built-in types have the same oid in every database and every version
 * (src/include/catalog/pg_type.dat). The oids of extensions' and users' types are chosen when they
 * are made and never appear here. A type that is missing here is not unknown to PostgreSQL: it is
 * one that nobody treats specially.
 */
#ifndef PG2ANY_PG_TYPE_H
#define PG2ANY_PG_TYPE_H

enum pg_type {
    PG_TYPE_BOOL = 16,
    PG_TYPE_BYTEA = 17,
    PG_TYPE_CHAR = 18, /* "char", a single byte; char(n) is PG_TYPE_BPCHAR */
    PG_TYPE_NAME = 19,
    PG_TYPE_INT8 = 20,
    PG_TYPE_INT2 = 21,
    PG_TYPE_INT4 = 23,
    PG_TYPE_REGPROC = 24,
    PG_TYPE_TEXT = 25,
    PG_TYPE_OID = 26,
    PG_TYPE_TID = 27,
    PG_TYPE_XID = 28,
    PG_TYPE_CID = 29,
    PG_TYPE_JSON = 114,
    PG_TYPE_XML = 142,
    PG_TYPE_POINT = 600,
    PG_TYPE_LSEG = 601,
    PG_TYPE_PATH = 602,
    PG_TYPE_BOX = 603,
    PG_TYPE_POLYGON = 604,
    PG_TYPE_LINE = 628,
    PG_TYPE_CIDR = 650,
    PG_TYPE_FLOAT4 = 700,
    PG_TYPE_FLOAT8 = 701,
    PG_TYPE_UNKNOWN = 705,
    PG_TYPE_CIRCLE = 718,
    PG_TYPE_MACADDR8 = 774,
    PG_TYPE_MONEY = 790,
    PG_TYPE_MACADDR = 829,
    PG_TYPE_INET = 869,
    PG_TYPE_BPCHAR = 1042, /* char(n) */
    PG_TYPE_VARCHAR = 1043,
    PG_TYPE_DATE = 1082,
    PG_TYPE_TIME = 1083,
    PG_TYPE_TIMESTAMP = 1114,
    PG_TYPE_TIMESTAMPTZ = 1184,
    PG_TYPE_INTERVAL = 1186,
    PG_TYPE_TIMETZ = 1266,
    PG_TYPE_BIT = 1560,
    PG_TYPE_VARBIT = 1562,
    PG_TYPE_NUMERIC = 1700,
    PG_TYPE_REFCURSOR = 1790,
    PG_TYPE_REGPROCEDURE = 2202,
    PG_TYPE_REGOPER = 2203,
    PG_TYPE_REGOPERATOR = 2204,
    PG_TYPE_REGCLASS = 2205,
    PG_TYPE_REGTYPE = 2206,
    PG_TYPE_CSTRING = 2275,
    PG_TYPE_UUID = 2950,
    PG_TYPE_PG_LSN = 3220,
    PG_TYPE_TSVECTOR = 3614,
    PG_TYPE_TSQUERY = 3615,
    PG_TYPE_JSONB = 3802,
    PG_TYPE_JSONPATH = 4072,
    PG_TYPE_XID8 = 5069,
};

#endif
