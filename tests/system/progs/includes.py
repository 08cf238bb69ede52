# SPDX-License-Identifier: Apache-2.0
"""A program whose kernels include files of its own, as a native compiler in the same process reads them. Exit status 0 when all is as with one."""
import pathlib
import sys
import tempfile

import numpy
import pyopencl as cl

KERNEL = "kernel void k(global int *out) { out[0] = A * 100 + B * 10 + C; }\n"


def main(folder):
    context = cl.create_some_context(interactive=False)
    queue = cl.CommandQueue(context)

    def build(source, *options):
        return cl.Program(context, source + KERNEL).build(list(options))

    def result(program):
        out = cl.Buffer(context, cl.mem_flags.WRITE_ONLY, 4)
        program.k(queue, (1,), None, out)
        host = numpy.zeros(1, numpy.int32)
        cl.enqueue_copy(queue, host, out)
        return int(host[0])

    def refusal(source, *options):
        try:
            build(source, *options)
        except cl.RuntimeError as problem:
            return str(problem)
        return "it was built"

    (folder / "sub").mkdir()
    (folder / "a.h").write_text('#pragma once\n#include "sub/b.h"\n#define A 3\n')
    (folder / "sub/b.h").write_text('#ifndef B_H\n#define B_H\n#include "../a.h"\n#include "c.h"\n#define B 4\n#endif\n')
    (folder / "sub/c.h").write_text('#define C 5 /* #include "no.h" */\n')
    (folder / "bad.h").write_text("\n\nint broken broken;\n")
    source = '/*\n#include "gone.h"\n*/\n#include <a.h>\n#include "a.h"\n#if 0\n#include "gone.h"\n#endif\n'
    # Once, guards, files that include each other, beside the including file, comments, conditions.
    assert result(build(source, "-I", str(folder))) == 345
    # Another text of the same name, another build of the same source.
    (folder / "a.h").write_text("#define A 1\n#define B 2\n#define C 3\n")
    assert result(build(source, f"-I{folder}")) == 123
    # What is missing and where a mistake stands, says the compiler.
    assert "gone.h" in refusal('#include "gone.h"\n', "-I", str(folder))
    assert "bad.h:3" in refusal('#include "bad.h"\n', "-I", str(folder))
    assert "'A'" in refusal("", "-I", str(folder))


with tempfile.TemporaryDirectory() as name:
    main(pathlib.Path(name))
sys.exit(0)
