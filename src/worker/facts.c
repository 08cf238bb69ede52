/* SPDX-License-Identifier: Apache-2.0 */
/* What the client may know of platform and device: the driver's own answers, with the share's limits and only what the wire carries. */
#include "worker/session.h"

#include "base/cleanup.h"

#include <CL/cl_ext.h>
#include <stdio.h>
#include <string.h>

enum { SPACE_PLATFORM, SPACE_DEVICE };

static void put(struct wire_out *out, uint32_t space, uint32_t name, const void *data, size_t n)
{
    struct wire_blob b = { data, (uint32_t)n };
    wire_put_u32(out, space);
    wire_put_u32(out, name);
    wire_put_blob(out, &b);
}
static void put_text(struct wire_out *out, uint32_t space, uint32_t name, const char *s) { put(out, space, name, s, strlen(s) + 1); }
#define PUT(out, name, type, value) ({ type put_value_ = (value); put(out, SPACE_DEVICE, name, &put_value_, sizeof put_value_); })

/* Passed on as the driver says. */
static const cl_device_info passed_on[] = {
    CL_DEVICE_TYPE, CL_DEVICE_VENDOR_ID, CL_DEVICE_MAX_COMPUTE_UNITS, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, CL_DEVICE_MAX_WORK_GROUP_SIZE, CL_DEVICE_MAX_WORK_ITEM_SIZES,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, CL_DEVICE_MAX_CLOCK_FREQUENCY,
    CL_DEVICE_ADDRESS_BITS, CL_DEVICE_MAX_PARAMETER_SIZE, CL_DEVICE_MEM_BASE_ADDR_ALIGN, CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE, CL_DEVICE_SINGLE_FP_CONFIG,
    CL_DEVICE_DOUBLE_FP_CONFIG, CL_DEVICE_HALF_FP_CONFIG, CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE,
    CL_DEVICE_MAX_CONSTANT_ARGS, CL_DEVICE_LOCAL_MEM_TYPE, CL_DEVICE_LOCAL_MEM_SIZE, CL_DEVICE_ERROR_CORRECTION_SUPPORT, CL_DEVICE_PROFILING_TIMER_RESOLUTION,
    CL_DEVICE_ENDIAN_LITTLE, CL_DEVICE_AVAILABLE, CL_DEVICE_COMPILER_AVAILABLE, CL_DEVICE_LINKER_AVAILABLE, CL_DEVICE_VENDOR, CL_DRIVER_VERSION, CL_DEVICE_PROFILE, CL_DEVICE_VERSION,
    CL_DEVICE_HOST_UNIFIED_MEMORY, CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT, CL_DEVICE_NATIVE_VECTOR_WIDTH_INT,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF,
    CL_DEVICE_OPENCL_C_VERSION, CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, CL_DEVICE_PRINTF_BUFFER_SIZE, CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE,
    CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE, CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT, CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT,
    CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT, CL_DEVICE_NUMERIC_VERSION, CL_DEVICE_OPENCL_C_ALL_VERSIONS, CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES,
    CL_DEVICE_ATOMIC_FENCE_CAPABILITIES, CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT, CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE,
    CL_DEVICE_MAX_NUM_SUB_GROUPS, CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS, CL_DEVICE_IL_VERSION, CL_DEVICE_ILS_WITH_VERSION,
    CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT, CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES,
};

/* Extensions of the language alone, for which nothing beyond the compiler is needed, and those whose calls are carried. */
static const char *const carried_extensions[] = {
    "cl_khr_byte_addressable_store", "cl_khr_global_int32_base_atomics", "cl_khr_global_int32_extended_atomics", "cl_khr_local_int32_base_atomics",
    "cl_khr_local_int32_extended_atomics", "cl_khr_int64_base_atomics", "cl_khr_int64_extended_atomics", "cl_khr_fp64", "cl_khr_fp16", "cl_khr_select_fprounding_mode",
    "cl_khr_expect_assume", "cl_khr_extended_bit_ops", "cl_khr_integer_dot_product", "cl_khr_work_group_uniform_arithmetic", "cl_ext_float_atomics",
    "cl_nv_pragma_unroll",
    "cl_khr_3d_image_writes", "cl_khr_subgroups", "cl_khr_subgroup_extended_types", "cl_khr_subgroup_non_uniform_vote", "cl_khr_subgroup_ballot",
    "cl_khr_subgroup_non_uniform_arithmetic", "cl_khr_subgroup_shuffle", "cl_khr_subgroup_shuffle_relative", "cl_khr_subgroup_clustered_reduce",
    "cl_khr_subgroup_rotate", "cl_khr_il_program",
};
static const char *const carried_features[] = {
    "__opencl_c_fp64", "__opencl_c_int64", "__opencl_c_atomic_order_acq_rel", "__opencl_c_atomic_order_seq_cst", "__opencl_c_atomic_scope_device",
    "__opencl_c_atomic_scope_all_devices", "__opencl_c_generic_address_space", "__opencl_c_program_scope_global_variables",
    "__opencl_c_work_group_collective_functions", "__opencl_c_integer_dot_product_input_4x8bit", "__opencl_c_integer_dot_product_input_4x8bit_packed",
    "__opencl_c_subgroups", "__opencl_c_images", "__opencl_c_3d_image_writes", "__opencl_c_read_write_images",
};

static const cl_device_info image_infos[] = {
    CL_DEVICE_IMAGE_SUPPORT, CL_DEVICE_MAX_READ_IMAGE_ARGS, CL_DEVICE_MAX_WRITE_IMAGE_ARGS, CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS, CL_DEVICE_MAX_SAMPLERS,
    CL_DEVICE_IMAGE_PITCH_ALIGNMENT, CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT, CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE2D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_WIDTH,
    CL_DEVICE_IMAGE3D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_DEPTH, CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE,
};

/* Carried where the driver lets sub-devices share a context. */
static const cl_device_info partition_infos[] = { CL_DEVICE_PARTITION_MAX_SUB_DEVICES, CL_DEVICE_PARTITION_PROPERTIES, CL_DEVICE_PARTITION_AFFINITY_DOMAIN };

static bool listed(const char *name, size_t n, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == n && memcmp(list[i], name, n) == 0)
            return true;
    return false;
}

static void put_extensions(const struct session *s, struct wire_out *out)
{
    char own[16384] = "", kept[16384] = "";
    size_t n = 0;
    clGetDeviceInfo(s->driver.device, CL_DEVICE_EXTENSIONS, sizeof own - 1, own, NULL);
    for (char *at = own; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (listed(at, len, carried_extensions, ARRAY_LEN(carried_extensions)) && n + len + 2 < sizeof kept) {
            if (n)
                kept[n++] = ' ';
            memcpy(kept + n, at, len);
            n += len;
        }
        at += len;
    }
    put(out, SPACE_DEVICE, CL_DEVICE_EXTENSIONS, kept, n + 1);
}

static void put_versions(const struct session *s, struct wire_out *out, cl_device_info name, const char *const *list, size_t count)
{
    cl_name_version own[256];
    size_t bytes = 0, kept = 0;
    if (clGetDeviceInfo(s->driver.device, name, sizeof own, own, &bytes) != CL_SUCCESS)
        return;
    for (size_t i = 0; i < bytes / sizeof *own; i++)
        if (listed(own[i].name, strnlen(own[i].name, sizeof own[i].name), list, count))
            own[kept++] = own[i];
    put(out, SPACE_DEVICE, name, own, kept * sizeof *own);
}

static void put_infos(const struct session *s, struct wire_out *out, const cl_device_info *names, size_t count)
{
    char buf[16384];
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        if (clGetDeviceInfo(s->driver.device, names[i], sizeof buf, buf, &n) == CL_SUCCESS && n <= sizeof buf)
            put(out, SPACE_DEVICE, names[i], buf, n);
    }
}

#define FORMATS_MAX 256

static void put_formats(const struct session *s, struct wire_out *out)
{
    static const cl_mem_flags access[] = { CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY, CL_MEM_READ_WRITE, CL_MEM_KERNEL_READ_AND_WRITE };
    cl_image_format list[FORMATS_MAX];
    for (cl_mem_object_type type = CL_MEM_OBJECT_IMAGE2D; type <= CL_MEM_OBJECT_IMAGE1D_BUFFER; type++)
        for (uint32_t i = 0; i < ARRAY_LEN(access); i++) {
            cl_uint n = 0;
            if (clGetSupportedImageFormats(s->driver.context, access[i], type, FORMATS_MAX, list, &n) == CL_SUCCESS)
                put(out, SPACE_DEVICE, WIRE_FACT_FORMATS(type, i), list, MIN(n, (cl_uint)FORMATS_MAX) * sizeof *list);
        }
}

static void put_limits(const struct session *s, struct wire_out *out)
{
    char name[512] = "", full[768];
    clGetDeviceInfo(s->driver.device, CL_DEVICE_NAME, sizeof name, name, NULL);
    snprintf(full, sizeof full, "%s [tranche %s]", name, s->options.label);
    put_text(out, SPACE_DEVICE, CL_DEVICE_NAME, full);
    cl_ulong constant = 0;
    clGetDeviceInfo(s->driver.device, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, sizeof constant, &constant, NULL);
    PUT(out, CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong, s->options.memory_bytes);
    PUT(out, CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong, s->driver.max_alloc);
    PUT(out, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, cl_ulong, MIN(constant, (cl_ulong)s->options.memory_bytes));
    PUT(out, CL_DEVICE_SVM_CAPABILITIES, cl_device_svm_capabilities, s->driver.svm);
    PUT(out, CL_DEVICE_EXECUTION_CAPABILITIES, cl_device_exec_capabilities, CL_EXEC_KERNEL);
    put_extensions(s, out);
    put_versions(s, out, CL_DEVICE_EXTENSIONS_WITH_VERSION, carried_extensions, ARRAY_LEN(carried_extensions));
    put_versions(s, out, CL_DEVICE_OPENCL_C_FEATURES, carried_features, ARRAY_LEN(carried_features));
}

/* Features that the wire does not carry are answered as a device without them does (OpenCL 3.0, table of device queries). */
static void put_absent(struct wire_out *out)
{
    static const cl_device_info absent_uints[] = {
        CL_DEVICE_MAX_READ_IMAGE_ARGS, CL_DEVICE_MAX_WRITE_IMAGE_ARGS, CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS, CL_DEVICE_MAX_SAMPLERS, CL_DEVICE_IMAGE_PITCH_ALIGNMENT,
        CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT, CL_DEVICE_MAX_PIPE_ARGS, CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS, CL_DEVICE_PIPE_MAX_PACKET_SIZE,
        CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, CL_DEVICE_MAX_ON_DEVICE_QUEUES, CL_DEVICE_MAX_ON_DEVICE_EVENTS,
        CL_DEVICE_IMAGE_SUPPORT, CL_DEVICE_PIPE_SUPPORT,
        CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT,
    };
    static const cl_device_info absent_sizes[] = {
        CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE2D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_WIDTH, CL_DEVICE_IMAGE3D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_DEPTH,
        CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE,
    };
    for (size_t i = 0; i < ARRAY_LEN(absent_uints); i++)
        PUT(out, absent_uints[i], cl_uint, 0);
    for (size_t i = 0; i < ARRAY_LEN(absent_sizes); i++)
        PUT(out, absent_sizes[i], size_t, 0);
    PUT(out, CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, cl_device_device_enqueue_capabilities, 0);
    PUT(out, CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, cl_command_queue_properties, 0);
    PUT(out, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, cl_uint, 0);
    PUT(out, CL_DEVICE_PARTITION_PROPERTIES, cl_device_partition_property, 0);
    PUT(out, CL_DEVICE_PARTITION_AFFINITY_DOMAIN, cl_device_affinity_domain, 0);
    PUT(out, CL_DEVICE_PARTITION_TYPE, cl_device_partition_property, 0);
    put(out, SPACE_DEVICE, CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION, NULL, 0);
    put_text(out, SPACE_DEVICE, CL_DEVICE_BUILT_IN_KERNELS, "");
}

static void put_platform(struct wire_out *out)
{
    static const cl_name_version icd = { CL_MAKE_VERSION(1, 0, 0), "cl_khr_icd" };
    cl_version version = CL_MAKE_VERSION(3, 0, 0);
    cl_ulong resolution = 1;
    put_text(out, SPACE_PLATFORM, CL_PLATFORM_PROFILE, "FULL_PROFILE");
    put_text(out, SPACE_PLATFORM, CL_PLATFORM_VERSION, "OpenCL 3.0 tranche " TRANCHE_VERSION);
    put_text(out, SPACE_PLATFORM, CL_PLATFORM_NAME, "tranche");
    put_text(out, SPACE_PLATFORM, CL_PLATFORM_VENDOR, "tranche");
    put_text(out, SPACE_PLATFORM, CL_PLATFORM_EXTENSIONS, "cl_khr_icd");
    put(out, SPACE_PLATFORM, CL_PLATFORM_EXTENSIONS_WITH_VERSION, &icd, sizeof icd);
    put(out, SPACE_PLATFORM, CL_PLATFORM_NUMERIC_VERSION, &version, sizeof version);
    put(out, SPACE_PLATFORM, CL_PLATFORM_HOST_TIMER_RESOLUTION, &resolution, sizeof resolution);
}

void facts_collect(const struct session *s, struct wire_out *out)
{
    put_platform(out);
    put_infos(s, out, passed_on, ARRAY_LEN(passed_on));
    put_limits(s, out);
    put_absent(out);
    if (s->driver.parts_max)
        put_infos(s, out, partition_infos, ARRAY_LEN(partition_infos));
    put_infos(s, out, image_infos, ARRAY_LEN(image_infos));     /* the later answer counts */
    put_formats(s, out);
}

static void put_part(const struct session *s, cl_device_id part, cl_device_info name, bool always, struct wire_out *out)
{
    char own[4096], whole[4096];
    size_t n = 0, m = 0;
    if (clGetDeviceInfo(part, name, sizeof own, own, &n) != CL_SUCCESS || n > sizeof own)
        return;
    if (!always && clGetDeviceInfo(s->driver.device, name, sizeof whole, whole, &m) == CL_SUCCESS && m == n && memcmp(own, whole, n) == 0)
        return;
    wire_put_u32(out, name);
    wire_put_blob(out, &(struct wire_blob){ own, (uint32_t)n });
}

void facts_of_part(const struct session *s, cl_device_id part, struct wire_out *out)
{
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
        put_part(s, part, passed_on[i], false, out);
    for (size_t i = 0; i < ARRAY_LEN(partition_infos); i++)
        put_part(s, part, partition_infos[i], true, out);
    put_part(s, part, CL_DEVICE_PARTITION_TYPE, true, out);
}
