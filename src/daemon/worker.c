/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, adopting, watching and ending workers: see worker.h. */
#include "daemon/worker.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/health.h"
#include "daemon/paths.h"
#include "daemon/share.h"
#include "daemon/users.h"
#include "wire/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WORKER_CLIENT_FD 3
#define WORKER_PAGE_FD 4
#define GIB (UINT64_C(1) << 30)

/* What execve needs, made before fork so that the child allocates nothing. */
struct command {
    char *argv[40];
    char *envp[512];
    char memory[24], device[16], watchdog[24], cores[24], label[256], cache[PATH_MAX];
    char pocl_memory[48], client[16], user[16];
    cpu_set_t cpus;
    bool pinned;
};

/* What a worker gets of tranched's environment, by beginning: where programs and libraries are, and what the drivers take. All the rest is nobody's
 * business there (passwords stand in environments), and a tenant's code can read what its worker has. The loader's tricks are for tenants. */
static const char *const passed_variables[] = {
    "PATH=", "LD_LIBRARY_PATH=", "LANG=", "LC_", "TZ=", "JOURNAL_STREAM=", "TRANCHE_", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
    "POCL_", "CUDA_", "NVIDIA_", "__NV_", "GPU_", "HSA_", "ROC", "AMD_", "HIP_", "ONEAPI_", "INTEL_", "IGC_", "NEO", "SYCL_", "ZE_", "MESA_", "LIBGL_",
    "RUSTICL_", "GALLIUM_", "LP_", "RADEON_", "RADV_",
};
static const char *const set_variables[] = { "POCL_MEMORY_LIMIT=", "POCL_CACHE_DIR=", "POCL_AFFINITY=" };

static bool begins_with_one(const char *entry, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(entry, list[i], strlen(list[i])) == 0)
            return true;
    return false;
}

/* The host's processor behind each compute unit: the n-th that tranched may use. Pinning by PoCL itself counts from zero, so it is asked
 * for only where both counts are the same. */
static bool choose_cpus(const struct share *share, struct command *c)
{
    const struct model_share *m = &share->wanted.share;
    bool same = true;
    unsigned unit = 0, found = 0;
    CPU_ZERO(&c->cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &share->daemon->cpus))
            continue;
        same = same && (unsigned)cpu == unit;
        if (unit >= m->first_core && unit - m->first_core < m->cores) {
            CPU_SET(cpu, &c->cpus);
            found++;
        }
        unit++;
    }
    c->pinned = found > 0;
    return same;
}

static void command_environment(const struct share *share, const struct gpu *gpu, struct command *c)
{
    extern char **environ;
    const struct model_share *m = &share->wanted.share;
    size_t n = 0;
    for (char **e = environ; *e && n < ARRAY_LEN(c->envp) - 8; e++)
        if (begins_with_one(*e, passed_variables, ARRAY_LEN(passed_variables)) && !begins_with_one(*e, set_variables, ARRAY_LEN(set_variables)))
            c->envp[n++] = *e;
    /* Pins what PoCL takes for the device's memory, which otherwise floats with the host's load. The whole device's: it derives the largest
     * buffer from it, and the worker counts the quota to the byte itself. PoCL takes whole GiB. */
    snprintf(c->pocl_memory, sizeof c->pocl_memory, "POCL_MEMORY_LIMIT=%" PRIu64, (gpu->memory_bytes + GIB - 1) / GIB);
    c->envp[n++] = c->pocl_memory;
    if (m->cores && choose_cpus(share, c))
        c->envp[n++] = "POCL_AFFINITY=1";
}

static void command_arguments(struct share *share, const struct gpu *gpu, pid_t client_pid, uid_t user, struct command *c)
{
    struct daemon *d = share->daemon;
    struct model_share *m = &share->wanted.share;
    char *const fixed[] = {
        d->worker_path, "--client-fd", "3", "--page-fd", "4", "--share", m->name, "--platform", (char *)gpu->opencl.platform,
        "--device", c->device, "--memory", c->memory, "--label", c->label, "--cache", c->cache, "--watchdog", c->watchdog,
        "--client-pid", c->client,
    };
    size_t n = ARRAY_LEN(fixed);
    snprintf(c->device, sizeof c->device, "%u", gpu->opencl.index);
    snprintf(c->memory, sizeof c->memory, "%" PRIu64, m->memory_bytes);
    snprintf(c->watchdog, sizeof c->watchdog, "%" PRIu64, m->watchdog_ns);
    snprintf(c->client, sizeof c->client, "%d", (int)client_pid);
    snprintf(c->user, sizeof c->user, "%u", (unsigned)user);
    snprintf(c->label, sizeof c->label, "%s %s of %s%s", model_get(m->model)->name, m->profile, gpu->name,
             gpu->stand_in ? ", a stand-in GPU" : "");
    memcpy(c->argv, fixed, sizeof fixed);
    if (m->cores) {
        snprintf(c->cores, sizeof c->cores, "%u-%u", m->first_core, m->first_core + m->cores - 1);
        c->argv[n++] = "--cores";
        c->argv[n++] = c->cores;
    }
    if (user) {
        c->argv[n++] = "--user";
        c->argv[n++] = c->user;
    }
    if (d->settings.staged)
        c->argv[n++] = "--staged";
}

static int command_prepare(struct share *share, pid_t client_pid, struct command *c, struct error *err)
{
    const struct gpu *gpu = share_gpu(share);
    if (!gpu || !gpu->has_opencl)
        return error_set(err, -ENODEV, "%s has no OpenCL device now", share->wanted.gpu);
    if (paths_cache(&share->daemon->settings, share->wanted.share.name, c->cache, sizeof c->cache) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long for the program cache");
    uid_t user;
    int r = users_of_share(share, c->cache, &user, err);
    if (r < 0)
        return r;
    command_arguments(share, gpu, client_pid, user, c);
    command_environment(share, gpu, c);
    return 0;
}

/* Both descriptors to their places, whatever numbers they have now. */
static int place_descriptors(int client_fd, int page_fd)
{
    int client = fcntl(client_fd, F_DUPFD, 10), page = fcntl(page_fd, F_DUPFD, 10);
    int null = open("/dev/null", O_RDONLY);
    if (client < 0 || page < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        dup2(client, WORKER_CLIENT_FD) < 0 || dup2(page, WORKER_PAGE_FD) < 0)
        return -errno;
    return close_range(WORKER_PAGE_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* In the child. A session of its own: a ^C at tranched's terminal is not for workers. */
static void worker_exec(const struct command *c, int client_fd, int page_fd)
{
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int r = place_descriptors(client_fd, page_fd);
    if (r == 0 && c->pinned && sched_setaffinity(0, sizeof c->cpus, &c->cpus) < 0)
        r = -errno;
    if (r == 0) {
        execve(c->argv[0], c->argv, c->envp);
        r = -errno;
        wire_refuse(WORKER_CLIENT_FD, WIRE_REFUSED_DRIVER, "tranched cannot start tranche-worker; its log says why");
    }
    dprintf(STDERR_FILENO, "tranched: start %s: %s\n", c->argv[0], strerror(-r));
    _exit(127);
}

/* How it ended, for the event: kind and words. A worker's exit codes stand in ARCHITECTURE.md. */
static const char *describe_exit(const struct worker *w, char *buf, size_t size)
{
    siginfo_t info = { 0 };
    /* What it left behind, a linker at work or worse, goes with it: no worker can leave its process group. Before the status is taken, while the
     * number still belongs to it. */
    if (!w->adopted)
        kill(-w->pid, SIGKILL);
    bool known = !w->adopted && waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0;
    if (known && info.si_code != CLD_EXITED)
        snprintf(buf, size, "was ended by signal %d (%s)", info.si_status, strsignal(info.si_status));
    else if (known && info.si_status == EXIT_REFUSED)
        snprintf(buf, size, "was ended by its watchdog: device work took longer than %.4g s", (double)w->share->wanted.share.watchdog_ns / 1e9);
    else if (known && info.si_status)
        snprintf(buf, size, "failed with exit code %d", info.si_status);
    else
        snprintf(buf, size, "ended");
    return w->killed_because[0] ? "worker.killed" : known && info.si_code == CLD_EXITED && info.si_status == EXIT_REFUSED ? "worker.watchdog" :
           known && info.si_status ? "worker.failed" : "client.disconnected";
}

static int on_worker_exit(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct worker *w = user;
    struct share *share = w->share;
    char how[128], client[32] = "a client";
    const char *kind = describe_exit(w, how, sizeof how);
    if (share->engine)
        sched_page_reap(share->engine->page);
    if (w->client_pid)
        snprintf(client, sizeof client, "client %d", (int)w->client_pid);
    daemon_event(share->daemon, kind, share->wanted.share.name, "worker %d of %s %s%s%s", (int)w->pid, client, how,
                 w->killed_because[0] ? ": " : "", w->killed_because);
    worker_forget(w);
    share_worker_ended(share);
    return 0;
}

/* Takes ownership of pidfd. */
static int worker_watch(struct share *share, pid_t pid, int pidfd, pid_t client_pid, bool adopted, struct error *err)
{
    struct worker *w = calloc(1, sizeof *w);
    int r = w ? sd_event_add_io(share->daemon->loop, &w->exit_source, pidfd, EPOLLIN, on_worker_exit, w) : -ENOMEM;
    if (r < 0) {
        close(pidfd);
        free(w);
        return error_set(err, r, "watch worker %d: %s", (int)pid, strerror(-r));
    }
    w->share = share;
    w->pid = pid;
    w->client_pid = client_pid;
    w->pidfd = pidfd;
    w->adopted = adopted;
    w->next = share->workers;
    share->workers = w;
    health_wake(share->daemon);
    return 0;
}

int worker_start(struct share *share, int client_fd, pid_t client_pid, struct error *err)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, -ENOMEM, "no memory to start a worker");
    int r = command_prepare(share, client_pid, c, err);
    if (r < 0) {
        free(c);
        return r;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        worker_exec(c, client_fd, sched_page_fd(share->engine->page));
    int code = errno;
    free(c);
    if (pid < 0)
        return error_set(err, -code, "start a worker: %s", strerror(code));
    int pidfd = pidfd_open(pid, 0);
    code = errno;
    r = pidfd >= 0 ? worker_watch(share, pid, pidfd, client_pid, false, err) :
        error_set(err, -code, "watch worker %d: %s", (int)pid, strerror(code));
    /* A worker that cannot be watched would never be reaped. It is our child still, so its pid is safe to use. */
    if (r < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return r;
}

/* The value behind `name` in a list of strings, each ended by a zero byte. */
static const char *argument_after(const char *list, size_t size, const char *name)
{
    for (const char *p = list; p < list + size; p += strlen(p) + 1)
        if (strcmp(p, name) == 0 && p + strlen(p) + 1 < list + size)
            return p + strlen(p) + 1;
    return NULL;
}

static uid_t user_of_process(pid_t pid)
{
    char path[64], text[4096];
    unsigned user = (unsigned)-1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const char *line = io_read_text(AT_FDCWD, path, text, sizeof text) < 0 ? NULL : strstr(text, "\nUid:");
    return line && sscanf(line, "\nUid: %u", &user) == 1 ? user : (uid_t)-1;
}

/* Is this process really a worker of this share, and whose? Page and pid could be stale, or written by a worker that a tenant took over. */
static bool is_worker_of(pid_t pid, const struct share *share, pid_t *ret_client_pid)
{
    char path[64], text[8192];
    uid_t user = user_of_process(pid);
    if (user != geteuid() && (user < share->daemon->settings.first_user || user > share->daemon->settings.last_user))
        return false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *client_fd = argument_after(text, (size_t)n, "--client-fd"), *name = argument_after(text, (size_t)n, "--share");
    const char *client = argument_after(text, (size_t)n, "--client-pid");
    if (!client_fd || strcmp(client_fd, "3") != 0 || !name || strcmp(name, share->wanted.share.name) != 0)
        return false;
    *ret_client_pid = client ? (pid_t)strtol(client, NULL, 10) : 0;
    return true;
}

int worker_adopt(struct share *share, pid_t pid, struct error *err)
{
    /* The descriptor first, then the check: afterwards the pid cannot come to mean another process. */
    pid_t client_pid;
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0)
        return error_set(err, -ESRCH, "worker %d is gone", (int)pid);
    if (!is_worker_of(pid, share, &client_pid)) {
        close(pidfd);
        return error_set(err, -EPERM, "process %d is no worker of share %s", (int)pid, share->wanted.share.name);
    }
    return worker_watch(share, pid, pidfd, client_pid, true, err);
}

struct worker *worker_find(struct share *share, pid_t pid)
{
    for (struct worker *w = share->workers; w; w = w->next)
        if (w->pid == pid)
            return w;
    return NULL;
}

void worker_kill(struct worker *worker, const char *because)
{
    if (!worker->killed_because[0])
        snprintf(worker->killed_because, sizeof worker->killed_because, "%s", because);
    if (pidfd_send_signal(worker->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        log_error("end worker %d: %s", (int)worker->pid, strerror(errno));
}

void worker_forget(struct worker *worker)
{
    for (struct worker **p = &worker->share->workers; *p; p = &(*p)->next) {
        if (*p != worker)
            continue;
        *p = worker->next;
        break;
    }
    sd_event_source_disable_unref(worker->exit_source);
    close(worker->pidfd);
    free(worker);
}

void worker_command(pid_t pid, char *ret, size_t size)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (pid <= 0 || io_read_text(AT_FDCWD, path, text, sizeof text) < 0)
        text[0] = '\0';
    snprintf(ret, size, "%s", text);
}

char worker_process_state(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (io_read_text(AT_FDCWD, path, text, sizeof text) < 0)
        return 0;
    const char *end = strrchr(text, ')');    /* the name before it may hold anything */
    return end && end[1] == ' ' ? end[2] : 0;
}
