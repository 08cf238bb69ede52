/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: a sched page that a worker has scribbled over, which has it mapped and may be a tenant's. Bytes are actions: some write into the page, the
 * others are what tranched and the workers of other shares call. Beside the sanitizers: every call comes back, and says so in its bounds. */
#include "sched/sched.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(condition) ({ if (!(condition)) { fprintf(stderr, "not so: %s\n", #condition); abort(); } })

static char folder[] = "/dev/shm/fuzz_page.XXXXXX", path[64];
static uint8_t *page_bytes, *fresh;
static size_t page_size;
static struct sched_page *page;
static struct sched_client *client;

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    struct error err;
    struct stat st;
    MUST(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/p", folder);
    atexit(clean_up);
    MUST(sched_page_create(path, &config, &page, &err) == 0);
    for (int i = 0; i < 3; i++) {
        struct sched_share_config share = { .weight = 1, .time_ppm = 300000, .quota_bytes = 1000 };
        snprintf(share.name, sizeof share.name, "s%d", i);
        MUST(sched_share_add(page, &share, &err) == 0);
    }
    MUST(sched_client_join(page, "s0", &client, &err) == 0);
    MUST(fstat(sched_page_fd(page), &st) == 0);
    page_size = (size_t)st.st_size;
    page_bytes = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, sched_page_fd(page), 0);
    fresh = malloc(page_size);
    MUST(page_bytes != MAP_FAILED && fresh);
    memcpy(fresh, page_bytes, page_size);
    return 0;
}

/* Most of the page is empty slots: begin where something stands. */
static void scribble(const uint8_t *d)
{
    size_t at = ((size_t)d[0] << 8 | d[1]) * 8 % page_size;
    uint64_t value = d[2] & 1 ? (uint64_t)(int8_t)d[3] : (uint64_t)d[3] << (d[2] % 64);
    memcpy(page_bytes + (at & ~(size_t)7), &value, MIN(sizeof value, page_size - at));
}

static void call(uint8_t action, uint8_t argument)
{
    struct sched_client_stat clients[4];
    struct sched_share_stat stat;
    struct sched_client *other = NULL;
    struct sched_page *again = NULL;
    char name[8];
    snprintf(name, sizeof name, "s%u", argument % 4);
    struct sched_share_config share = { .weight = 1, .time_ppm = 300000, .quota_bytes = argument };
    memcpy(share.name, name, sizeof name);
    switch (action % 12) {
    case 0: sched_page_reap(page); break;
    case 1: sched_share_add(page, &share, NULL); break;
    case 2: sched_share_remove(page, name, NULL); break;
    case 3: sched_share_stat(page, name, &stat, NULL); break;
    case 4: MUST(sched_share_clients(page, name, clients, ARRAY_LEN(clients)) >= 0 || true); break;
    case 5: quota_reserve(client, argument); break;
    case 6: quota_release(client, argument); break;
    case 7: quota_free(client); sched_busy_since(client); sched_is_shared(client); sched_must_yield(client); break;
    case 8: if (sched_begin(client)) sched_end(client); sched_progress(client); break;
    case 9: sched_release(client); break;
    case 10: if (sched_client_join(page, name, &other, NULL) == 0) sched_client_leave(other); break;
    case 11: if (sched_page_open(sched_page_fd(page), &again, NULL) == 0) sched_page_close(again); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memcpy(page_bytes, fresh, page_size);
    for (size_t i = 0; i + 4 < size; i += 5)
        if (data[i] & 1)
            scribble(data + i + 1);
        else
            call(data[i + 1], data[i + 2]);
    return 0;
}
