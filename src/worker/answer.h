/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to sync messages, on the reply ring. The client takes them by their operation: of each it asks one at a time. */
#pragma once

#include "worker/session.h"

struct answer { struct wire_end *reply; uint16_t op; };

/* Sends and frees `out`. Any thread. */
void answer_send(const struct answer *a, struct wire_out *out);
#define ANSWER(a, name, ...) ({ \
    uint8_t small_[512]; \
    struct wire_out out_ = { small_, 0, sizeof small_, false, false }; \
    wire_put_##name##_answer(&out_, &(struct wire_##name##_answer){ __VA_ARGS__ }); \
    answer_send(a, &out_); })
