/*
 * Covers pg-capture/binary.c and pg-capture/float_text.c. The binary values and their texts in the
 * first table are what PostgreSQL 15 gives for the same value in its two formats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/pg_type.h"
#include "pg-capture/binary.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct value {
    uint32_t oid;
    const char *hex;
    const char *text;
};

/* clang-format off */
static const struct value values[] = {
    {PG_TYPE_BOOL, "01", "t"},
    {PG_TYPE_BOOL, "00", "f"},
    {PG_TYPE_CHAR, "61", "a"},
    {PG_TYPE_CHAR, "20", " "},
    {PG_TYPE_CHAR, "7e", "~"},
    {PG_TYPE_CHAR, "00", ""},
    {PG_TYPE_INT2, "0000", "0"},
    {PG_TYPE_INT2, "ffff", "-1"},
    {PG_TYPE_INT2, "7fff", "32767"},
    {PG_TYPE_INT2, "8000", "-32768"},
    {PG_TYPE_INT4, "00000000", "0"},
    {PG_TYPE_INT4, "0000002a", "42"},
    {PG_TYPE_INT4, "ffffffff", "-1"},
    {PG_TYPE_INT4, "7fffffff", "2147483647"},
    {PG_TYPE_INT4, "80000000", "-2147483648"},
    {PG_TYPE_INT8, "0000000000000000", "0"},
    {PG_TYPE_INT8, "ffffffffffffffff", "-1"},
    {PG_TYPE_INT8, "7fffffffffffffff", "9223372036854775807"},
    {PG_TYPE_INT8, "8000000000000000", "-9223372036854775808"},
    {PG_TYPE_OID, "00000000", "0"},
    {PG_TYPE_OID, "00004000", "16384"},
    {PG_TYPE_OID, "ffffffff", "4294967295"},
    {PG_TYPE_XID, "00000003", "3"},
    {PG_TYPE_XID, "ffffffff", "4294967295"},
    {PG_TYPE_CID, "00000000", "0"},
    {PG_TYPE_XID8, "ffffffffffffffff", "18446744073709551615"},
    {PG_TYPE_PG_LSN, "00000016b374d848", "16/B374D848"},
    {PG_TYPE_PG_LSN, "0000000000000000", "0/0"},
    {PG_TYPE_FLOAT4, "00000000", "0"},
    {PG_TYPE_FLOAT4, "80000000", "-0"},
    {PG_TYPE_FLOAT4, "3f800000", "1"},
    {PG_TYPE_FLOAT4, "3dcccccd", "0.1"},
    {PG_TYPE_FLOAT4, "bfc00000", "-1.5"},
    {PG_TYPE_FLOAT4, "40490fdb", "3.1415927"},
    {PG_TYPE_FLOAT4, "497423f0", "999999"},
    {PG_TYPE_FLOAT4, "49742400", "1e+06"},
    {PG_TYPE_FLOAT4, "4996b438", "1.234567e+06"},
    {PG_TYPE_FLOAT4, "4b800000", "1.6777216e+07"},
    {PG_TYPE_FLOAT4, "4c000000", "3.3554432e+07"},
    {PG_TYPE_FLOAT4, "38d1b717", "0.0001"},
    {PG_TYPE_FLOAT4, "3727c5ac", "1e-05"},
    {PG_TYPE_FLOAT4, "00000001", "1e-45"},
    {PG_TYPE_FLOAT4, "007fffff", "1.1754942e-38"},
    {PG_TYPE_FLOAT4, "00800000", "1.1754944e-38"},
    {PG_TYPE_FLOAT4, "7f7fffff", "3.4028235e+38"},
    {PG_TYPE_FLOAT4, "4ffd51da", "8.4999997e+09"},
    {PG_TYPE_FLOAT4, "4c800000", "6.7108864e+07"},
    {PG_TYPE_FLOAT4, "35800000", "9.536743e-07"},
    {PG_TYPE_FLOAT4, "0000000e", "2e-44"},
    {PG_TYPE_FLOAT4, "0f800000", "1.2621775e-29"},
    {PG_TYPE_FLOAT4, "6b000000", "1.5474251e+26"},
    {PG_TYPE_FLOAT4, "4d000050", "1.3421901e+08"},
    {PG_TYPE_FLOAT4, "4d00014a", "1.3422301e+08"},
    {PG_TYPE_FLOAT4, "7fc00000", "NaN"},
    {PG_TYPE_FLOAT4, "7f800000", "Infinity"},
    {PG_TYPE_FLOAT4, "ff800000", "-Infinity"},
    {PG_TYPE_FLOAT8, "0000000000000000", "0"},
    {PG_TYPE_FLOAT8, "8000000000000000", "-0"},
    {PG_TYPE_FLOAT8, "3ff0000000000000", "1"},
    {PG_TYPE_FLOAT8, "bff0000000000000", "-1"},
    {PG_TYPE_FLOAT8, "3fb999999999999a", "0.1"},
    {PG_TYPE_FLOAT8, "3fd3333333333333", "0.3"},
    {PG_TYPE_FLOAT8, "4059000000000000", "100"},
    {PG_TYPE_FLOAT8, "4028ae147ae147ae", "12.34"},
    {PG_TYPE_FLOAT8, "4132d687e4189375", "1234567.891"},
    {PG_TYPE_FLOAT8, "430c6bf52633fff8", "999999999999999"},
    {PG_TYPE_FLOAT8, "430c6bf526340000", "1e+15"},
    {PG_TYPE_FLOAT8, "c37b69b4ba630f35", "-1.2345678901234568e+17"},
    {PG_TYPE_FLOAT8, "433fffffffffffff", "9.007199254740991e+15"},
    {PG_TYPE_FLOAT8, "4340000000000000", "9.007199254740992e+15"},
    {PG_TYPE_FLOAT8, "3f1a36e2eb1c432d", "0.0001"},
    {PG_TYPE_FLOAT8, "3ee9e0fcaf9380fc", "1.234e-05"},
    {PG_TYPE_FLOAT8, "3f202e85be180b74", "0.00012345678901234567"},
    {PG_TYPE_FLOAT8, "4480f0cf064dd592", "1e+22"},
    {PG_TYPE_FLOAT8, "44b52d02c7e14af6", "9.999999999999999e+22"},
    {PG_TYPE_FLOAT8, "44b52d02c7e14af6", "9.999999999999999e+22"},
    {PG_TYPE_FLOAT8, "4011666666666666", "4.35"},
    {PG_TYPE_FLOAT8, "3cb0000000000000", "2.220446049250313e-16"},
    {PG_TYPE_FLOAT8, "3d30000000000000", "5.684341886080802e-14"},
    {PG_TYPE_FLOAT8, "3ca0000000000000", "1.1102230246251565e-16"},
    {PG_TYPE_FLOAT8, "3eafe07017c01026", "9.5e-07"},
    {PG_TYPE_FLOAT8, "3e60000000000000", "2.9802322387695312e-08"},
    {PG_TYPE_FLOAT8, "0000000000000001", "5e-324"},
    {PG_TYPE_FLOAT8, "0000000000000002", "1e-323"},
    {PG_TYPE_FLOAT8, "0000000000000003", "1.5e-323"},
    {PG_TYPE_FLOAT8, "000fffffffffffff", "2.225073858507201e-308"},
    {PG_TYPE_FLOAT8, "0010000000000000", "2.2250738585072014e-308"},
    {PG_TYPE_FLOAT8, "0020000000000000", "4.450147717014403e-308"},
    {PG_TYPE_FLOAT8, "7fefffffffffffff", "1.7976931348623157e+308"},
    {PG_TYPE_FLOAT8, "447c7e83209e90b2", "8.409999999999999e+21"},
    {PG_TYPE_FLOAT8, "01b56e1fc2f8f359", "2e-300"},
    {PG_TYPE_FLOAT8, "43e0000000000000", "9.223372036854776e+18"},
    {PG_TYPE_FLOAT8, "43f0000000000000", "1.8446744073709552e+19"},
    {PG_TYPE_FLOAT8, "0060000000000000", "7.120236347223045e-307"},
    {PG_TYPE_FLOAT8, "0d70000000000000", "5.858190679279809e-244"},
    {PG_TYPE_FLOAT8, "4370000000000001", "7.205759403792795e+16"},
    {PG_TYPE_FLOAT8, "7ff8000000000000", "NaN"},
    {PG_TYPE_FLOAT8, "7ff0000000000000", "Infinity"},
    {PG_TYPE_FLOAT8, "fff0000000000000", "-Infinity"},
    {PG_TYPE_NUMERIC, "0000000000000000", "0"},
    {PG_TYPE_NUMERIC, "0000000000000003", "0.000"},
    {PG_TYPE_NUMERIC, "00010000000000000001", "1"},
    {PG_TYPE_NUMERIC, "00010000400000000001", "-1"},
    {PG_TYPE_NUMERIC, "0001000000000000000a", "10"},
    {PG_TYPE_NUMERIC, "000100000000000003e8", "1000"},
    {PG_TYPE_NUMERIC, "0001000000000000270f", "9999"},
    {PG_TYPE_NUMERIC, "00010001000000000001", "10000"},
    {PG_TYPE_NUMERIC, "000200010000000000010001", "10001"},
    {PG_TYPE_NUMERIC, "00010002000000000001", "100000000"},
    {PG_TYPE_NUMERIC, "0005000400000000007b11d722c509291a85", "1234567890123456789"},
    {PG_TYPE_NUMERIC, "0001ffff0000000103e8", "0.1"},
    {PG_TYPE_NUMERIC, "0001ffff000000040001", "0.0001"},
    {PG_TYPE_NUMERIC, "0001fffe0000000503e8", "0.00001"},
    {PG_TYPE_NUMERIC, "0002fffc00000011000107d0", "0.00000000000000012"},
    {PG_TYPE_NUMERIC, "0001ffff0000000503e8", "0.10000"},
    {PG_TYPE_NUMERIC, "0001ffff400000011388", "-0.5"},
    {PG_TYPE_NUMERIC, "000200000000000200011388", "1.50"},
    {PG_TYPE_NUMERIC, "000600040000000204d2162e23340d801ed203e8", "12345678901234567890.10"},
    {PG_TYPE_NUMERIC, "00030001400000070009223d10e1", "-98765.4321000"},
    {PG_TYPE_NUMERIC, "00010005000000000001", "100000000000000000000"},
    {PG_TYPE_NUMERIC, "0001fffb000000140001", "0.00000000000000000001"},
    {PG_TYPE_NUMERIC, "00040001000000050009270f270f2328", "99999.99999"},
    {PG_TYPE_NUMERIC, "0003000100000008000100000001", "10000.00010000"},
    {PG_TYPE_NUMERIC, "00000000c0000000", "NaN"},
    {PG_TYPE_NUMERIC, "00000000d0000020", "Infinity"},
    {PG_TYPE_NUMERIC, "00000000f0000020", "-Infinity"},
    {PG_TYPE_DATE, "00000000", "2000-01-01"},
    {PG_TYPE_DATE, "ffffffff", "1999-12-31"},
    {PG_TYPE_DATE, "00002279", "2024-02-29"},
    {PG_TYPE_DATE, "ffff718e", "1900-02-28"},
    {PG_TYPE_DATE, "ffff718f", "1900-03-01"},
    {PG_TYPE_DATE, "0000003b", "2000-02-29"},
    {PG_TYPE_DATE, "0000003c", "2000-03-01"},
    {PG_TYPE_DATE, "00009019", "2100-12-31"},
    {PG_TYPE_DATE, "ffffd533", "1970-01-01"},
    {PG_TYPE_DATE, "002c95d3", "9999-12-31"},
    {PG_TYPE_DATE, "002c95d4", "10000-01-01"},
    {PG_TYPE_DATE, "7fda970c", "5874897-12-31"},
    {PG_TYPE_DATE, "fff4dbf9", "0001-01-01"},
    {PG_TYPE_DATE, "fff4dbf8", "0001-12-31 BC"},
    {PG_TYPE_DATE, "fff4dac6", "0001-02-29 BC"},
    {PG_TYPE_DATE, "fff4d511", "0005-02-29 BC"},
    {PG_TYPE_DATE, "fff44c19", "0101-02-28 BC"},
    {PG_TYPE_DATE, "ffda97a7", "4714-11-24 BC"},
    {PG_TYPE_DATE, "7fffffff", "infinity"},
    {PG_TYPE_DATE, "80000000", "-infinity"},
    {PG_TYPE_TIME, "0000000000000000", "00:00:00"},
    {PG_TYPE_TIME, "000000036c8bc080", "04:05:06"},
    {PG_TYPE_TIME, "000000141dd75fff", "23:59:59.999999"},
    {PG_TYPE_TIME, "000000141dd76000", "24:00:00"},
    {PG_TYPE_TIME, "0000000a0ef35120", "12:00:00.5"},
    {PG_TYPE_TIME, "0000000a0eebb001", "12:00:00.000001"},
    {PG_TYPE_TIME, "0000000a0eed84c0", "12:00:00.12"},
    {PG_TYPE_TIMETZ, "000000000000000000000000", "00:00:00+00"},
    {PG_TYPE_TIMETZ, "000000141dd7600000004650", "24:00:00-05"},
    {PG_TYPE_TIMETZ, "0000000a0eef8090ffffb2a8", "12:00:00.25+05:30"},
    {PG_TYPE_TIMETZ, "00000000dde878c000003147", "01:02:03-03:30:15"},
    {PG_TYPE_TIMETZ, "000000141dd75fffffff1f01", "23:59:59.999999+15:59:59"},
    {PG_TYPE_TIMETZ, "00000000d693a40000000001", "01:00:00-00:00:01"},
    {PG_TYPE_TIMESTAMP, "0000000000000000", "2000-01-01 00:00:00"},
    {PG_TYPE_TIMESTAMP, "ffffffffffffffff", "1999-12-31 23:59:59.999999"},
    {PG_TYPE_TIMESTAMP, "0002b583417262e0", "2024-02-29 12:34:56.78"},
    {PG_TYPE_TIMESTAMP, "fffca2fec4c07ee0", "1969-12-31 23:59:59.5"},
    {PG_TYPE_TIMESTAMP, "ff1fe2ffc59c6000", "0001-01-01 00:00:00"},
    {PG_TYPE_TIMESTAMP, "ff1fe2ffc59c5c18", "0001-12-31 23:59:59.999 BC"},
    {PG_TYPE_TIMESTAMP, "fd0f7cc1411fa000", "4714-11-24 00:00:00 BC"},
    {PG_TYPE_TIMESTAMP, "0380e70b913b8000", "10000-01-01 00:00:00"},
    {PG_TYPE_TIMESTAMP, "7fffff5bb3b29fff", "294276-12-31 23:59:59.999999"},
    {PG_TYPE_TIMESTAMP, "7fffffffffffffff", "infinity"},
    {PG_TYPE_TIMESTAMP, "8000000000000000", "-infinity"},
    {PG_TYPE_TIMESTAMPTZ, "0000000000000000", "2000-01-01 00:00:00+00"},
    {PG_TYPE_TIMESTAMPTZ, "0002bf197a0a3c01", "2024-06-30 12:34:56.000001+00"},
    {PG_TYPE_TIMESTAMPTZ, "ff1af9e8fb46d000", "0044-03-15 12:00:00+00 BC"},
    {PG_TYPE_TIMESTAMPTZ, "7fffff5bb3b29fff", "294276-12-31 23:59:59.999999+00"},
    {PG_TYPE_TIMESTAMPTZ, "7fffffffffffffff", "infinity"},
    {PG_TYPE_TIMESTAMPTZ, "8000000000000000", "-infinity"},
    {PG_TYPE_INTERVAL, "00000000000000000000000000000000", "00:00:00"},
    {PG_TYPE_INTERVAL, "0000000000000000000000000000000c", "1 year"},
    {PG_TYPE_INTERVAL, "000000000000000000000000fffffff4", "-1 years"},
    {PG_TYPE_INTERVAL, "00000000000000000000000000000001", "1 mon"},
    {PG_TYPE_INTERVAL, "0000000000000000000000000000000d", "1 year 1 mon"},
    {PG_TYPE_INTERVAL, "000000000000000000000000fffffff3", "-1 years -1 mons"},
    {PG_TYPE_INTERVAL, "00000000000000000000000100000000", "1 day"},
    {PG_TYPE_INTERVAL, "0000000000000000ffffffff00000000", "-1 days"},
    {PG_TYPE_INTERVAL, "00000000000000000000000200000000", "2 days"},
    {PG_TYPE_INTERVAL, "00000000dde888600000000000000000", "01:02:03.004"},
    {PG_TYPE_INTERVAL, "ffffffff221777a00000000000000000", "-01:02:03.004"},
    {PG_TYPE_INTERVAL, "000000036c97ca88000000030000000e", "1 year 2 mons 3 days 04:05:06.789"},
    {PG_TYPE_INTERVAL, "000000000000000000000002fffffff4", "-1 years +2 days"},
    {PG_TYPE_INTERVAL, "00000000d693a400ffffffff00000000", "-1 days +01:00:00"},
    {PG_TYPE_INTERVAL, "ffffffff296c5c000000000100000000", "1 day -01:00:00"},
    {PG_TYPE_INTERVAL, "fffffffc93743f8000000003fffffff2", "-1 years -2 mons +3 days -04:05:06"},
    {PG_TYPE_INTERVAL, "0000000000000000ffffffff00000001", "1 mon -1 days"},
    {PG_TYPE_INTERVAL, "ffffffffffffffff00000001ffffffff", "-1 mons +1 day -00:00:00.000001"},
    {PG_TYPE_INTERVAL, "00000053d1ac10000000000000000000", "100:00:00"},
    {PG_TYPE_INTERVAL, "00000000000000007fffffff7fffffff",
     "178956970 years 7 mons 2147483647 days"},
    {PG_TYPE_INTERVAL, "7fffffffffffffff8000000080000000",
     "-178956970 years -8 mons -2147483648 days +2562047788:00:54.775807"},
    {PG_TYPE_INTERVAL, "fffffffffff85ee00000000000000000", "-00:00:00.5"},
    {PG_TYPE_INTERVAL, "00000000000000000000000000000078", "10 years"},
    {PG_TYPE_INET, "0220000400000000", "0.0.0.0"},
    {PG_TYPE_INET, "02200004c0a80105", "192.168.1.5"},
    {PG_TYPE_INET, "02180004c0a80105", "192.168.1.5/24"},
    {PG_TYPE_INET, "020000040a000000", "10.0.0.0/0"},
    {PG_TYPE_INET, "021f0004ffffffff", "255.255.255.255/31"},
    {PG_TYPE_INET, "0380001000000000000000000000000000000000", "::"},
    {PG_TYPE_INET, "0380001000000000000000000000000000000001", "::1"},
    {PG_TYPE_INET, "0340001000000000000000000000000000000005", "::5/64"},
    {PG_TYPE_INET, "0380001000000000000000000000000001020304", "::1.2.3.4"},
    {PG_TYPE_INET, "0380001000000000000000000000ffff01020304", "::ffff:1.2.3.4"},
    {PG_TYPE_INET, "0360001000000000000000000000ffff01020304", "::ffff:1.2.3.4/96"},
    {PG_TYPE_INET, "0380001000000000000000000000fffe01020304", "::fffe:102:304"},
    {PG_TYPE_INET, "0380001000000000000000000000000100000000", "::1:0:0"},
    {PG_TYPE_INET, "0380001020010db8000000000000000000000001", "2001:db8::1"},
    {PG_TYPE_INET, "0380001020010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"},
    {PG_TYPE_INET, "0380001020010000000000010000000000000001", "2001:0:0:1::1"},
    {PG_TYPE_INET, "0380001000010000000000020000000000030004", "1::2:0:0:3:4"},
    {PG_TYPE_INET, "0380001000010000000000000000000000000000", "1::"},
    {PG_TYPE_INET, "0380001000010002000300040005000600070000", "1:2:3:4:5:6:7:0"},
    {PG_TYPE_INET, "0380001000010002000300040005000600000000", "1:2:3:4:5:6::"},
    {PG_TYPE_INET, "0380001000000001000200030004000500060007", "0:1:2:3:4:5:6:7"},
    {PG_TYPE_INET, "030a0010fe8000000000000000000000abcd0001", "fe80::abcd:1/10"},
    {PG_TYPE_INET, "03800010ffffffffffffffffffffffffffffffff",
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {PG_TYPE_INET, "0380001000000002000300040005000600070008", "0:2:3:4:5:6:7:8"},
    {PG_TYPE_CIDR, "02180104c0a80100", "192.168.1.0/24"},
    {PG_TYPE_CIDR, "02200104c0a80105", "192.168.1.5/32"},
    {PG_TYPE_CIDR, "0200010400000000", "0.0.0.0/0"},
    {PG_TYPE_CIDR, "0300011000000000000000000000000000000000", "::/0"},
    {PG_TYPE_CIDR, "0320011020010db8000000000000000000000000", "2001:db8::/32"},
    {PG_TYPE_CIDR, "0380011000000000000000000000000000000001", "::1/128"},
    {PG_TYPE_CIDR, "0378011000000000000000000000ffff01020300", "::ffff:1.2.3.0/120"},
    {PG_TYPE_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
    {PG_TYPE_UUID, "00000000000000000000000000000000", "00000000-0000-0000-0000-000000000000"},
    {PG_TYPE_MACADDR, "08002b0102ff", "08:00:2b:01:02:ff"},
    {PG_TYPE_MACADDR8, "08002b01020304ff", "08:00:2b:01:02:03:04:ff"},
    {PG_TYPE_BIT, "0000000180", "1"},
    {PG_TYPE_BIT, "00000005b0", "10110"},
    {PG_TYPE_BIT, "0000000801", "00000001"},
    {PG_TYPE_BIT, "00000009aa80", "101010101"},
    {PG_TYPE_VARBIT, "00000000", ""},
    {PG_TYPE_VARBIT, "0000000100", "0"},
    {PG_TYPE_VARBIT, "00000015f0f0f0", "111100001111000011110"},
    {PG_TYPE_JSONB, "017b2261223a20312e35302c202262223a205b6e756c6c2c20747275655d7d",
     "{\"a\": 1.50, \"b\": [null, true]}"},
    {PG_TYPE_JSONB, "012222", "\"\""},
    {PG_TYPE_JSONB, "017b7d", "{}"},
    {PG_TYPE_JSONPATH, "01242e226122", "$.\"a\""},
};
/* clang-format on */

/* The last two are infinity and -infinity since PostgreSQL 17, and the first is next to the latter.
 */
static const struct value values_of_later_servers[] = {
    {PG_TYPE_INTERVAL, "80000000000000000000000000000000", "-2562047788:00:54.775808"},
    {PG_TYPE_INTERVAL, "7fffffffffffffff7fffffff7fffffff", "infinity"},
    {PG_TYPE_INTERVAL, "80000000000000008000000080000000", "-infinity"},
    {PG_TYPE_CHAR, "80", "\\200"},
    {PG_TYPE_CHAR, "ff", "\\377"},
};

struct malformed {
    uint32_t oid;
    const char *hex;
    const char *error;
};

static const struct malformed malformed_values[] = {
    {PG_TYPE_BOOL, "", "type bool: 0 bytes instead of 1"},
    {PG_TYPE_BOOL, "0100", "type bool: 2 bytes instead of 1"},
    {PG_TYPE_BOOL, "02", "type bool: neither 0 nor 1"},
    {PG_TYPE_CHAR, "", "type \"char\": 0 bytes instead of 1"},
    {PG_TYPE_INT4, "0000000000000001", "type int4: 8 bytes instead of 4"},
    {PG_TYPE_INT8, "00000001", "type int8: 4 bytes instead of 8"},
    {PG_TYPE_NUMERIC, "00000000000000", "shorter than its header"},
    {PG_TYPE_NUMERIC, "0001000000000000", "does not match its number of digits"},
    {PG_TYPE_NUMERIC, "ffff0000000000000001", "does not match its number of digits"},
    {PG_TYPE_NUMERIC, "00000000000000000001", "does not match its number of digits"},
    {PG_TYPE_NUMERIC, "00010000000000002710", "digit out of range"},
    {PG_TYPE_NUMERIC, "0001000000000000ffff", "digit out of range"},
    {PG_TYPE_NUMERIC, "00010000000040000001", "scale out of range"},
    {PG_TYPE_NUMERIC, "0001000000008000ffff", "scale out of range"},
    {PG_TYPE_NUMERIC, "00010000800000000001", "unknown sign"},
    {PG_TYPE_NUMERIC, "00010000c00000000001", "digits in a NaN"},
    {PG_TYPE_DATE, "ffda97a6", "type date: out of range"},
    {PG_TYPE_DATE, "7fda970d", "type date: out of range"},
    {PG_TYPE_DATE, "80000001", "type date: out of range"},
    {PG_TYPE_TIMESTAMP, "fd0f7cc1411f9fff", "type timestamp: out of range"},
    {PG_TYPE_TIMESTAMP, "7fffff5bb3b2a000", "type timestamp: out of range"},
    {PG_TYPE_TIMESTAMPTZ, "7ffffffffffffffe", "type timestamptz: out of range"},
    {PG_TYPE_TIME, "ffffffffffffffff", "type time: out of range"},
    {PG_TYPE_TIME, "000000141dd76001", "type time: out of range"},
    {PG_TYPE_TIMETZ, "00000000000000000000e100", "type timetz: time zone out of range"},
    {PG_TYPE_TIMETZ, "0000000000000000ffff1f00", "type timetz: time zone out of range"},
    {PG_TYPE_TIMETZ, "000000000000000080000000", "type timetz: time zone out of range"},
    {PG_TYPE_INET, "022000", "shorter than its header"},
    {PG_TYPE_INET, "04200004c0a80105", "unknown address family"},
    {PG_TYPE_INET, "02210004c0a80105", "netmask out of range"},
    {PG_TYPE_INET, "0381001000000000000000000000000000000000", "netmask out of range"},
    {PG_TYPE_INET, "02200010c0a80105", "does not match its address family"},
    {PG_TYPE_INET, "03200004c0a80105", "does not match its address family"},
    {PG_TYPE_CIDR, "02200104c0a8010500", "type cidr: its length does not match"},
    {PG_TYPE_BIT, "000000", "shorter than its header"},
    {PG_TYPE_BIT, "00000009ff", "does not match its number of bits"},
    {PG_TYPE_VARBIT, "ffffffff", "does not match its number of bits"},
    {PG_TYPE_VARBIT, "7fffffff00", "does not match its number of bits"},
    {PG_TYPE_JSONB, "", "type jsonb: empty"},
    {PG_TYPE_JSONB, "027b7d", "type jsonb: unknown version"},
    {PG_TYPE_MONEY, "0000000000000001", "the type with oid 790 cannot be read in binary format"},
};

/* In memory of exactly its size, so that the sanitizers and valgrind see a read beyond it. */
struct bytes {
    uint8_t *data;
    size_t size;
};

static unsigned hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_non_null(at);
    return (unsigned)(at - digits);
}

static struct bytes bytes_of(const uint8_t *data, size_t size)
{
    struct bytes b = {size > 0 ? malloc(size) : NULL, size};
    assert_true(b.data || size == 0);
    if (size > 0)
        memcpy(b.data, data, size);
    return b;
}

static struct bytes bytes_of_hex(const char *hex)
{
    size_t size = strlen(hex) / 2;
    struct bytes b = {size > 0 ? malloc(size) : NULL, size};
    assert_true(b.data || size == 0);
    for (size_t i = 0; i < size; i++)
        b.data[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return b;
}

/* Converts behind what `out` holds, and checks what has to be true of every failure. */
static int convert(uint32_t oid, const struct bytes *b, struct buf *out, struct err *err)
{
    size_t before = out->len;
    err_clear(err);
    int rc = binary_to_text(oid, b->data, b->size, out, err);
    if (rc != 0) {
        assert_int_equal(rc, -1);
        assert_int_equal(err->kind, ERR_PERMANENT);
        assert_non_null(strstr(err->text, " type "));
        assert_int_equal(out->len, before);
    } else {
        assert_int_equal(err->kind, ERR_NONE);
    }
    return rc;
}

static void check_values(const struct value *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct value *v = &table[i];
        struct bytes b = bytes_of_hex(v->hex);
        struct buf out = {0};
        struct err err;
        buf_append_str(&out, "before|");
        if (convert(v->oid, &b, &out, &err) != 0)
            fail_msg("%s: %s", v->text, err.text);
        if (strcmp(buf_cstr(&out) + strlen("before|"), v->text) != 0)
            fail_msg("type %u: '%s' instead of '%s'", (unsigned)v->oid,
                     buf_cstr(&out) + strlen("before|"), v->text);
        buf_free(&out);
        free(b.data);
    }
}

static void test_text_is_postgresqls(void **state)
{
    (void)state;
    check_values(values, COUNT(values));
}

static void test_values_of_later_servers(void **state)
{
    (void)state;
    check_values(values_of_later_servers, COUNT(values_of_later_servers));
}

static void test_malformed_values_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(malformed_values); i++) {
        const struct malformed *m = &malformed_values[i];
        struct bytes b = bytes_of_hex(m->hex);
        struct buf out = {0};
        struct err err;
        if (convert(m->oid, &b, &out, &err) == 0)
            fail_msg("type %u, %s: accepted", (unsigned)m->oid, m->hex);
        if (!strstr(err.text, m->error))
            fail_msg("type %u, %s: '%s' instead of '%s'", (unsigned)m->oid, m->hex, err.text,
                     m->error);
        buf_free(&out);
        free(b.data);
    }
}

/* jsonb may be cut behind its version and be none the worse for it here; nothing else may. */
static bool may_be_cut(uint32_t oid, size_t size)
{
    return size >= 1 && (oid == PG_TYPE_JSONB || oid == PG_TYPE_JSONPATH);
}

static void test_every_wrong_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const struct value *v = &values[i];
        struct bytes whole = bytes_of_hex(v->hex);
        struct buf out = {0};
        struct err err;
        for (size_t size = 0; size < whole.size; size++) {
            struct bytes b = bytes_of(whole.data, size);
            assert_int_equal(convert(v->oid, &b, &out, &err), may_be_cut(v->oid, size) ? 0 : -1);
            free(b.data);
        }
        struct bytes longer = {calloc(1, whole.size + 1), whole.size + 1};
        assert_non_null(longer.data);
        memcpy(longer.data, whole.data, whole.size);
        assert_int_equal(convert(v->oid, &longer, &out, &err),
                         may_be_cut(v->oid, longer.size) ? 0 : -1);
        free(longer.data);
        buf_free(&out);
        free(whole.data);
    }
}

/* Every byte of every value replaced by every other: an error or a text, for the sanitizers to
 * judge. */
static void test_corrupted_values_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const struct value *v = &values[i];
        struct bytes b = bytes_of_hex(v->hex);
        struct buf out = {0};
        struct err err;
        for (size_t at = 0; at < b.size; at++) {
            uint8_t was = b.data[at];
            for (unsigned byte = 0; byte < 256; byte++) {
                b.data[at] = (uint8_t)byte;
                out.len = 0;
                (void)convert(v->oid, &b, &out, &err);
            }
            b.data[at] = was;
        }
        buf_free(&out);
        free(b.data);
    }
}

/* Zeros cost nothing on the wire: the longest text that a few bytes can stand for. */
static void test_numeric_extremes(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err err;

    struct bytes big = bytes_of_hex("00017fff40003fff270f");
    assert_int_equal(convert(PG_TYPE_NUMERIC, &big, &out, &err), 0);
    assert_int_equal(out.len, 1 + 4 * 32768 + 1 + 16383);
    assert_memory_equal(out.data, "-99990000", 9);
    assert_memory_equal(out.data + 131072, "0.0", 3);
    assert_int_equal(out.data[out.len - 1], '0');
    free(big.data);

    out.len = 0;
    struct bytes small = bytes_of_hex("0001f00000003fff03e7");
    assert_int_equal(convert(PG_TYPE_NUMERIC, &small, &out, &err), 0);
    assert_int_equal(out.len, 2 + 16383);
    assert_memory_equal(out.data, "0.0000", 6);
    assert_memory_equal(out.data + out.len - 4, "0099", 4); /* cut at dscale, not rounded */
    free(small.data);

    out.len = 0;
    struct bytes far_below = bytes_of_hex("0001800000000002270f");
    assert_int_equal(convert(PG_TYPE_NUMERIC, &far_below, &out, &err), 0);
    assert_string_equal(buf_cstr(&out), "0.00");
    free(far_below.data);
    buf_free(&out);
}

static void test_forms(void **state)
{
    (void)state;
    static const uint32_t as_text[] = {PG_TYPE_NAME,    PG_TYPE_TEXT,      PG_TYPE_JSON,
                                       PG_TYPE_XML,     PG_TYPE_UNKNOWN,   PG_TYPE_BPCHAR,
                                       PG_TYPE_VARCHAR, PG_TYPE_REFCURSOR, PG_TYPE_CSTRING};
    for (size_t i = 0; i < COUNT(as_text); i++)
        assert_int_equal(binary_form(as_text[i]), BINARY_TEXT);
    assert_int_equal(binary_form(PG_TYPE_BYTEA), BINARY_BYTES);
    for (size_t i = 0; i < COUNT(values); i++)
        assert_int_equal(binary_form(values[i].oid), BINARY_CONVERT);

    static const uint32_t unsupported[] = {0,
                                           1,
                                           PG_TYPE_MONEY,
                                           PG_TYPE_POINT,
                                           PG_TYPE_REGCLASS,
                                           PG_TYPE_TSVECTOR,
                                           1007 /* int4[] */,
                                           16384,
                                           UINT32_MAX};
    for (size_t i = 0; i < COUNT(unsupported); i++) {
        assert_int_equal(binary_form(unsupported[i]), BINARY_UNSUPPORTED);
        assert_false(binary_supported(unsupported[i]));
    }
    assert_true(binary_supported(PG_TYPE_TEXT));
    assert_true(binary_supported(PG_TYPE_BYTEA));
    assert_true(binary_supported(PG_TYPE_INT4));
}

static void test_text_and_bytes_are_copied(void **state)
{
    (void)state;
    static const uint32_t oids[] = {PG_TYPE_TEXT, PG_TYPE_BPCHAR, PG_TYPE_JSON, PG_TYPE_BYTEA};
    for (size_t i = 0; i < COUNT(oids); i++) {
        struct buf out = {0};
        struct err err;
        struct bytes none = {NULL, 0};
        assert_int_equal(convert(oids[i], &none, &out, &err), 0);
        assert_int_equal(out.len, 0);
        struct bytes b = bytes_of_hex("c3a9205c000aff");
        assert_int_equal(convert(oids[i], &b, &out, &err), 0);
        assert_int_equal(out.len, b.size);
        assert_memory_equal(out.data, b.data, b.size);
        free(b.data);
        buf_free(&out);
    }
}

static void test_out_of_memory_is_temporary(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct bytes b = bytes_of_hex(values[i].hex);
        struct buf out = {.failed = true};
        struct err err;
        err_clear(&err);
        assert_int_equal(binary_to_text(values[i].oid, b.data, b.size, &out, &err), -1);
        assert_int_equal(err.kind, ERR_TEMPORARY);
        assert_int_equal(out.len, 0);
        free(b.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_postgresqls),
        cmocka_unit_test(test_values_of_later_servers),
        cmocka_unit_test(test_malformed_values_are_refused),
        cmocka_unit_test(test_every_wrong_length_is_refused),
        cmocka_unit_test(test_corrupted_values_do_no_harm),
        cmocka_unit_test(test_numeric_extremes),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_text_and_bytes_are_copied),
        cmocka_unit_test(test_out_of_memory_is_temporary),
    };
    return cmocka_run_group_tests_name("binary", tests, NULL, NULL);
}
