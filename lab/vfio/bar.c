/* SPDX-License-Identifier: Apache-2.0 */
/* bar ADDRESS: what QEMU's `edu` device answers in its first window: its identification, and the inverse of a word (docs/specs/edu.rst of QEMU). For the
 * lab's inner guest. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char path[96];
    if (argc < 2)
        return 2;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/enable", argv[1]);
    int enable = open(path, O_WRONLY);
    if (enable < 0 || write(enable, "1", 1) != 1) {
        perror(path);
        return 1;
    }
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", argv[1]);
    int fd = open(path, O_RDWR | O_SYNC);
    volatile uint32_t *bar = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED) {
        perror(path);
        return 1;
    }
    bar[1] = 0x12345678;
    printf("BAR identification %08x, inverse %s\n", bar[0], bar[1] == ~UINT32_C(0x12345678) ? "right" : "wrong");
    return 0;
}
