/* SPDX-License-Identifier: Apache-2.0 */
/* Builds, compilations and links, one after another in a thread of their own: a compiler takes seconds, and meanwhile the client's other threads go on. */
#pragma once

#include "worker/answer.h"

bool build_takes(uint16_t op);
/* Under the ring's lock: copies the message and has it served later; the answer comes from the other thread. Until then the program counts as being built
 * (object.u.program.builds), and nothing may be made of it. Waits while very many are under way. */
void build_later(struct session *s, const struct answer *a, const uint8_t *payload, uint32_t bytes);
