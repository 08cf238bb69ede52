/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU and virsh: see consumer.h. */
#include "cli/consumer.h"

#include "attach/output.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"
#include "inventory/child.h"
#include "inventory/label.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define QEMU_TIMEOUT_NS (20 * NS_PER_S)     /* it only prints */
#define VIRSH_TIMEOUT_NS (120 * NS_PER_S)   /* a live attach waits for the device's reset and for the guest's memory to be locked */

char *consumer_quote(const char *text)
{
    char *quoted = output_quote(text);
    if (quoted)
        return quoted;
    fputs("tranche: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

static int run_words(void *arg)
{
    char *const *words = arg;
    dup2(STDOUT_FILENO, STDERR_FILENO);
    execvp(words[0], words);
    return errno == ENOENT ? 127 : 126;
}

/* Runs it; what it printed comes on success. */
static int ask(char *const *words, uint64_t timeout_ns, char **ret_output, struct error *err)
{
    struct child child;
    char said[400] = "";
    int r = child_start(&child, words[0], timeout_ns, run_words, (void *)words, err);
    if (r < 0)
        return r;
    r = child_wait(&child, err);
    if (r < 0 && child.output && child.length) {
        label_set(said, sizeof said, child.output);
        error_set(err, r, "%s: %s", words[0], said);
    } else if (r == 0 && ret_output) {
        *ret_output = child.output ? steal(child.output) : strdup("");
    }
    child_done(&child);
    return r;
}

int consumer_ask_qemu(const char *path, bool *ret_iommufd, struct error *err)
{
    char *const objects[] = { (char *)path, "-object", "help", NULL }, *const device[] = { (char *)path, "-device", "vfio-pci,help", NULL };
    _cleanup_free_ char *of_objects = NULL, *of_device = NULL;
    if (strchr(path, '/') && access(path, X_OK) < 0) {
        error_set(err, -ENOENT, "cannot run %s: %s", path, strerror(errno));
        error_hint(err, "name the QEMU program that will run the VM, such as /usr/bin/qemu-system-x86_64");
        return -ENOENT;
    }
    int r = ask(objects, QEMU_TIMEOUT_NS, &of_objects, err);
    if (r < 0)
        return error_wrap(err, "ask QEMU for its objects");
    if (ask(device, QEMU_TIMEOUT_NS, &of_device, err) < 0) {
        error_wrap(err, "this QEMU has no vfio-pci");
        error_hint(err, "install the QEMU of the machine's own architecture");
        return err ? err->code = -EOPNOTSUPP : -EOPNOTSUPP;
    }
    *ret_iommufd = of_objects && of_device && strstr(of_objects, "iommufd") && strstr(of_device, "iommufd=");
    return 0;
}

/* virsh reads the element from a file; this one has no name that anybody could replace. */
static int run_virsh(const char *verb, const struct attach_request *q, size_t index, const struct attach_place *place, bool live,
                     struct error *err)
{
    _cleanup_free_ char *xml = attach_hostdev(q, index, place);
    _cleanup_close_ int fd = memfd_create("hostdev.xml", 0);    /* inherited by virsh */
    char path[40];
    if (!xml || fd < 0)
        return error_set(err, -ENOMEM, "no memory for the XML of %s", q->functions[index].address);
    int r = io_write_full(fd, xml, strlen(xml));
    if (r < 0)
        return error_set(err, r, "write the XML of %s: %s", q->functions[index].address, strerror(-r));
    text_format(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    char *const words[] = { "virsh", (char *)verb, "--domain", (char *)q->vm, "--file", path, live ? "--live" : "--config", NULL };
    r = ask(words, VIRSH_TIMEOUT_NS, NULL, err);
    return r < 0 ? error_wrap(err, "%s %s", verb, q->functions[index].address) : 0;
}

static bool has_virsh(void)
{
    const char *search = getenv("PATH");
    _cleanup_free_ char *copy = strdup(search ? search : "/usr/bin:/bin");
    char *save = NULL, path[4096];
    for (char *dir = copy ? strtok_r(copy, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save))
        if (text_format(path, sizeof path, "%s/virsh", dir) == 0 && access(path, X_OK) == 0)
            return true;
    return false;
}

/* A guest that runs looks at a slot when its function 0 comes: that one is attached last, and taken back first. */
int consumer_attach_domain(const struct attach_request *q, bool live, struct error *err)
{
    struct attach_place places[ATTACH_MAX_FUNCTIONS];
    int r = attach_place(q, places, err);
    if (r < 0)
        return r;
    if (!has_virsh()) {
        error_set(err, -EOPNOTSUPP, "virsh is not installed, so no libvirt domain can be changed from here");
        error_hint(err, "install libvirt-clients, or print the XML with --format libvirt and use it where the domain is");
        return -EOPNOTSUPP;
    }
    r = 0;
    for (size_t i = q->n; r == 0 && i-- > 0;) {
        r = run_virsh("attach-device", q, i, &places[i], live, err);
        for (size_t done = i + 1; r < 0 && done < q->n; done++)
            run_virsh("detach-device", q, done, &places[done], live, NULL);
    }
    if (r < 0 && err && !err->hint[0])
        error_hint(err, "nothing stays attached; virsh dominfo %.60s shows the domain", q->vm);
    return r;
}
