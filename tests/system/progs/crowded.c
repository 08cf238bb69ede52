/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a tenant: an address space in which shared memory does not come to lie where it is asked for. The first $CROWDED times that an address is
 * insisted on, something else lies there. Says on stderr how often it came to that. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int refused, asked;

void *mmap(void *address, size_t size, int rights, int flags, int fd, off_t offset)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);
    const char *most = getenv("CROWDED");
    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "mmap");
    if (!(flags & MAP_SHARED) || !address)
        return next(address, size, rights, flags, fd, offset);
    if (!(flags & MAP_FIXED_NOREPLACE))
        return next(NULL, size, rights, flags, fd, offset);
    asked++;
    if (most && refused < atoi(most)) {
        refused++;
        errno = EEXIST;
        return MAP_FAILED;
    }
    return next(address, size, rights, flags, fd, offset);
}

__attribute__((destructor)) static void tell(void)
{
    if (asked)
        fprintf(stderr, "crowded: %d\n", refused);
}
