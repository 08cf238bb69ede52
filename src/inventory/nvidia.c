/* SPDX-License-Identifier: Apache-2.0 */
/* The NVIDIA kernel driver's files: see nvidia.h. */
#include "inventory/nvidia.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/label.h"
#include "inventory/sysroot.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#define INFORMATION_MAX 8192
#define MINOR_MAX 254

/* "Device Minor: \t 0" */
static void take_line(struct nvidia_gpu *gpu, const char *line)
{
    const char *value = strchr(line, ':');
    if (!value)
        return;
    value += 1 + strspn(value + 1, " \t");
    if (strncmp(line, "Device Minor", 12) == 0 && isdigit((unsigned char)*value) && strtol(value, NULL, 10) <= MINOR_MAX)
        gpu->minor = (int)strtol(value, NULL, 10);
    else if (strncmp(line, "GPU UUID", 8) == 0)
        label_set(gpu->uuid, sizeof gpu->uuid, value);
}

/* capabilities/gpuMINOR/mig/giN: one directory for each GPU instance. */
static int count_instances(const char *sysroot, int minor)
{
    char relative[96], path[PATH_MAX];
    text_format(relative, sizeof relative, "proc/driver/nvidia/capabilities/gpu%d/mig", minor);
    if (minor < 0 || sysroot_path(sysroot, relative, path, NULL) < 0)
        return -1;
    _cleanup_closedir_ DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += strncmp(e->d_name, "gi", 2) == 0 && isdigit((unsigned char)e->d_name[2]);
    return dir ? n : -1;
}

bool nvidia_read_gpu(const char *sysroot, const char *address, struct nvidia_gpu *ret)
{
    char relative[96], path[PATH_MAX], text[INFORMATION_MAX], *save = NULL;
    struct nvidia_gpu gpu = { .minor = -1, .mig_instances = -1 };
    text_format(relative, sizeof relative, "proc/driver/nvidia/gpus/%s/information", address);
    if (sysroot_path(sysroot, relative, path, NULL) < 0 || io_read_text(AT_FDCWD, path, text, sizeof text) < 0)
        return false;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        take_line(&gpu, line);
    gpu.mig_instances = count_instances(sysroot, gpu.minor);
    *ret = gpu;
    return true;
}
