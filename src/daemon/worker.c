/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, adopting, watching and ending workers: see worker.h. */
#include "daemon/worker.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/health.h"
#include "daemon/share.h"
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
    char *argv[32];
    char *envp[512];
    char memory[24], device[16], watchdog[24], cores[24], label[256], cache[PATH_MAX];
    char pocl_memory[48], pocl_cache[PATH_MAX + 24], client[40];
    cpu_set_t cpus;
    bool pinned;
};

/* Set or taken out for a worker: it must find the native drivers, and nothing of a tenant's loader tricks. */
static const char *const own_variables[] = {
    "OCL_ICD_VENDORS", "OCL_ICD_FILENAMES", "LD_PRELOAD", "LD_AUDIT", "POCL_MEMORY_LIMIT", "POCL_CACHE_DIR", "POCL_AFFINITY",
    "TRANCHE_CLIENT_PID", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
};

static bool is_own_variable(const char *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(own_variables); i++) {
        size_t n = strlen(own_variables[i]);
        if (strncmp(entry, own_variables[i], n) == 0 && entry[n] == '=')
            return true;
    }
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

static void command_environment(const struct share *share, const struct gpu *gpu, pid_t client_pid, struct command *c)
{
    extern char **environ;
    const struct model_share *m = &share->wanted.share;
    size_t n = 0;
    for (char **e = environ; *e && n < ARRAY_LEN(c->envp) - 8; e++)
        if (!is_own_variable(*e))
            c->envp[n++] = *e;
    /* Pins what PoCL takes for the device's memory, which otherwise floats with the host's load. The whole device's: it derives the largest
     * buffer from it, and the worker counts the quota to the byte itself. PoCL takes whole GiB. */
    snprintf(c->pocl_memory, sizeof c->pocl_memory, "POCL_MEMORY_LIMIT=%" PRIu64, (gpu->memory_bytes + GIB - 1) / GIB);
    snprintf(c->pocl_cache, sizeof c->pocl_cache, "POCL_CACHE_DIR=%s", c->cache);
    snprintf(c->client, sizeof c->client, "TRANCHE_CLIENT_PID=%d", (int)client_pid);
    c->envp[n++] = c->pocl_memory;
    c->envp[n++] = c->pocl_cache;
    c->envp[n++] = c->client;
    if (m->cores && choose_cpus(share, c))
        c->envp[n++] = "POCL_AFFINITY=1";
}

static void command_arguments(struct share *share, const struct gpu *gpu, struct command *c)
{
    struct daemon *d = share->daemon;
    struct model_share *m = &share->wanted.share;
    char *const fixed[] = {
        d->worker_path, "--client-fd", "3", "--page-fd", "4", "--share", m->name, "--platform", (char *)gpu->opencl.platform,
        "--device", c->device, "--memory", c->memory, "--label", c->label, "--cache", c->cache, "--watchdog", c->watchdog,
    };
    size_t n = ARRAY_LEN(fixed);
    snprintf(c->device, sizeof c->device, "%u", gpu->opencl.index);
    snprintf(c->memory, sizeof c->memory, "%" PRIu64, m->memory_bytes);
    snprintf(c->watchdog, sizeof c->watchdog, "%" PRIu64, m->watchdog_ns);
    snprintf(c->label, sizeof c->label, "%s %s of %s%s", model_get(m->model)->name, m->profile, gpu->name,
             gpu->stand_in ? ", a stand-in GPU" : "");
    memcpy(c->argv, fixed, sizeof fixed);
    if (m->cores) {
        snprintf(c->cores, sizeof c->cores, "%u-%u", m->first_core, m->first_core + m->cores - 1);
        c->argv[n++] = "--cores";
        c->argv[n++] = c->cores;
    }
    if (d->settings.staged)
        c->argv[n++] = "--staged";
}

static int command_prepare(struct share *share, pid_t client_pid, struct command *c, struct error *err)
{
    const struct gpu *gpu = share_gpu(share);
    if (!gpu || !gpu->has_opencl)
        return error_set(err, -ENODEV, "%s has no OpenCL device now", share->wanted.gpu);
    if (text_format(c->cache, sizeof c->cache, "%s/cache/%s", share->daemon->settings.state_dir, share->wanted.share.name) < 0)
        return error_set(err, -ENAMETOOLONG, "path too long for the program cache");
    /* Without a cache programs are built anew each time: slower, but no reason to refuse a tenant. */
    if (io_make_dirs(c->cache, err) < 0)
        log_warning("share %s: no program cache: %s", share->wanted.share.name, err->text);
    command_arguments(share, gpu, c);
    command_environment(share, gpu, client_pid, c);
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

/* Is this process really a worker of this share? Page and pid could be stale, or written by a worker that a tenant took over. */
static bool is_worker_of(pid_t pid, const struct share *share)
{
    static const char *const begin[] = { "--client-fd", "3", "--page-fd", "4", "--share" };
    char path[64], text[8192];
    struct stat st;
    size_t matched = 0;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &st) < 0 || st.st_uid != geteuid())
        return false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[MAX(n, 0)] = '\0';
    for (char *p = text; p < text + MAX(n, 0); p += strlen(p) + 1) {
        if (matched == ARRAY_LEN(begin))
            return strcmp(p, share->wanted.share.name) == 0;
        matched = strcmp(p, begin[matched]) == 0 ? matched + 1 : 0;
    }
    return false;
}

static pid_t read_client_pid(pid_t worker)
{
    char path[64], text[32768];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)worker);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[MAX(n, 0)] = '\0';
    for (char *p = text; p < text + MAX(n, 0); p += strlen(p) + 1)
        if (strncmp(p, "TRANCHE_CLIENT_PID=", 19) == 0)
            return (pid_t)strtol(p + 19, NULL, 10);
    return 0;
}

int worker_adopt(struct share *share, pid_t pid, struct error *err)
{
    /* The descriptor first, then the check: afterwards the pid cannot come to mean another process. */
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0)
        return error_set(err, -ESRCH, "worker %d is gone", (int)pid);
    if (!is_worker_of(pid, share)) {
        close(pidfd);
        return error_set(err, -EPERM, "process %d is no worker of share %s", (int)pid, share->wanted.share.name);
    }
    return worker_watch(share, pid, pidfd, read_client_pid(pid), true, err);
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
