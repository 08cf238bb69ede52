/* SPDX-License-Identifier: Apache-2.0 */
/* Sched pages and who uses them: see engine.h. */
#include "daemon/engine.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

static int engine_name(const char *gpu, const struct model_share *share, char *ret, size_t size)
{
    return share->model == MODEL_MIG ? text_format(ret, size, "%s:%s", gpu, share->name) : text_format(ret, size, "%s", gpu);
}

static int page_config(const struct model_share *share, struct sched_config *ret, struct error *err)
{
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    int r = sched_policy_from_string(share->policy, &config.policy, err);
    config.quantum_ns = share->quantum_ns;
    if (r == 0)
        *ret = config;
    return r;
}

static struct engine *engine_find(struct daemon *d, const char *name)
{
    for (struct engine *e = d->engines; e; e = e->next)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

static int engine_open(struct daemon *d, struct engine *e, const struct model_share *share, struct error *err)
{
    struct sched_config config;
    int r = page_config(share, &config, err);
    if (r == 0 && text_format(e->path, sizeof e->path, "%s/sched/%s.page", d->settings.run_dir, e->name) < 0)
        r = error_set(err, -ENAMETOOLONG, "path too long for the scheduler page of %s", e->name);
    if (r == 0)
        r = sched_page_create(e->path, &config, &e->page, err);
    if (r < 0)
        return r;
    sched_page_configure(e->page, &config);
    sched_page_reap(e->page);
    return 0;
}

int engine_get(struct daemon *d, const char *gpu, const struct model_share *share, struct engine **ret, struct error *err)
{
    char name[sizeof ((struct engine *)0)->name];
    if (engine_name(gpu, share, name, sizeof name) < 0)
        return error_set(err, -ENAMETOOLONG, "the name of %s's share %s is too long", gpu, share->name);
    struct engine *e = engine_find(d, name);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e)
            return error_set(err, -ENOMEM, "no memory for the scheduler of %s", gpu);
        strcpy(e->name, name);
        int r = engine_open(d, e, share, err);
        if (r < 0) {
            free(e);
            return r;
        }
        e->next = d->engines;
        d->engines = e;
    }
    e->users++;
    *ret = e;
    return 0;
}

void engine_put(struct daemon *d, struct engine *engine, bool remove)
{
    if (!engine || --engine->users)
        return;
    for (struct engine **p = &d->engines; *p; p = &(*p)->next) {
        if (*p != engine)
            continue;
        *p = engine->next;
        break;
    }
    sched_page_close(engine->page);
    if (remove)
        unlink(engine->path);
    free(engine);
}

void engine_clean_pages(struct daemon *d)
{
    char path[PATH_MAX];
    if (text_format(path, sizeof path, "%s/sched", d->settings.run_dir) < 0)
        return;
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[256];
        size_t n = strlen(e->d_name);
        if (n < 6 || n >= sizeof name || strcmp(e->d_name + n - 5, ".page") != 0)
            continue;
        memcpy(name, e->d_name, n - 5);
        name[n - 5] = '\0';
        if (!engine_find(d, name) && unlinkat(dirfd(dir), e->d_name, 0) == 0)
            log_debug("removed scheduler page %s: no share uses it", name);
    }
}
