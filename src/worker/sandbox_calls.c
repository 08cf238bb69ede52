/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls a serving worker keeps. What stands in no table is answered with ENOSYS, as by an older kernel: programs then take the way they
 * have for those. What drivers expect but need not get is answered with EPERM. What only an attack calls ends the worker, and the log names it.
 * The kernel's audit log names the others (type=1326). Programs that the worker runs, a linker, are under the same filter. */
#include "worker/sandbox.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define CALL(name) SCMP_SYS(name)

/* Kept: memory. NUMA policies because drivers place their buffers; memfd for buffers shared with the device. */
static const int memory_calls[] = {
    CALL(brk), CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(msync), CALL(mincore), CALL(mlock), CALL(mlock2), CALL(munlock),
    CALL(mbind), CALL(get_mempolicy), CALL(set_mempolicy), CALL(membarrier), CALL(memfd_create),
};
/* Kept: threads, and running the linker. A session or process group of one's own is not: tranched ends what a worker leaves behind by its group.
 * clone3 is not, since its flags are in memory, where a filter does not see them: the C library takes clone then, without namespaces (below). */
static const int process_calls[] = {
    CALL(clone), CALL(fork), CALL(vfork), CALL(execve), CALL(exit), CALL(exit_group), CALL(wait4), CALL(waitid), CALL(set_tid_address),
    CALL(set_robust_list), CALL(get_robust_list), CALL(rseq), CALL(futex), CALL(futex_waitv), CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_getparam),
    CALL(sched_getscheduler), CALL(sched_get_priority_max), CALL(sched_get_priority_min), CALL(getpriority), CALL(getcpu), CALL(gettid), CALL(getpid),
    CALL(getppid), CALL(getpgrp), CALL(getpgid), CALL(getsid), CALL(arch_prctl), CALL(restart_syscall),
};
static const int signal_calls[] = {
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigsuspend), CALL(rt_sigtimedwait), CALL(rt_sigpending), CALL(sigaltstack),
    CALL(signalfd4), CALL(pause), CALL(alarm),
};
static const int time_calls[] = {
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(times), CALL(setitimer),
    CALL(getitimer), CALL(timer_create), CALL(timer_settime), CALL(timer_gettime), CALL(timer_getoverrun), CALL(timer_delete), CALL(timerfd_create),
    CALL(timerfd_settime), CALL(timerfd_gettime),
};
/* Kept: files, within what Landlock and the user leave. ioctl is how drivers talk to their devices; Landlock bounds it to those (since 6.10). */
static const int file_calls[] = {
    CALL(open), CALL(openat), CALL(openat2), CALL(creat), CALL(close), CALL(close_range), CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64),
    CALL(pwrite64), CALL(preadv), CALL(pwritev), CALL(preadv2), CALL(pwritev2), CALL(lseek), CALL(stat), CALL(fstat), CALL(lstat), CALL(newfstatat), CALL(statx),
    CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getdents), CALL(getdents64),
    CALL(ftruncate), CALL(getcwd), CALL(chdir), CALL(fchdir), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(unlink), CALL(unlinkat), CALL(rename), CALL(renameat),
    CALL(renameat2), CALL(link), CALL(linkat), CALL(symlink), CALL(symlinkat), CALL(chmod), CALL(fchmod), CALL(fchmodat), CALL(umask), CALL(utime),
    CALL(utimes), CALL(utimensat), CALL(futimesat), CALL(fadvise64), CALL(readahead), CALL(fallocate), CALL(truncate), CALL(fsync), CALL(fdatasync),
    CALL(sync_file_range), CALL(flock), CALL(fcntl), CALL(dup), CALL(dup2), CALL(dup3), CALL(pipe), CALL(pipe2), CALL(ioctl), CALL(sendfile),
    CALL(copy_file_range), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait),
    CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd), CALL(eventfd2),
};
/* Kept: questions. */
static const int question_calls[] = {
    CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getgroups), CALL(getresuid), CALL(getresgid), CALL(capget), CALL(getrlimit),
    CALL(getrusage), CALL(sysinfo), CALL(uname), CALL(getrandom),
};

/* Refused with EPERM. Sockets: a worker could reach the network, and the control API as its own user; sending on the client's connection would hand
 * out descriptors such as the sched page's. System V IPC is shared with whoever has the same user. Priorities and processors: a share's part of the
 * time and its cores are not its worker's to change. */
static const int refused_calls[] = {
    CALL(socket), CALL(socketpair), CALL(connect), CALL(bind), CALL(listen), CALL(accept), CALL(accept4), CALL(sendmsg), CALL(sendmmsg), CALL(sendto),
    CALL(recvmmsg), CALL(recvfrom), CALL(setsockopt), CALL(getsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown),
    CALL(shmget), CALL(shmat), CALL(shmctl), CALL(shmdt), CALL(semget), CALL(semop), CALL(semctl), CALL(msgget), CALL(msgsnd), CALL(msgrcv), CALL(msgctl),
    CALL(mq_open), CALL(mq_unlink), CALL(setpriority), CALL(sched_setaffinity), CALL(sched_setscheduler), CALL(sched_setparam), CALL(sched_setattr),
    CALL(ioprio_set), CALL(mlockall), CALL(setsid), CALL(setpgid), CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid),
    CALL(setresgid), CALL(setgroups), CALL(setfsuid), CALL(setfsgid), CALL(capset), CALL(chown), CALL(fchown), CALL(lchown), CALL(fchownat), CALL(mknod),
    CALL(mknodat), CALL(setxattr), CALL(lsetxattr), CALL(fsetxattr), CALL(personality), CALL(pidfd_open), CALL(pidfd_send_signal), CALL(perf_event_open),
    CALL(userfaultfd), CALL(io_uring_setup), CALL(inotify_init), CALL(inotify_init1), CALL(fanotify_init), CALL(memfd_secret), CALL(migrate_pages),
    CALL(move_pages), CALL(process_madvise), CALL(kcmp), CALL(syslog), CALL(adjtimex), CALL(clock_adjtime), CALL(name_to_handle_at),
};
/* Nothing that a driver or a compiler does. */
static const int attacks[] = {
    CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(pidfd_getfd), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(setns),
    CALL(unshare), CALL(fsopen), CALL(fsmount), CALL(move_mount), CALL(open_tree), CALL(mount_setattr), CALL(bpf), CALL(keyctl), CALL(add_key),
    CALL(request_key), CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon),
    CALL(swapoff), CALL(settimeofday), CALL(clock_settime), CALL(sethostname), CALL(setdomainname), CALL(quotactl),
    CALL(acct), CALL(open_by_handle_at), CALL(iopl), CALL(ioperm),
};

/* Kept of prctl: names of threads and mappings, and questions. */
static const int prctl_options[] = {
    PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK,
    PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
};

#define TABLE(calls, action) { calls, ARRAY_LEN(calls), action }
static const struct { const int *calls; size_t n; uint32_t action; } tables[] = {
    TABLE(memory_calls, SCMP_ACT_ALLOW), TABLE(process_calls, SCMP_ACT_ALLOW), TABLE(signal_calls, SCMP_ACT_ALLOW), TABLE(time_calls, SCMP_ACT_ALLOW),
    TABLE(file_calls, SCMP_ACT_ALLOW), TABLE(question_calls, SCMP_ACT_ALLOW), TABLE(refused_calls, SCMP_ACT_ERRNO(EPERM)), TABLE(attacks, SCMP_ACT_TRAP),
};

static const char *share_name;

/* The thread is in its system call, wherever that came from: only what is safe in a signal handler. */
static void on_attack(int signal, siginfo_t *info, void *context)
{
    char text[160], *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);
    int n = snprintf(text, sizeof text, "tranche-worker: share %.64s: code in this worker called %s, which no driver does: ending this client\n", share_name,
                     name ? name : "a forbidden system call");
    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(EXIT_FAILED);
}

static int add(scmp_filter_ctx ctx, uint32_t action, int call, unsigned n, const struct scmp_arg_cmp *arguments)
{
    int r = seccomp_rule_add_array(ctx, action, call, n, arguments);
    return r == -EEXIST || r == -EDOM ? 0 : r;          /* not on this architecture */
}

/* The kernel looks at the lower half of such an argument only, and so must the filter. */
static struct scmp_arg_cmp word(unsigned argument, uint32_t mask, uint32_t value)
{
    return (struct scmp_arg_cmp){ argument, SCMP_CMP_MASKED_EQ, mask, value };
}

/* Arguments that are refused of calls that are kept. */
static int refuse_page(scmp_filter_ctx ctx, uint32_t fd)
{
    /* Shrinking the sched page would end everybody who maps it. Under another number its descriptor would not be known here. */
    static const int calls[] = { CALL(ftruncate), CALL(fallocate), CALL(dup), CALL(dup2), CALL(dup3) };
    static const uint32_t commands[] = { F_DUPFD, F_DUPFD_CLOEXEC };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(calls); i++)
        r = add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 1, (struct scmp_arg_cmp[]){ word(0, UINT32_MAX, fd) });
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(commands); i++)
        r = add(ctx, SCMP_ACT_ERRNO(EPERM), CALL(fcntl), 2, (struct scmp_arg_cmp[]){ word(0, UINT32_MAX, fd), word(1, UINT32_MAX, commands[i]) });
    return r;
}

static int refuse_arguments(scmp_filter_ctx ctx, const struct session *s)
{
    /* In a namespace of its own a process has every capability again, and with it all of the kernel that asks for one. */
    static const uint32_t namespaces[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };
    /* The client's output may be a terminal: nothing may be typed into it. */
    static const uint32_t terminal[] = { TIOCSTI, TIOCLINUX };
    int fds[SCHED_PAGE_FDS], r = 0;
    sched_page_fds(s->page, fds);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(fds); i++)
        r = refuse_page(ctx, (uint32_t)fds[i]);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(namespaces); i++)
        r = add(ctx, SCMP_ACT_ERRNO(EPERM), CALL(clone), 1, (struct scmp_arg_cmp[]){ word(0, namespaces[i], namespaces[i]) });
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(terminal); i++)
        r = add(ctx, SCMP_ACT_ERRNO(EPERM), CALL(ioctl), 1, (struct scmp_arg_cmp[]){ word(1, UINT32_MAX, terminal[i]) });
    return r;
}

static int keep_calls(scmp_filter_ctx ctx, const struct session *s)
{
    static const int to_itself[] = { CALL(kill), CALL(tgkill), CALL(rt_tgsigqueueinfo), CALL(rt_sigqueueinfo) };
    int r = 0;
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; r == 0 && i < tables[t].n; i++)
            r = add(ctx, tables[t].action, tables[t].calls[i], 0, NULL);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(to_itself); i++)
        r = add(ctx, SCMP_ACT_ALLOW, to_itself[i], 1, (struct scmp_arg_cmp[]){ { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 } });
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(prctl_options); i++)
        r = add(ctx, SCMP_ACT_ALLOW, CALL(prctl), 1, (struct scmp_arg_cmp[]){ { 0, SCMP_CMP_EQ, prctl_options[i], 0 } });
    if (r == 0)         /* the client's stdout, when it changes */
        r = add(ctx, SCMP_ACT_ALLOW, CALL(recvmsg), 1, (struct scmp_arg_cmp[]){ { 0, SCMP_CMP_EQ, (scmp_datum_t)s->options.client_fd, 0 } });
    return r ? r : add(ctx, SCMP_ACT_ALLOW, CALL(prlimit64), 1, (struct scmp_arg_cmp[]){ { 0, SCMP_CMP_EQ, 0, 0 } });
}

/* For the driver's threads too: they run the tenant's kernels. */
static int load(uint32_t otherwise, int (*fill)(scmp_filter_ctx, const struct session *), const struct session *s)
{
    scmp_filter_ctx ctx = seccomp_init(otherwise);
    int r = ctx ? fill(ctx, s) : -ENOMEM;
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);     /* not a thread alone, whose kernel would never end */
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);     /* a binary tree, not a list */
    if (r == 0)
        seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);              /* where the kernel can */
    if (r == 0)
        r = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return r;
}

/* Two filters, of which the stricter one decides: libseccomp does not say what it makes of a call that is both kept and refused. */
int sandbox_enter_calls(const struct session *s)
{
    struct sigaction action = { .sa_sigaction = on_attack, .sa_flags = SA_SIGINFO };
    share_name = s->options.share;
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return -errno;
    int r = load(SCMP_ACT_ALLOW, refuse_arguments, s);
    return r ? r : load(SCMP_ACT_ERRNO(ENOSYS), keep_calls, s);
}
#else
int sandbox_enter_calls(const struct session *s) { return 0; }
#endif
