/* common/frames/mp_cursor.c: every msgpack tag, the bounds, the sticky fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/mp_cursor.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* A literal's bytes and their number. */
#define RAW(literal) (const uint8_t *)("" literal), sizeof(literal) - 1

static bool at_end(const struct mp_cursor *c)
{
    struct err err = {0};
    int result = mp_end(c, "test", &err);
    assert_int_equal(result != 0, err.kind == ERR_PERMANENT);
    return result == 0;
}

/* What the specification says of each first byte, written down a second time and in another way. */
static enum mp_kind kind_of_tag(unsigned tag)
{
    static const enum mp_kind from_c0[32] = {
        MP_NIL,   MP_FAULT, MP_BOOL, MP_BOOL,         /* c0-c3 */
        MP_BIN,   MP_BIN,   MP_BIN,                   /* c4-c6 */
        MP_EXT,   MP_EXT,   MP_EXT,                   /* c7-c9 */
        MP_FLOAT, MP_FLOAT,                           /* ca-cb */
        MP_UINT,  MP_UINT,  MP_UINT, MP_UINT,         /* cc-cf */
        MP_INT,   MP_INT,   MP_INT,  MP_INT,          /* d0-d3 */
        MP_EXT,   MP_EXT,   MP_EXT,  MP_EXT,  MP_EXT, /* d4-d8 */
        MP_STR,   MP_STR,   MP_STR,                   /* d9-db */
        MP_ARRAY, MP_ARRAY, MP_MAP,  MP_MAP,          /* dc-df */
    };
    if (tag < 0x80)
        return MP_UINT;
    if (tag < 0x90)
        return MP_MAP;
    if (tag < 0xa0)
        return MP_ARRAY;
    if (tag < 0xc0)
        return MP_STR;
    return tag < 0xe0 ? from_c0[tag - 0xc0] : MP_INT;
}

/* Bytes of the object after its first byte, when all of them are zero: none has elements or data
 * then. */
static size_t rest_of_tag(unsigned tag)
{
    static const uint8_t from_c0[32] = {0, 0, 0, 0, 1, 2, 4, 2, 3,  5, 4, 8, 1, 2, 4, 8,
                                        1, 2, 4, 8, 2, 3, 5, 9, 17, 1, 2, 4, 2, 4, 2, 4};
    if (tag < 0x80 || tag >= 0xe0)
        return 0;
    if (tag < 0x90)
        return 2 * (tag & 0x0f);
    if (tag < 0xa0)
        return tag & 0x0f;
    return tag < 0xc0 ? (tag & 0x1f) : from_c0[tag - 0xc0];
}

/* The kinds that each get accepts, tried on every first byte. */
enum get {
    GET_NIL,
    GET_BOOL,
    GET_U64,
    GET_U32,
    GET_I64,
    GET_I32,
    GET_STR,
    GET_BIN,
    GET_EXT,
    GET_ARRAY,
    GET_MAP,
    GETS
};

static void call(enum get get, struct mp_cursor *c)
{
    int8_t type;
    switch (get) {
    case GET_NIL:
        if (!mp_nil(c))
            mp_fault(c, "not nil");
        return;
    case GET_BOOL:
        (void)mp_bool(c);
        return;
    case GET_U64:
        (void)mp_u64(c);
        return;
    case GET_U32:
        (void)mp_u32(c);
        return;
    case GET_I64:
        (void)mp_i64(c);
        return;
    case GET_I32:
        (void)mp_i32(c);
        return;
    case GET_STR:
        (void)mp_str(c);
        return;
    case GET_BIN:
        (void)mp_bin(c);
        return;
    case GET_EXT:
        (void)mp_ext(c, &type);
        return;
    case GET_ARRAY: /* elements: zeros */
        for (uint32_t n = mp_array(c); n > 0; n--)
            assert_int_equal(mp_u32(c), 0);
        return;
    case GET_MAP:
        for (uint32_t n = mp_map(c) * 2; n > 0; n--)
            assert_int_equal(mp_u32(c), 0);
        return;
    case GETS:
        break;
    }
    fail();
}

static bool accepts(enum get get, enum mp_kind kind)
{
    static const enum mp_kind kinds[GETS][2] = {
        [GET_NIL] = {MP_NIL, MP_NIL},   [GET_BOOL] = {MP_BOOL, MP_BOOL},
        [GET_U64] = {MP_UINT, MP_UINT}, [GET_U32] = {MP_UINT, MP_UINT},
        [GET_I64] = {MP_UINT, MP_INT},  [GET_I32] = {MP_UINT, MP_INT},
        [GET_STR] = {MP_STR, MP_STR},   [GET_BIN] = {MP_BIN, MP_BIN},
        [GET_EXT] = {MP_EXT, MP_EXT},   [GET_ARRAY] = {MP_ARRAY, MP_ARRAY},
        [GET_MAP] = {MP_MAP, MP_MAP},
    };
    return kind != MP_FAULT && (kind == kinds[get][0] || kind == kinds[get][1]);
}

static void every_tag_is_taken_whole_or_refused(void **state)
{
    (void)state;
    for (unsigned tag = 0; tag < 256; tag++) {
        size_t size = 1 + rest_of_tag(tag);
        uint8_t *bytes = calloc(1, size);
        assert_non_null(bytes);
        bytes[0] = (uint8_t)tag;
        struct mp_cursor peeked = mp_cursor(bytes, size);
        assert_int_equal(mp_peek(&peeked), kind_of_tag(tag));
        for (enum get get = 0; get < GETS; get++) {
            struct mp_cursor c = mp_cursor(bytes, size);
            call(get, &c);
            assert_int_equal(at_end(&c), accepts(get, kind_of_tag(tag)));
        }
        free(bytes);
    }
}

static void every_object_cut_short_is_a_fault(void **state)
{
    (void)state;
    for (unsigned tag = 0; tag < 256; tag++) {
        for (size_t size = 0; size < 1 + rest_of_tag(tag); size++) {
            uint8_t *bytes = calloc(1, size ? size : 1);
            assert_non_null(bytes);
            bytes[0] = (uint8_t)tag;
            for (enum get get = 0; get < GETS; get++) {
                struct mp_cursor c = mp_cursor(bytes, size);
                call(get, &c);
                assert_false(at_end(&c));
                assert_int_equal(mp_peek(&c), MP_FAULT);
            }
            free(bytes);
        }
    }
}

static void unsigned_numbers(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
        uint64_t value;
    } cases[] = {
        {RAW("\x00"), 0},
        {RAW("\x7f"), 127},
        {RAW("\xcc\x80"), 128},
        {RAW("\xcc\xff"), 255},
        {RAW("\xcd\x01\x02"), 0x0102},
        {RAW("\xce\x01\x02\x03\x04"), 0x01020304},
        {RAW("\xce\xff\xff\xff\xff"), UINT32_MAX},
        {RAW("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), UINT64_C(1) << 32},
        {RAW("\xcf\x01\x02\x03\x04\x05\x06\x07\x08"), UINT64_C(0x0102030405060708)},
        {RAW("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), UINT64_MAX},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mp_cursor c = mp_cursor(cases[i].bytes, cases[i].size);
        assert_true(mp_u64(&c) == cases[i].value && at_end(&c));

        c = mp_cursor(cases[i].bytes, cases[i].size);
        bool fits = cases[i].value <= UINT32_MAX;
        assert_int_equal(mp_u32(&c), fits ? cases[i].value : 0);
        assert_int_equal(at_end(&c), fits);

        c = mp_cursor(cases[i].bytes, cases[i].size);
        fits = cases[i].value <= INT64_MAX;
        assert_true(mp_i64(&c) == (fits ? (int64_t)cases[i].value : 0) && at_end(&c) == fits);
    }
}

static void signed_numbers(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
        int64_t value;
    } cases[] = {
        {RAW("\x05"), 5},
        {RAW("\xff"), -1},
        {RAW("\xe0"), -32},
        {RAW("\xd0\x80"), -128},
        {RAW("\xd0\x7f"), 127},
        {RAW("\xd1\x80\x00"), INT16_MIN},
        {RAW("\xd2\x80\x00\x00\x00"), INT32_MIN},
        {RAW("\xd2\x7f\xff\xff\xff"), INT32_MAX},
        {RAW("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"), INT64_C(-2147483649)},
        {RAW("\xce\x80\x00\x00\x00"), INT64_C(2147483648)},
        {RAW("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN},
        {RAW("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mp_cursor c = mp_cursor(cases[i].bytes, cases[i].size);
        assert_true(mp_i64(&c) == cases[i].value && at_end(&c));

        c = mp_cursor(cases[i].bytes, cases[i].size);
        bool fits = cases[i].value >= INT32_MIN && cases[i].value <= INT32_MAX;
        assert_int_equal(mp_i32(&c), fits ? cases[i].value : 0);
        assert_int_equal(at_end(&c), fits);
    }
}

static void strings_bytes_and_ext_point_into_the_input(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
        size_t content; /* its offset */
        enum mp_kind kind;
        int8_t type; /* ext */
    } cases[] = {
        {RAW("\xa0"), 1, MP_STR, 0},
        {RAW("\xa2hi"), 1, MP_STR, 0},
        {RAW("\xd9\x02hi"), 2, MP_STR, 0},
        {RAW("\xda\x00\x02hi"), 3, MP_STR, 0},
        {RAW("\xdb\x00\x00\x00\x02hi"), 5, MP_STR, 0},
        {RAW("\xc4\x02hi"), 2, MP_BIN, 0},
        {RAW("\xc5\x00\x02hi"), 3, MP_BIN, 0},
        {RAW("\xc6\x00\x00\x00\x02hi"), 5, MP_BIN, 0},
        {RAW("\xc7\x02Thi"), 3, MP_EXT, 'T'},
        {RAW("\xc8\x00\x02Thi"), 4, MP_EXT, 'T'},
        {RAW("\xc9\x00\x00\x00\x02\xffhi"), 6, MP_EXT, -1},
        {RAW("\xd4Th"), 2, MP_EXT, 'T'},
        {RAW("\xd5Thi"), 2, MP_EXT, 'T'},
        {RAW("\xd6Thihi"), 2, MP_EXT, 'T'},
        {RAW("\xd7Thihihihi"), 2, MP_EXT, 'T'},
        {RAW("\xd8Thihihihihihihihi"), 2, MP_EXT, 'T'},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mp_cursor c = mp_cursor(cases[i].bytes, cases[i].size);
        int8_t type = 0;
        struct bytes b = cases[i].kind == MP_STR   ? mp_str(&c)
                         : cases[i].kind == MP_BIN ? mp_bin(&c)
                                                   : mp_ext(&c, &type);
        assert_true(at_end(&c));
        assert_int_equal(b.size, cases[i].size - cases[i].content);
        assert_ptr_equal(b.data, cases[i].bytes + cases[i].content);
        assert_int_equal(type, cases[i].type);
    }
}

/* Counts and lengths that the rest can not hold: the elements are not even looked for. */
static void a_count_larger_than_the_rest_is_a_fault(void **state)
{
    (void)state;
    static const struct {
        enum get get;
        const uint8_t *bytes;
        size_t size;
        bool good;
    } cases[] = {
        {GET_ARRAY, RAW("\x92\0\0"), true},
        {GET_ARRAY, RAW("\x93\0\0"), false},
        {GET_ARRAY, RAW("\xdc\xff\xff\0\0"), false},
        {GET_ARRAY, RAW("\xdd\xff\xff\xff\xff\0"), false},
        {GET_ARRAY, RAW("\xdd\x00\x00\x00\x02\0\0"), true},
        {GET_MAP, RAW("\x81\0\0"), true},
        {GET_MAP, RAW("\x82\0\0\0"), false},
        {GET_MAP, RAW("\xde\xff\xff\0\0"), false},
        {GET_MAP, RAW("\xdf\x80\x00\x00\x00\0\0"), false},
        {GET_MAP, RAW("\xdf\x00\x00\x00\x01\0\0"), true},
        {GET_STR, RAW("\xdb\xff\xff\xff\xffx"), false},
        {GET_BIN, RAW("\xc6\x80\x00\x00\x00x"), false},
        {GET_EXT, RAW("\xc9\xff\xff\xff\xffux"), false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct mp_cursor c = mp_cursor(cases[i].bytes, cases[i].size);
        call(cases[i].get, &c);
        assert_int_equal(at_end(&c), cases[i].good);
    }
}

static void the_first_fault_sticks(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x01, 0xc0, 0x02};
    struct mp_cursor c = mp_cursor(bytes, sizeof bytes);
    assert_int_equal(mp_u32(&c), 1);
    assert_int_equal(mp_str(&c).size, 0);
    const char *fault = c.fault;
    assert_non_null(strstr(fault, "string"));
    for (enum get get = 0; get < GETS; get++)
        call(get, &c);
    assert_non_null(mp_bin(&c).data);
    mp_fault(&c, "a later one");
    assert_string_equal(c.fault, fault);
    struct err err = {0};
    assert_int_equal(mp_end(&c, "thing", &err), -1);
    assert_int_equal(strncmp(err.text, "thing: ", 7), 0);
    assert_non_null(strstr(err.text, fault));
}

static void what_is_left_over_is_an_error(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x01, 0x02};
    struct mp_cursor c = mp_cursor(bytes, sizeof bytes);
    assert_false(mp_nil(&c));
    assert_int_equal(mp_u32(&c), 1);
    struct err err = {0};
    assert_int_equal(mp_end(&c, "thing", &err), -1);
    assert_string_equal(err.text, "thing: 1 bytes after its last field");
    c = mp_cursor(NULL, 0);
    assert_int_equal(mp_peek(&c), MP_FAULT);
    assert_true(at_end(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tag_is_taken_whole_or_refused),
        cmocka_unit_test(every_object_cut_short_is_a_fault),
        cmocka_unit_test(unsigned_numbers),
        cmocka_unit_test(signed_numbers),
        cmocka_unit_test(strings_bytes_and_ext_point_into_the_input),
        cmocka_unit_test(a_count_larger_than_the_rest_is_a_fault),
        cmocka_unit_test(the_first_fault_sticks),
        cmocka_unit_test(what_is_left_over_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
