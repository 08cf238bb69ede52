#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds.py WIRE.DICT DIR: writes one well-formed input of every kind for fuzz_decode, so that it begins where decoding succeeds."""
import pathlib
import re
import struct
import sys

QUEUE, BUFFER, OTHER, IMAGE, KERNEL, SAMPLER = 1, 2, 3, 4, 5, 6     # the handles of fuzz_decode.c
NO_EVENT = 0xFFFFFFFF


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def blob(data):
    return u32(len(data)) + data


def head(waits=()):
    return struct.pack("<IIQII", QUEUE, len(waits), 1, NO_EVENT, 0) + b"".join(u32(*wait) for wait in waits)


ARGUMENTS = u32(3, 8, BUFFER) + u32(1, 4, 7) + u32(2, 64) + u32(4, 8, SAMPLER) + u32(3, 8, 0) + u32(0, 0)
COMMANDS = {
    "ndrange": u32(KERNEL, 2, 1) + u64(*[0] * 3, 64, 64, 1, 8, 8, 1) + blob(ARGUMENTS),
    "write_inline": u32(BUFFER) + u64(16) + blob(b"sixteen bytes ..."),
    "stream_write": u32(BUFFER) + u64(0, 65536) + u32(1),
    "stream_read": u32(BUFFER) + u64(0, 65536) + u32(3),
    "copy": u32(BUFFER, BUFFER) + u64(0, 32768, 32768),
    "copy_rect": u32(BUFFER, BUFFER) + u64(*[0] * 3, 0, 0, 4, 16, 4, 2, 32, 256, 32, 256),
    "fill": u32(BUFFER) + u64(0, 4096) + blob(b"abcd"),
    "copy_image": u32(IMAGE, IMAGE) + u64(*[0] * 3, 4, 4, 0, 4, 4, 1),
    "image_to_buffer": u32(IMAGE, BUFFER) + u64(*[0] * 3, 4, 4, 1, 64),
    "buffer_to_image": u32(BUFFER, IMAGE) + u64(*[0] * 3, 4, 4, 1, 64),
    "fill_image": u32(IMAGE) + u64(*[0] * 3, 4, 4, 1) + blob(b"x" * 16),
    "write_image": u32(IMAGE) + u64(*[0] * 3, 4, 4, 1) + u32(3),
    "read_image": u32(IMAGE) + u64(*[0] * 3, 4, 4, 1) + u32(15),
    "marker": u32(0),
}
TEXT = b"""/* a */ kernel void f(global int *x) { // get_group_id
  x[get_global_id(0)] = "text"[0] + get_local_size(0); } \\
#define g(a) get_##a
"""


def main():
    text, folder = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
    op = {name: int(low, 16) for name, low in re.findall(r'(\w+)="\\x(..)\\x..', text)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in COMMANDS.items():
        for i, waits in enumerate(((), ((7, 1), (9, 2)))):
            (folder / f"command-{name}-{i}").write_bytes(bytes([2, op[name]]) + head(waits) + body)
        (folder / f"message-{name}").write_bytes(bytes([0, op[name]]) + body)
    for name, number in op.items():
        (folder / f"zeros-{name}").write_bytes(bytes([0, number]) + bytes(200))
    (folder / "text").write_bytes(b"\1" + TEXT)


main()
