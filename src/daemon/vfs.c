/* SPDX-License-Identifier: Apache-2.0 */
/* Setting the number of virtual functions: see vfs.h. */
#include "daemon/vfs.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/api.h"
#include "daemon/describe.h"
#include "daemon/machine.h"
#include "daemon/privlink.h"
#include "daemon/share.h"
#include "ops/handover.h"

#include <errno.h>
#include <string.h>

struct setting {
    struct daemon *daemon;
    struct http_request *request;
    char address[PCI_ADDRESS_MAX];
    struct handover plan;
    unsigned at;
    struct privlink *link;
};

static void setting_free(struct setting *s)
{
    if (s)
        privlink_close(s->link);
    free(s);
}

static int check_shares(struct daemon *d, const struct gpu *gpu, struct error *err)
{
    for (const struct share *s = d->shares; s; s = s->next) {
        const struct gpu *used = share_gpu(s);
        bool here = used && (used == gpu || (used->has_pci && strcmp(used->pci.physfn, gpu->pci.address) == 0));
        if (!here)
            continue;
        error_set(err, -EBUSY, "share %s is on %s", s->wanted.share.name, used->name);
        error_hint(err, "tranche rm %s first: all virtual functions go when their number changes", s->wanted.share.name);
        return -EBUSY;
    }
    return 0;
}

static void reply_list(struct daemon *d, const struct error *err, void *user)
{
    struct setting *s = user;
    json_t *list = json_array();
    for (size_t i = 0; i < d->inventory->n; i++) {
        const struct gpu *gpu = &d->inventory->gpus[i];
        if (gpu->has_pci && (strcmp(gpu->pci.address, s->address) == 0 || strcmp(gpu->pci.physfn, s->address) == 0))
            json_array_append_new(list, describe_gpu(d, gpu));
    }
    http_reply(s->request, 200, json_pack("{s:o}", "gpus", list), NULL);
    setting_free(s);
}

static void step(struct setting *s);

static void on_done(const struct error *err, void *user)
{
    struct setting *s = user;
    if (err->code == 0) {
        s->at++;
        step(s);
        return;
    }
    api_reply_error(s->request, err);
    setting_free(s);
}

static void step(struct setting *s)
{
    struct error err = { 0 };
    if (s->at == s->plan.n) {
        daemon_event(s->daemon, "gpu.vfs", NULL, "the number of virtual functions of %s was set", s->address);
        machine_look(s->daemon, reply_list, s);
        return;
    }
    if (privlink_call(s->link, &s->plan.ops[s->at], on_done, s, &err) < 0)
        on_done(&err, s);
}

int vfs_set(struct daemon *d, const struct gpu *gpu, unsigned count, struct http_request *request, struct error *err)
{
    char sysfs[PATH_MAX];
    if (!gpu->has_pci || gpu->pci.physfn[0])
        return error_set(err, -EOPNOTSUPP, "%s has no virtual functions of its own", gpu->name);
    int r = check_shares(d, gpu, err);
    if (r < 0)
        return r;
    struct setting *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, -ENOMEM, "no memory");
    *s = (struct setting){ .daemon = d, .request = request };
    strcpy(s->address, gpu->pci.address);
    r = text_format(sysfs, sizeof sysfs, "%s/sys", d->settings.sysroot) < 0 ? error_set(err, -ENAMETOOLONG, "path too long") :
        handover_plan_vfs(sysfs, gpu->pci.address, count, &s->plan, err);
    if (r == 0)
        r = privlink_open(d, &s->link, err);
    if (r < 0) {
        setting_free(s);
        return r;
    }
    step(s);
    return 0;
}
