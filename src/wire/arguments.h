/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel arguments in a launch: for each index in turn {u32 form, u32 size} and, by form, a handle or the value's bytes. */
#pragma once

enum argument_form {
    ARGUMENT_UNSET = 0,
    ARGUMENT_VALUE = 1,   /* size bytes follow */
    ARGUMENT_LOCAL = 2,   /* size bytes of local memory, nothing follows */
    ARGUMENT_MEM = 3,     /* u32 handle follows, 0 for NULL; size is that of a cl_mem */
    ARGUMENT_SAMPLER = 4, /* u32 handle follows */
    ARGUMENT_SVM = 5,     /* u32 handle of the allocation and u64 offset follow; size is that of a pointer */
};
#define ARGUMENT_VALUE_MAX 65536   /* above any device's CL_DEVICE_MAX_PARAMETER_SIZE met so far */
#define ARGUMENT_COUNT_MAX 1024
