# SPDX-License-Identifier: Apache-2.0
"""A client of a share's socket that keeps to no rule: the handshake, the shared region and the rings by hand, as src/wire/ describes them."""
import array
import ctypes
import mmap
import os
import socket
import struct
import subprocess
import time

CL_COMPLETE, CL_SUBMITTED, CL_QUEUED = 0, 2, 3

libc = ctypes.CDLL(None, use_errno=True)
FUTEX, WAKE = {"x86_64": 202, "aarch64": 98}[os.uname().machine], 1


def u32(*values):
    return struct.pack(f"<{len(values)}I", *[value & 0xFFFFFFFF for value in values])


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *[value & (1 << 64) - 1 for value in values])


def blob(data):
    return u32(len(data)) + data


def x3(a, b=1, c=1):
    return u64(a, b, c)


class Layout(dict):
    """Where what is in the shared region, by name, and the numbers of the operations, as a program of this build tells."""

    def __init__(self, build):
        lines = subprocess.run([build / "tests/system/wire_layout"], capture_output=True, text=True, check=True).stdout.splitlines()
        super().__init__((name, int(number)) for name, number in map(str.split, lines))
        self.op = {name[3:]: number for name, number in self.items() if name.startswith("op.")}


class Gone(Exception):
    """The worker has closed the connection."""


class Client:
    def __init__(self, share, at):
        self.at, self.op = at, at.op
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(share.daemon.run_dir / "shares" / f"{share.name}.sock"))
        self.region = self.fd = None
        self.sequence = {}
        self.reply_position = 0

    # ---- handshake ----

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], control)

    def hello(self, version=None, fds=()):
        self.send(struct.pack("<IHHII", self.at["WIRE_MAGIC"], self.at["WIRE_VERSION"] if version is None else version, 0, os.getpid(), 0), fds)

    def welcome(self):
        """(status, text); maps the region where there is one."""
        data, control, _, _ = self.sock.recvmsg(128, socket.CMSG_SPACE(4 * 4))
        if len(data) != 128:
            raise Gone(f"{len(data)} bytes of welcome")
        magic, version, status, size, self.address, text = struct.unpack("<IHHQQ104s", data)
        assert (magic, version) == (self.at["WIRE_MAGIC"], self.at["WIRE_VERSION"])
        for _, _, fds in control:
            self.fd = array.array("i", fds[:4])[0]
            self.region = mmap.mmap(self.fd, size)
        return status, text.rstrip(b"\0").decode()

    def connect(self):
        self.hello()
        status, text = self.welcome()
        assert status == 0, text
        return self

    def close(self):
        self.sock.close()
        self.region = None
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def ended(self, timeout=15):
        """Whether the worker closes the connection."""
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    # ---- memory ----

    def place(self, where):
        return self.at[where] if isinstance(where, str) else where

    def word(self, kind, where):
        """One word as a whole: struct would read and write it byte by byte, while the worker looks."""
        return {"I": ctypes.c_uint32, "Q": ctypes.c_uint64}[kind].from_buffer(self.region, self.place(where))

    def get(self, kind, where):
        return self.word(kind, where).value

    def put(self, kind, where, value):
        self.word(kind, where).value = value

    def wake(self, where):
        word = ctypes.c_uint32.from_buffer(self.region, self.place(where))
        libc.syscall(FUTEX, ctypes.c_void_p(ctypes.addressof(word)), WAKE, 0x7FFFFFFF, None, None, 0)
        del word

    def ring_bell(self, bell="command.data_bell"):
        self.put("I", bell, self.get("I", bell) + 1)
        self.wake(bell)

    # ---- messages ----

    def raw(self, data):
        """Bytes into the command ring, waiting for room; False when there is none for two seconds."""
        head, end, size, base = self.get("Q", "command.head"), time.monotonic() + 2, self.at["WIRE_COMMAND_RING_BYTES"], self.at["WIRE_COMMAND_OFFSET"]
        for at in range(0, len(data), 4096):
            piece = data[at:at + 4096]
            while head + len(piece) - self.get("Q", "command.tail") > size:
                if time.monotonic() > end:
                    return False
                time.sleep(0.001)
            place = head % size
            first = piece[:size - place]
            self.region[base + place:base + place + len(first)] = first
            rest = piece[len(first):]
            self.region[base:base + len(rest)] = rest
            head += len(piece)
            if at + 4096 >= len(data) or len(data) > 65536:
                self.put("Q", "command.head", head)
                self.ring_bell()
        return True

    def post(self, name, payload=b"", size=None):
        return self.raw(struct.pack("<IHH", len(payload) if size is None else size, self.op[name] if isinstance(name, str) else name, 0) + payload)

    def take(self, n, timeout):
        data, end, size, base = b"", time.monotonic() + timeout, self.at["WIRE_REPLY_RING_BYTES"], self.at["WIRE_REPLY_OFFSET"]
        while len(data) < n:
            have = min(self.get("Q", "reply.head") - self.reply_position, n - len(data), size - self.reply_position % size)
            if have:
                place = base + self.reply_position % size
                data += self.region[place:place + have]
                self.reply_position += have
                self.put("Q", "reply.tail", self.reply_position)
                self.ring_bell("reply.space_bell")
            elif time.monotonic() > end or self.ended(0.001):
                raise Gone("no answer")
        return data

    def call(self, name, payload=b"", timeout=20):
        """The answer's payload; raises Gone where the worker ends or is silent."""
        self.post(name, payload)
        size, op, _ = struct.unpack("<IHH", self.take(8, timeout))
        assert op == self.op[name]
        return self.take(size, timeout)

    def error(self, name, payload=b"", timeout=20):
        """The error code that begins most answers."""
        return struct.unpack_from("<i", self.call(name, payload, timeout))[0]

    def alive(self):
        return len(self.call("facts")) > 1000

    # ---- objects ----

    def open(self):
        """A queue 1, buffers 2 and 3 of 64 KiB, a program 4 and its kernel 5: `put(global uint *x, uint at, uint value)`."""
        assert self.error("queue_create", u32(1, 0) + u64(2) + u32(0)) == 0
        for handle in (2, 3):
            assert self.error("buffer_create", u32(handle) + u64(1, 65536)) == 0
        source = b"kernel void put(global uint *x, uint at, uint value) { x[at] = value; }"
        self.post("program_from_source", u32(4) + blob(source))
        assert self.error("program_build", u32(4) + blob(b""), 60) == 0
        self.post("kernel_create", u32(5, 4) + blob(b"put"))
        return self

    def command(self, name, payload=b"", queue=1, event=None, waits=(), nwaits=None, sequence=None):
        self.sequence[queue] = self.sequence.get(queue, 0) + 1 if sequence is None else sequence
        head = struct.pack("<IIQII", queue, len(waits) if nwaits is None else nwaits, self.sequence[queue],
                           *(event or (self.at["WIRE_NO_EVENT"], 0)))
        return self.post(name, head + b"".join(u32(*wait) for wait in waits) + payload)

    def event(self, slot):
        """(generation, status) of an event slot."""
        state = self.get("Q", self.at["WIRE_EVENTS_OFFSET"] + 64 * slot)
        return state >> 32, struct.unpack("<i", u32(state))[0]

    def set_event(self, slot, generation, status):
        self.put("Q", self.at["WIRE_EVENTS_OFFSET"] + 64 * slot, generation << 32 | status & 0xFFFFFFFF)
        self.wake(self.at["WIRE_EVENTS_OFFSET"] + 64 * slot)

    def run(self, name, payload=b"", timeout=20, **how):
        """The status that a command ends with, or None where the worker ends."""
        slot, generation = 7, self.sequence.get(1, 0) + 1
        self.set_event(slot, generation, CL_QUEUED)
        self.command(name, payload, event=(slot, generation), **how)
        end = time.monotonic() + timeout
        while self.event(slot)[1] > CL_COMPLETE:
            if self.ended(0.002):
                return None
            assert time.monotonic() < end, f"{name} is neither done nor refused after {timeout} s"
        return self.event(slot)[1]

    def put_arguments(self, buffer=2, at=0, value=0):
        return u32(3, 8, buffer) + u32(1, 4, at) + u32(1, 4, value)

    def ndrange(self, arguments=None, kernel=5, dimensions=1, flags=0, offset=x3(0, 0, 0), size=x3(1), local=x3(0, 0, 0)):
        return u32(kernel, dimensions, flags) + offset + size + local + blob(self.put_arguments() if arguments is None else arguments)

    def works(self):
        """A kernel still computes for this client."""
        value = int.from_bytes(os.urandom(4), "little")
        assert self.run("ndrange", self.ndrange(self.put_arguments(3, 5, value))) == CL_COMPLETE
        return True
