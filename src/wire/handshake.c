/* SPDX-License-Identifier: Apache-2.0 */
/* Refusing a client: see handshake.h. */
#include "wire/handshake.h"

#include <stdio.h>
#include <sys/socket.h>

void wire_refuse(int sock, enum wire_status status, const char *text)
{
    struct wire_welcome w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .status = (uint16_t)status };
    snprintf(w.text, sizeof w.text, "%s", text);
    send(sock, &w, sizeof w, MSG_NOSIGNAL | MSG_DONTWAIT);
}
