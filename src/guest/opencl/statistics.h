/* SPDX-License-Identifier: Apache-2.0 */
/* How often this process waited for its worker. Where TRANCHE_STATISTICS names a file, one line of JSON is appended to it at the end of the process:
 * answers waited for, by message (wire.md); waits for a queue or an event that was not done yet. Counted always: a wait costs far more. */
#pragma once

#include "wire/messages.h"

enum statistics_wait { STATISTICS_QUEUE, STATISTICS_EVENT, STATISTICS_WAITS };

void statistics_answer(enum wire_op op);
void statistics_wait(enum statistics_wait what);
/* In a new child process. */
void statistics_reset(void);
