#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes messages.h, dispatch.h, wire.dict and wire.md from opencl.calls. See the comments there for the grammar."""
import re
import sys

SCALAR = {"u32": "uint32_t", "u64": "uint64_t", "i32": "int32_t", "id": "uint32_t"}
TYPES = {*SCALAR, "x3", "blob", "str"}
COMMAND_FIELDS = "queue, sequence, event, wait list"


class Field:
    def __init__(self, text, message):
        m = re.match(r"(\w+) (\w+)$", text)
        if not m or m[1] not in TYPES:
            sys.exit(f"opencl.calls: {message}: '{text}' is not a type ({' '.join(sorted(TYPES))}) and a name")
        self.type, self.name = m[1], m[2]

    def declare(self):
        if self.type == "x3":
            return f"uint64_t {self.name}[3];"
        if self.type in ("blob", "str"):
            return f"struct wire_blob {self.name};"
        return f"{SCALAR[self.type]} {self.name};"

    def code(self, verb):
        codec = {"x3": "x3", "blob": "blob", "str": "str", "id": "u32"}.get(self.type, self.type)
        if verb == "put":
            ref = "&" if codec in ("blob", "str") else ""
            return f"wire_put_{codec}(out, {ref}m->{self.name});"
        ref = "" if codec == "x3" else "&"
        return f"wire_get_{codec}(in, {ref}m->{self.name});"


class Message:
    def __init__(self, number, line):
        m = re.match(r"(sync|async|command)\s+(\w+)\s+\(([^)]*)\)\s*(?:->\s*\(([^)]*)\))?$", line)
        if not m:
            sys.exit(f"opencl.calls: cannot read: {line}")
        self.number, self.kind, self.name = number, m[1], m[2]
        self.fields = [Field(f.strip(), m[2]) for f in m[3].split(",") if f.strip()]
        self.answer = [Field(f.strip(), m[2]) for f in (m[4] or "").split(",") if f.strip()]
        if (self.kind == "sync") != bool(self.answer):
            sys.exit(f"opencl.calls: {self.name}: an answer belongs to sync messages, and only to them")


def struct_and_codec(name, fields):
    out = [f"struct wire_{name} {{"] + [f"    {f.declare()}" for f in fields] + (["    char nothing;"] if not fields else []) + ["};"]
    for verb, first, const in (("put", "struct wire_out *out", "const "), ("get", "struct wire_in *in", "")):
        out += [f"static inline void wire_{verb}_{name}({first}, {const}struct wire_{name} *m)", "{"]
        out += [f"    {f.code(verb)}" for f in fields] or [f"    (void){first.split('*')[1]}, (void)m;"]
        out += ["}"]
    return "\n".join(out) + "\n"


def messages_h(messages):
    out = ["/* Generated from opencl.calls by generate.py. */", "#pragma once", '#include "wire/codec.h"', "", "enum wire_op {"]
    out += [f"    WIRE_OP_{m.name} = {m.number}," for m in messages] + ["    WIRE_OP_COUNT", "};"]
    out += ["static inline const char *wire_op_to_string(unsigned op)", "{", "    static const char *const names[WIRE_OP_COUNT] = {"]
    out += [f'        [WIRE_OP_{m.name}] = "{m.name}",' for m in messages]
    out += ["    };", '    return op < WIRE_OP_COUNT && names[op] ? names[op] : "unknown";', "}"]
    out += ["static inline int wire_op_is_command(unsigned op)", "{", "    switch (op) {"]
    out += [f"    case WIRE_OP_{m.name}:" for m in messages if m.kind == "command"] + ["        return 1;", "    default:", "        return 0;", "    }", "}"]
    for m in messages:
        out.append(struct_and_codec(m.name, m.fields))
        if m.answer:
            out.append(struct_and_codec(m.name + "_answer", m.answer))
    for kind in ("sync", "async", "command"):
        args = "name, NAME_answer" if kind == "sync" else "name"
        out.append(f"/* X({args}) for every {kind} message. */")
        out.append(f"#define WIRE_{kind.upper()}_MESSAGES(X) " + " ".join(f"X({m.name})" for m in messages if m.kind == kind))
    return "\n".join(out) + "\n"


def stub(proto, error):
    m = re.match(r"(.*?)(\bcl\w+)\((.*)\)$", proto)
    ret, name, args = m[1].strip(), m[2], m[3]
    body = ""
    if "errcode_ret" in args:
        body = f"    if (errcode_ret)\n        *errcode_ret = {error};\n    return NULL;\n"
    elif ret != "void":
        body = f"    return {error};\n"
    return name, f"static {ret} CL_API_CALL none_{name}({args})\n{{\n{body}}}\n"


def dispatch_h(calls, nones, untyped):
    out = ["/* Generated from opencl.calls by generate.py. */", "#pragma once", "#include <CL/cl_icd.h>", ""]
    stubs = [stub(*n) for n in nones]
    out += [text for _, text in stubs]
    out += ["static cl_int CL_API_CALL none_untyped(void)", "{", "    return CL_INVALID_OPERATION;", "}", ""]
    out += ["static const struct _cl_icd_dispatch dispatch_table = {"]
    out += [f"    .{name} = {name}," for name, _ in calls]
    out += [f"    .{name} = none_{name}," for name, _ in stubs]
    out += [f"    .{name} = (void *)none_untyped," for name in untyped]
    out += ["};"]
    total = len(calls) + len(stubs) + len(untyped)
    out += [f'_Static_assert(sizeof(struct _cl_icd_dispatch) == {total} * sizeof(void *), "every slot of the dispatch table is listed in opencl.calls");']
    return "\n".join(out) + "\n"


def dictionary(messages):
    return "".join(f'{m.name}="\\x{m.number & 255:02x}\\x{m.number >> 8:02x}"\n' for m in messages)


def markdown(messages, calls, nones):
    out = ["# The wire protocol", "", "Generated from `src/wire/opencl.calls`. A command also carries: " + COMMAND_FIELDS + ".", "",
           "| op | kind | message | fields | answer |", "|---|---|---|---|---|"]
    show = lambda fs: ", ".join(f"{f.type} {f.name}" for f in fs) or "-"
    out += [f"| {m.number} | {m.kind} | {m.name} | {show(m.fields)} | {show(m.answer)} |" for m in messages]
    out += ["", "| OpenCL call | how it is carried |", "|---|---|"]
    out += [f"| {n} | {how} |" for n, how in calls]
    out += [f"| {stub(*n)[0]} | not carried: {n[1]} |" for n in nones]
    return "\n".join(out) + "\n"


def main():
    source, target, output = sys.argv[1:4]
    messages, calls, nones, untyped = [], [], [], []
    for line in open(source, encoding="utf-8"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        word = line.split()[0]
        if word == "call":
            _, name, how = line.split(None, 2)
            calls.append((name, how))
        elif word == "none":
            proto, _, error = line[5:].rpartition(" = ")
            nones.append((proto, error))
        elif word == "untyped":
            untyped += line.split()[1:]
        else:
            messages.append(Message(len(messages) + 1, line))
    known = {m.name for m in messages} | {"client"}
    for m in messages:
        if m is not next(other for other in messages if other.name == m.name):
            sys.exit(f"opencl.calls: there are two messages named {m.name}")
    for name, how in calls:
        for part in how.split():
            if part not in known:
                sys.exit(f"opencl.calls: {name} names an unknown message {part}")
    text = {"messages": lambda: messages_h(messages), "dispatch": lambda: dispatch_h(calls, nones, untyped),
            "dictionary": lambda: dictionary(messages), "markdown": lambda: markdown(messages, calls, nones)}[target]()
    with open(output, "w", encoding="utf-8") as f:
        f.write(text)


main()
