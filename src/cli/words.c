/* SPDX-License-Identifier: Apache-2.0 */
/* Near words: see words.h. */
#include "cli/words.h"

#include "base/cleanup.h"

#include <stdint.h>
#include <string.h>

/* The next word of a list into buf, or NULL at its end; words longer than ours are skipped. */
static const char *next_word(const char *words, char buf[CLI_WORD])
{
    for (;;) {
        words += strspn(words, " ");
        size_t n = strcspn(words, " ");
        if (n == 0)
            return NULL;
        if (n < CLI_WORD) {
            memcpy(buf, words, n);
            buf[n] = '\0';
            return words + n;
        }
        words += n;
    }
}

bool cli_word_among(const char *word, const char *words)
{
    char w[CLI_WORD];
    for (const char *p = words; p && (p = next_word(p, w));) {
        if (strcmp(w, word) == 0)
            return true;
    }
    return false;
}

size_t cli_word_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), d[CLI_WORD + 1][CLI_WORD + 1];
    if (la >= CLI_WORD || lb >= CLI_WORD)
        return SIZE_MAX;
    for (size_t i = 0; i <= la; i++) {
        for (size_t j = 0; j <= lb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t one_more = MIN(d[i - 1][j], d[i][j - 1]) + 1, other_letter = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = MIN(one_more, other_letter);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[la][lb];
}

bool cli_word_is_near(const char *typed, const char *word)
{
    size_t n = strlen(typed);
    return (n >= 2 && strncmp(typed, word, n) == 0) || cli_word_distance(typed, word) <= (n + 1) / 3;
}

bool cli_word_nearest(const char *typed, const char *words, char ret[CLI_WORD])
{
    size_t best = SIZE_MAX;
    char w[CLI_WORD];
    for (const char *p = words; p && (p = next_word(p, w));) {
        size_t d = cli_word_distance(typed, w);
        if (!cli_word_is_near(typed, w) || d >= best)
            continue;
        best = d;
        strcpy(ret, w);
    }
    return best != SIZE_MAX;
}
