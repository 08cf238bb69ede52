/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison as a table: a line per figure, a column per model and policy. Terminal and report show the same one. */
#pragma once

#include "cli/compare.h"
#include "cli/print.h"

enum { COMPARE_LINES = 22 };

struct compare_cell { char text[32]; enum print_style style; };

/* "throughput", or "  alone": two spaces stand before what belongs to the heading above. */
const char *compare_line_label(int line);
/* A heading has no cells. */
bool compare_line_is_heading(int line);
/* One figure of one row, with its unit; "-" where it was not measured, "refused" where there could be no neighbour. */
struct compare_cell compare_cell(const struct compare *c, int line, const struct compare_row *row);
