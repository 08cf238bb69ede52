/* SPDX-License-Identifier: Apache-2.0 */
/* Words that users type: is it one of these, and if not, which one is near. A list of words is one string with spaces between. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CLI_WORD 64   /* no word of ours is longer */

bool cli_word_among(const char *word, const char *words);
/* How many letters must be changed, added, left out or swapped with their neighbour to make b of a. */
size_t cli_word_distance(const char *a, const char *b);
/* Near enough to be a slip of the finger for a word, or its beginning. */
bool cli_word_is_near(const char *typed, const char *word);
/* The nearest word of the list into ret; false where none is near. */
bool cli_word_nearest(const char *typed, const char *words, char ret[CLI_WORD]);
