/* SPDX-License-Identifier: Apache-2.0 */
/* Shared virtual memory: pieces of the arena that the client sees at the same addresses, so that pointers in it mean the same on both sides.
 *
 * The client maps the region where the worker has it. If something is in the way there, it asks for another place before its first allocation: the worker
 * maps the region once more, wherever its kernel finds room. The worker never maps over anything, and never takes an address from a client: a pointer
 * travels as an allocation's handle and an offset within it. */
#pragma once

#include "worker/session.h"

/* NULL without memory. */
struct svm *svm_new(struct session *s);
/* Maps the region at another address and returns that; 0 when it has moved often enough. Ends the worker when there are allocations already. */
uint64_t svm_move(struct session *s);
/* The address of a place in the arena, from now on fixed. */
uint8_t *svm_at(struct session *s, uint64_t offset);
