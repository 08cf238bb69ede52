/* SPDX-License-Identifier: Apache-2.0 */
/* Text parsers with what people and attackers write, and errors that keep code, chain and hint. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *shown(const char *input) { return input ? input : "(null)"; }

/* A failure names the input and not only the line. */
#define CHECK(condition, input) do { if (!(condition)) fail_msg("'%s': %s", shown(input), #condition); } while (0)

struct sample { const char *text; uint64_t value; };

static const char *const never_numbers[] = {
    NULL, "", " ", "-1", "+1", " 1", "1 ", "0x10", "1e3", "nan", "NaN", "inf", "-inf", "infinity", "1,5", "1.", ".5", "1..5", "1.5.5", "--1",
    "0b1", "١", "½", "1\n", "%", "GiB", "1GiBGiB", "1 GiB", "$(id)", "%s%n", "99999999999999999999999", "1;rm", "1\t%", "\xff\xfe",
};

static void test_sizes(void **state)
{
    static const struct sample good[] = {
        { "1", 1 }, { "4096", 4096 }, { "1B", 1 }, { "1KiB", 1024 }, { "512MiB", 512ull << 20 }, { "3GiB", 3ull << 30 }, { "1.5GiB", 3ull << 29 },
        { "2GB", 2000000000 }, { "1kB", 1000 }, { "1TiB", 1ull << 40 }, { "0.5KiB", 512 }, { "9007199254740992", 1ull << 53 }, { "007", 7 },
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t v = 0;
        CHECK(text_parse_size(good[i].text, &v, NULL) == 0, good[i].text);
        CHECK(v == good[i].value, good[i].text);
    }
    static const char *const bad[] = { "0", "0GiB", "0.0MiB", "1.5", "0.3KiB", "1gib", "1GIB", "1mb", "1XiB", "10%", "9007199254740994", "8193TiB",
                                       "99999999999999999999GiB", "1.0000000000GiB" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t v = 77;
        struct error err = { 0 };
        int r = text_parse_size(bad[i], &v, &err);
        CHECK(r == -EINVAL || r == -ERANGE, bad[i]);
        CHECK(err.code == r && strstr(err.text, bad[i]), bad[i]);
        CHECK(v == 77, bad[i]);
    }
}

static void test_percents(void **state)
{
    static const struct sample good[] = { { "25%", 250000 }, { "100%", 1000000 }, { "12.5%", 125000 }, { "0.0001%", 1 }, { "33.3333%", 333333 } };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint32_t v = 0;
        CHECK(text_parse_percent(good[i].text, &v, NULL) == 0, good[i].text);
        CHECK(v == good[i].value, good[i].text);
    }
    static const char *const bad[] = { "0%", "101%", "100.0001%", "25", "25%%", "% 25", "25 %", "0.00001%", "-25%", "+25%", "25percent", "1000000%", "25GiB" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint32_t v = 77;
        int r = text_parse_percent(bad[i], &v, NULL);
        CHECK((r == -EINVAL || r == -ERANGE) && v == 77, bad[i]);
    }
}

static void test_durations(void **state)
{
    static const struct sample good[] = { { "2ms", 2000000 }, { "500us", 500000 }, { "30s", 30000000000 }, { "1.5s", 1500000000 }, { "1ns", 1 },
                                          { "2min", 120000000000 }, { "1h", 3600000000000 } };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t v = 0;
        CHECK(text_parse_duration(good[i].text, &v, NULL) == 0, good[i].text);
        CHECK(v == good[i].value, good[i].text);
    }
    static const char *const bad[] = { "0s", "5", "-2ms", "2 ms", "2msec", "2MS", "99999999h", "0.1ns", "2ms2ms" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t v = 77;
        int r = text_parse_duration(bad[i], &v, NULL);
        CHECK((r == -EINVAL || r == -ERANGE) && v == 77, bad[i]);
    }
}

static void test_whole_numbers(void **state)
{
    uint64_t v = 77;
    assert_int_equal(text_parse_u64("17", "port", 1, 20, &v, NULL), 0);
    assert_int_equal(v, 17);
    assert_int_equal(text_parse_u64("18446744073709551615", "n", 0, UINT64_MAX, &v, NULL), 0);
    assert_true(v == UINT64_MAX);
    static const char *const bad[] = { "0", "21", "18446744073709551616", "17x", "17.0", "1e1", "0x11", "", " 17", "-17", "+17", NULL };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        v = 77;
        CHECK(text_parse_u64(bad[i], "port", 1, 20, &v, &err) == -EINVAL && v == 77, bad[i]);
        CHECK(strstr(err.text, "port") && strstr(err.text, "20"), bad[i]);
    }
}

static void test_nonsense_is_refused_everywhere(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(never_numbers); i++) {
        const char *s = never_numbers[i];
        uint64_t n = 77;
        uint32_t ppm = 77;
        struct error err = { 0 };
        CHECK(text_parse_size(s, &n, &err) < 0 && err.text[0], s);
        CHECK(text_parse_percent(s, &ppm, &err) < 0 && err.text[0], s);
        CHECK(text_parse_duration(s, &n, &err) < 0 && err.text[0], s);
        CHECK(text_parse_u64(s, "number", 0, 1000, &n, &err) < 0 && err.text[0], s);
        CHECK(n == 77 && ppm == 77, s);
    }
}

static void test_names(void **state)
{
    char longest[65];
    memset(longest, 'a', 63);
    longest[63] = '\0';
    const char *good[] = { "a", "0", "team-a.train_1", longest };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        CHECK(text_check_name(good[i], NULL) == 0, good[i]);
    memset(longest, 'a', 64);
    longest[64] = '\0';
    const char *bad[] = { NULL, "", ".", "..", ".hidden", "-rf", "_x", "A", "a/b", "../a", "a b", "a\nb", "a\tb", "ä", "a%n", "a;b", "a\x7f", "a\xff", longest };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        CHECK(text_check_name(bad[i], &err) == -EINVAL, bad[i]);
        CHECK(err.hint[0], bad[i]);
    }
}

/* Random text from the letters that numbers are made of: whatever is accepted has to lie in the documented range. */
static void test_random_text_keeps_the_ranges(void **state)
{
    static const char letters[] = "0123456789..%KMGTiBbnumsh eE+-x\xff";
    unsigned seed = 20240607;
    for (int round = 0; round < 200000; round++) {
        char s[32];
        size_t n = (size_t)(rand_r(&seed) % 12);
        for (size_t i = 0; i < n; i++)
            s[i] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        s[n] = '\0';
        uint64_t bytes = 0, ns = 0, number = 0;
        uint32_t ppm = 0;
        if (text_parse_size(s, &bytes, NULL) == 0)
            CHECK(bytes >= 1 && bytes <= UINT64_C(1) << 53, s);
        if (text_parse_percent(s, &ppm, NULL) == 0)
            CHECK(ppm >= 1 && ppm <= 1000000, s);
        if (text_parse_duration(s, &ns, NULL) == 0)
            CHECK(ns >= 1, s);
        if (text_parse_u64(s, "n", 3, 3000, &number, NULL) == 0)
            CHECK(number >= 3 && number <= 3000, s);
    }
}

static void test_formats(void **state)
{
    char buf[32];
    assert_string_equal(text_format_size(0, buf, sizeof buf), "0 B");
    assert_string_equal(text_format_size(1023, buf, sizeof buf), "1023 B");
    assert_string_equal(text_format_size(3ull << 29, buf, sizeof buf), "1.5 GiB");
    assert_string_equal(text_format_size(1ull << 50, buf, sizeof buf), "1 PiB");
    assert_true(strlen(text_format_size(UINT64_MAX, buf, sizeof buf)) > 0);
    assert_true(strlen(text_format_size(UINT64_MAX, buf, 4)) < 4);
    assert_int_equal(text_format(buf, 4, "%s", "abc"), 0);
    assert_int_equal(text_format(buf, 4, "%s", "abcd"), -ENAMETOOLONG);
    assert_string_equal(buf, "abc");
    assert_true(text_equal(NULL, NULL) && text_equal("a", "a"));
    assert_false(text_equal(NULL, "") || text_equal("a", NULL) || text_equal("a", "b"));
}

static void test_errors_chain(void **state)
{
    struct error err = { 0 };
    assert_int_equal(error_set(&err, -EBUSY, "GPU %s is bound", "gpu0"), -EBUSY);
    error_hint(&err, "remove share %s", "a");
    assert_int_equal(error_wrap(&err, "create share %s", "b"), -EBUSY);
    assert_string_equal(err.text, "create share b: GPU gpu0 is bound");
    assert_string_equal(err.hint, "remove share a");
    error_set(&err, -ENOENT, "other");
    assert_string_equal(err.hint, "");
}

static void test_errors_without_room(void **state)
{
    assert_int_equal(error_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
    assert_true(error_wrap(NULL, "nobody listens") < 0);
    error_hint(NULL, "nobody listens");
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    struct error err = { 0 };
    error_set(&err, -EIO, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    error_wrap(&err, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.code, -EIO);
    error_set(&err, -EIO, "%s", "%s%n%s");   /* text of others is never a format */
    error_wrap(&err, "outer");
    assert_string_equal(err.text, "outer: %s%n%s");
}

static void test_exit_codes(void **state)
{
    static const struct { int code; int exit; } want[] = {
        { 0, 0 }, { -EIO, 1 }, { -ENOMEM, 1 }, { -EINVAL, 2 }, { -ENOENT, 2 }, { -ERANGE, 2 },
        { -EBUSY, 3 }, { -EEXIST, 3 }, { -EDQUOT, 3 }, { -EPERM, 3 }, { -EACCES, 3 }, { -EOPNOTSUPP, 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(error_exit_code(want[i].code), want[i].exit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_percents), cmocka_unit_test(test_durations), cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_nonsense_is_refused_everywhere), cmocka_unit_test(test_names), cmocka_unit_test(test_random_text_keeps_the_ranges),
        cmocka_unit_test(test_formats), cmocka_unit_test(test_errors_chain), cmocka_unit_test(test_errors_without_room),
        cmocka_unit_test(test_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
