/* SPDX-License-Identifier: Apache-2.0 */
/* The sched page with real processes: adopting, saturating, kill -9 and SIGSTOP at any moment, also inside the lock. */
#include "sched/sched_page.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define US NS_PER_US
#define MS NS_PER_MS
#define QUOTA 100000
#define MAX_TENANTS 8

/* What the tenant processes and the test tell each other. */
static struct board {
    uint32_t stop;
    int32_t on_device;          /* pid whose work is on the device */
    uint32_t violations;        /* two at once, and both alive */
    uint64_t kernels[MAX_TENANTS], longest_ns[MAX_TENANTS];
    uint32_t ready[MAX_TENANTS];
    uint64_t switches[MAX_TENANTS];
    uint64_t counter;
} *board;

static char folder[64], path[PATH_MAX / 2];
static struct sched_page *page;

static int setup(void **state)
{
    strcpy(folder, "/tmp/test-sched-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/cpu0.page", folder);
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    struct error err = { 0 };
    if (sched_page_create(path, &config, &page, &err) < 0)
        fail_msg("%s", err.text);
    memset(board, 0, sizeof(*board));
    return 0;
}

static int teardown(void **state)
{
    sched_page_close(page);
    page = NULL;
    unlink(path);
    return rmdir(folder);      /* fails when something was left beside the page */
}

static void add_share(const char *name, uint32_t weight, uint32_t ppm)
{
    struct sched_share_config config = { .weight = weight, .time_ppm = ppm, .quota_bytes = QUOTA };
    snprintf(config.name, sizeof(config.name), "%s", name);
    assert_int_equal(sched_share_add(page, &config, NULL), 0);
}

static struct sched_share_stat stat_of(const char *name)
{
    struct sched_share_stat stat;
    assert_int_equal(sched_share_stat(page, name, &stat, NULL), 0);
    return stat;
}

static void set_policy(enum sched_policy policy)
{
    struct sched_config config = sched_page_config(page);
    config.policy = policy;
    sched_page_configure(page, &config);
}

static void sleep_ns(uint64_t ns)
{
    const struct timespec t = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
    nanosleep(&t, NULL);
}

/* Waits up to a limit for something to become true. */
#define EVENTUALLY(limit_ns, condition) do { \
        uint64_t until_ = clock_now_ns() + (limit_ns); \
        while (!(condition) && clock_now_ns() < until_) \
            sleep_ns(200 * US); \
        if (!(condition)) \
            fail_msg("not within %llu ms: %s", (unsigned long long)((limit_ns) / MS), #condition); \
    } while (0)

/* Processes */

struct tenant { int index; const char *share; uint64_t kernel_ns, gap_ns, reserve; };

static struct sched_client *join_page(const char *share)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);      /* a test that failed leaves nobody behind */
    struct sched_page *own;
    struct sched_client *client;
    if (sched_page_open(sched_page_fd(page), &own, NULL) < 0 || sched_client_join(own, share, &client, NULL) < 0)
        _exit(10);
    return client;
}

/* Being killed takes a moment, in which the locks are gone already: look twice. A zombie is dead. */
static bool lives(pid_t pid)
{
    char state = 'X', name[64];
    snprintf(name, sizeof(name), "/proc/%d/stat", pid);
    sleep_ns(20 * MS);
    _cleanup_fclose_ FILE *f = fopen(name, "re");
    return f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state != 'Z' && state != 'X';
}

static void enter_device(void)
{
    int32_t before = __atomic_exchange_n(&board->on_device, getpid(), __ATOMIC_SEQ_CST);
    if (before && before != getpid() && lives(before))
        __atomic_add_fetch(&board->violations, 1, __ATOMIC_SEQ_CST);
}

static void leave_device(void)
{
    int32_t me = getpid();
    __atomic_compare_exchange_n(&board->on_device, &me, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void work_a_turn(const struct tenant *t, struct sched_client *client)
{
    while (sched_begin(client)) {
        enter_device();
        do {
            sleep_ns(t->kernel_ns);
            board->kernels[t->index]++;
        } while (!t->gap_ns && !sched_must_yield(client) && !sched_get(board->stop));
        leave_device();
        sched_end(client);
        if (sched_must_yield(client) || sched_get(board->stop))
            break;
        sleep_ns(t->gap_ns);
    }
    sched_release(client);
}

static void tenant_main(const struct tenant *t)
{
    struct sched_client *client = join_page(t->share);
    if (t->reserve && quota_reserve(client, t->reserve) < 0)
        _exit(11);
    board->ready[t->index] = 1;
    while (!sched_get(board->stop)) {
        uint64_t asked = clock_now_ns();
        if (sched_acquire(client) < 0)
            _exit(12);
        uint64_t waited = clock_now_ns() - asked;
        board->longest_ns[t->index] = MAX(board->longest_ns[t->index], waited);
        work_a_turn(t, client);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    board->switches[t->index] = (uint64_t)usage.ru_nvcsw;
    sched_client_leave(client);
    _exit(0);
}

static pid_t spawn(const struct tenant *t)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        tenant_main(t);
    return pid;
}

static void wait_exit(pid_t pid, int expected)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        fail_msg("process ended with status %#x", status);
}

static void kill_hard(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void run_tenants(const struct tenant *tenants, int n, uint64_t ns)
{
    pid_t pids[MAX_TENANTS];
    for (int i = 0; i < n; i++)
        pids[i] = spawn(&tenants[i]);
    sleep_ns(ns);
    sched_put(board->stop, 1);
    for (int i = 0; i < n; i++)
        wait_exit(pids[i], 0);
    assert_int_equal(board->violations, 0);
}

/* The file */

static void page_is_private_and_adopted_with_its_totals(void **state)
{
    struct stat st, again;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    add_share("a", 3, 250000);
    struct sched_client *client;
    assert_int_equal(sched_client_join(page, "a", &client, NULL), 0);
    assert_int_equal(quota_reserve(client, 500), 0);
    assert_int_equal(quota_reserve(client, QUOTA), -EDQUOT);

    struct sched_page *daemon;
    struct sched_config config = { SCHED_FIXED_SHARE, 4 * MS, 100 * US, 100 * MS };
    assert_int_equal(sched_page_create(path, &config, &daemon, NULL), 0);
    assert_int_equal(stat(path, &again), 0);
    assert_int_equal(st.st_ino, again.st_ino);
    struct sched_share_stat stat;
    assert_int_equal(sched_share_stat(daemon, "a", &stat, NULL), 0);
    assert_int_equal(stat.used_bytes, 500);
    assert_int_equal(stat.refused, 1);
    assert_int_equal(stat.clients, 1);
    assert_int_equal(stat.config.weight, 3);
    assert_int_equal(sched_page_config(page).policy, SCHED_FIXED_SHARE);
    assert_int_equal(sched_page_config(page).quantum_ns, 4 * MS);
    struct sched_client_stat clients[2];
    assert_int_equal(sched_share_clients(daemon, "a", clients, 2), 1);
    assert_int_equal(clients[0].pid, getpid());
    assert_int_equal(sched_page_reap(daemon), 0);       /* lives, though it lives in this very process */
    sched_page_close(daemon);
    assert_int_equal(sched_share_remove(page, "a", NULL), -EBUSY);
    sched_client_leave(client);
    assert_int_equal(sched_share_remove(page, "a", NULL), 0);
}

static void overwrite(off_t offset, const void *bytes, size_t n)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, offset), (ssize_t)n);
}

static void unusable_files_are_replaced(void **state)
{
    struct error err = { 0 };
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    add_share("a", 1, 0);
    for (int round = 0; round < 4; round++) {
        struct sched_page *other;
        const uint32_t version = 77;
        switch (round) {
        case 0: overwrite(offsetof(struct sched_file, version), &version, sizeof(version)); break;
        case 1: overwrite(0, "nonsense", 8); break;
        case 2: unlink(path); assert_int_equal(symlink("elsewhere", path), 0); break;
        case 3: unlink(path); { _cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY, 0600); assert_true(fd >= 0); } break;
        }
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0)
            assert_int_equal(sched_page_open(fd, &other, &err), -EPROTO);
        assert_int_equal(sched_page_create(path, &config, &other, &err), 0);
        assert_int_equal(sched_share_stat(other, "a", &(struct sched_share_stat){ 0 }, NULL), -ENOENT);
        sched_page_close(other);
    }
    assert_int_equal(stat_of("a").clients, 0);          /* who maps the old one keeps it whole */
    assert_int_equal(sched_page_create("/nonexistent/folder/page", &config, &page, &err), -ENOENT);
    assert_true(err.hint[0]);
}

static void nonsense_inside_is_dropped_on_adoption(void **state)
{
    add_share("a", 1, 0);
    uint8_t bytes[sizeof(struct sched_core)];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    overwrite(offsetof(struct sched_file, core), bytes, sizeof(bytes));
    struct sched_page *other;
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    assert_int_equal(sched_page_create(path, &config, &other, NULL), 0);
    struct sched_share_config share = { .name = "b", .weight = 1, .quota_bytes = 10 };
    assert_int_equal(sched_share_add(other, &share, NULL), 0);
    struct sched_client *client;
    assert_int_equal(sched_client_join(other, "b", &client, NULL), 0);
    assert_int_equal(sched_acquire(client), 0);
    assert_true(sched_begin(client));
    sched_end(client);
    sched_client_leave(client);
    sched_page_close(other);
}

static void every_slot_can_be_taken_and_given_back(void **state)
{
    static struct sched_client *clients[SCHED_MAX_CLIENTS];
    struct sched_client *more;
    add_share("a", 1, 0);
    assert_int_equal(sched_client_join(page, "nobody", &more, NULL), -ENOENT);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < SCHED_MAX_CLIENTS; i++)
            assert_int_equal(sched_client_join(page, "a", &clients[i], NULL), 0);
        assert_int_equal(sched_client_join(page, "a", &more, NULL), -ENOSPC);
        assert_int_equal(sched_page_reap(page), 0);
        for (int i = 0; i < SCHED_MAX_CLIENTS; i++)
            sched_client_leave(clients[i]);
    }
    assert_int_equal(stat_of("a").clients, 0);
}

/* Turns between processes */

static void saturating_processes_share_by_weight(void **state)
{
    add_share("a", 3, 0);
    add_share("b", 1, 0);
    const struct tenant tenants[] = { { 0, "a", 300 * US }, { 1, "b", 300 * US } };
    run_tenants(tenants, 2, 2 * NS_PER_S);
    double a = (double)stat_of("a").granted_ns, b = (double)stat_of("b").granted_ns;
    if (a / (a + b) < 0.71 || a / (a + b) > 0.79 || a + b < 1.7e9)
        fail_msg("weights 3:1 gave %.1f %%, of %.2f s", 100 * a / (a + b), (a + b) / 1e9);
}

static void a_process_that_waits_for_results_gets_its_half(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    const struct tenant tenants[] = { { 0, "a", 900 * US, 20 * US }, { 1, "b", 300 * US } };
    run_tenants(tenants, 2, 2 * NS_PER_S);
    double a = (double)stat_of("a").granted_ns, b = (double)stat_of("b").granted_ns;
    if (a / (a + b) < 0.46 || a / (a + b) > 0.54)
        fail_msg("the synchronous process got %.1f %%", 100 * a / (a + b));
}

static void cap_holds_for_a_lone_process(void **state)
{
    set_policy(SCHED_FIXED_SHARE);
    add_share("a", 1, 250000);
    const struct tenant tenants[] = { { 0, "a", 300 * US } };
    uint64_t begin = clock_now_ns();
    run_tenants(tenants, 1, 2 * NS_PER_S);
    double part = (double)stat_of("a").granted_ns / (double)(clock_now_ns() - begin);
    if (part < 0.235 || part > 0.265)
        fail_msg("a cap of 25 %% gave %.2f %%", 100 * part);
}

static void a_lone_or_idle_client_never_wakes(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    struct sched_client *idle;
    assert_int_equal(sched_client_join(page, "b", &idle, NULL), 0);
    assert_int_equal(sched_acquire(idle), 0);
    sched_end(idle);
    pid_t pid = fork();
    if (pid == 0) {
        struct sched_client *client = join_page("a");
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        for (int i = 0; i < 20000; i++) {
            if (sched_acquire(client) < 0 || !sched_begin(client))
                _exit(1);
            sched_end(client);
        }
        getrusage(RUSAGE_SELF, &after);
        _exit(after.ru_nvcsw - before.ru_nvcsw < 30 ? 0 : 2);     /* the one steal from the idle holder, after its grace */
    }
    wait_exit(pid, 0);
    sched_client_leave(idle);
}

static void waiting_costs_few_wakes(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    struct sched_config config = SCHED_CONFIG_DEFAULT;
    config.patience_ns = 10 * NS_PER_S;
    sched_page_configure(page, &config);
    struct sched_client *holder;
    assert_int_equal(sched_client_join(page, "b", &holder, NULL), 0);
    assert_int_equal(sched_acquire(holder), 0);
    assert_true(sched_begin(holder));
    pid_t pid = spawn(&(struct tenant){ 0, "a", 100 * US });
    sleep_ns(NS_PER_S);
    sched_put(board->stop, 1);
    sched_end(holder);
    sched_release(holder);
    wait_exit(pid, 0);
    assert_in_range(board->switches[0], 10, 120);        /* one look per 20 ms */
    sched_client_leave(holder);
}

static void *acquire_thread(void *client)
{
    return (void *)(intptr_t)sched_acquire(client);
}

static void cancel_ends_waits(void **state)
{
    add_share("a", 1, 0);
    struct sched_client *holder, *waiter;
    assert_int_equal(sched_client_join(page, "a", &holder, NULL), 0);
    assert_int_equal(sched_client_join(page, "a", &waiter, NULL), 0);
    assert_int_equal(sched_acquire(holder), 0);
    assert_true(sched_begin(holder));
    assert_true(sched_busy_since(holder) > 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, acquire_thread, waiter), 0);
    EVENTUALLY(NS_PER_S, stat_of("a").waiting == 1);
    sched_client_cancel(waiter);
    for (int i = 0; i < 2; i++) {
        void *r;
        assert_int_equal(pthread_join(threads[i], &r), 0);
        assert_int_equal((intptr_t)r, -ECANCELED);
    }
    assert_int_equal(sched_acquire(waiter), -ECANCELED);
    assert_int_equal(stat_of("a").waiting, 0);
    sched_client_leave(waiter);
    sched_client_leave(holder);
    assert_int_equal(sched_busy_since(&(struct sched_client){ page, 0 }), 0);
}

/* Death */

static void a_killed_holder_gives_everything_back(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    pid_t victim = spawn(&(struct tenant){ 0, "a", NS_PER_S, 0, 700 });
    EVENTUALLY(NS_PER_S, stat_of("a").holding);
    pid_t other = spawn(&(struct tenant){ 1, "b", 200 * US });
    EVENTUALLY(NS_PER_S, stat_of("b").waiting == 1);
    assert_int_equal(stat_of("a").used_bytes, 700);
    uint64_t killed = clock_now_ns();
    kill_hard(victim);
    EVENTUALLY(NS_PER_S, board->kernels[1] > 0);           /* without a daemon that reaps: the waiter looks itself */
    assert_true(clock_now_ns() - killed < 200 * MS);
    assert_int_equal(stat_of("a").used_bytes, 0);
    assert_int_equal(stat_of("a").clients, 0);
    sched_put(board->stop, 1);
    wait_exit(other, 0);
}

static void a_turn_is_never_granted_to_the_dead(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    struct sched_client *holder;
    assert_int_equal(sched_client_join(page, "a", &holder, NULL), 0);
    assert_int_equal(sched_acquire(holder), 0);
    assert_true(sched_begin(holder));
    pid_t victim = spawn(&(struct tenant){ 0, "b", 100 * US });
    EVENTUALLY(NS_PER_S, stat_of("b").waiting == 1);
    kill_hard(victim);
    sched_end(holder);
    sched_release(holder);
    assert_int_equal(page->file->core.holder, SCHED_NONE);
    assert_int_equal(stat_of("b").clients, 0);
    sched_client_leave(holder);
}

static void waits_are_shown_while_they_last(void **state)
{
    add_share("a", 1, 0);
    struct sched_client *holder;
    struct sched_client_stat clients[2];
    assert_int_equal(sched_client_join(page, "a", &holder, NULL), 0);
    assert_int_equal(sched_acquire(holder), 0);
    assert_true(sched_begin(holder));
    pid_t waiter = spawn(&(struct tenant){ 0, "a", 100 * US });
    EVENTUALLY(NS_PER_S, stat_of("a").waiting == 1);
    sleep_ns(30 * MS);
    assert_true(stat_of("a").waited_ns >= 30 * MS);
    assert_int_equal(sched_share_clients(page, "a", clients, 2), 2);
    assert_true(clients[1].waited_ns >= 30 * MS);
    assert_int_equal(clients[1].pid, waiter);
    assert_int_equal(clients[0].waited_ns, 0);
    assert_true(clients[0].granted_ns >= 30 * MS);
    assert_int_equal(clients[0].busy_since_ns, sched_busy_since(holder));
    kill_hard(waiter);
    sched_client_leave(holder);
}

/* What a hostile worker can do to the counts, the next look of tranched puts right. */
static void reaping_puts_spoiled_counts_right(void **state)
{
    add_share("a", 1, 0);
    struct sched_client *holder;
    assert_int_equal(sched_client_join(page, "a", &holder, NULL), 0);
    assert_int_equal(sched_acquire(holder), 0);
    pid_t waiter = spawn(&(struct tenant){ 0, "a", 100 * US });
    EVENTUALLY(NS_PER_S, stat_of("a").waiting == 1);
    sched_page_enter(page);
    page->file->core.waiting = 0;
    page->file->core.clients_end = 0;
    sched_page_leave(page, SCHED_WAKE_NONE);
    assert_int_equal(sched_page_reap(page), 0);
    sched_release(holder);
    EVENTUALLY(100 * MS, board->kernels[0] > 0);
    kill_hard(waiter);
    sched_client_leave(holder);
}

static void memory_of_the_dead_is_found_when_it_is_needed(void **state)
{
    add_share("a", 1, 0);
    pid_t victim = spawn(&(struct tenant){ 0, "a", 100 * US, 0, QUOTA });
    EVENTUALLY(NS_PER_S, stat_of("a").used_bytes == QUOTA);
    struct sched_client *client;
    assert_int_equal(sched_client_join(page, "a", &client, NULL), 0);
    assert_int_equal(quota_reserve(client, 1), -EDQUOT);
    kill_hard(victim);
    assert_int_equal(quota_reserve(client, QUOTA), 0);
    quota_release(client, QUOTA);
    assert_int_equal(quota_free(client), QUOTA);
    sched_client_leave(client);
}

/* Three tenants saturate; one after the other is killed at a random moment and replaced. The others must always get on. */
static void nobody_waits_for_ever_when_tenants_are_killed(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 2, 0);
    add_share("c", 1, 0);
    const struct tenant tenants[] = { { 0, "a", 50 * US, 0, 11 }, { 1, "b", 50 * US, 10 * US, 22 }, { 2, "c", 150 * US, 0, 33 } };
    pid_t pids[3];
    srand(4711);
    for (int i = 0; i < 3; i++)
        pids[i] = spawn(&tenants[i]);
    for (int cycle = 0; cycle < 500; cycle++) {
        int k = rand() % 3;
        sleep_ns((uint64_t)(rand() % 4000) * US);
        kill_hard(pids[k]);
        if (cycle % 2)
            sched_page_reap(page);                       /* as tranched does; on even cycles they are on their own */
        pids[k] = spawn(&tenants[k]);
        if (cycle % 25 == 0) {
            uint64_t before[3] = { board->kernels[0], board->kernels[1], board->kernels[2] };
            EVENTUALLY(2 * NS_PER_S, board->kernels[0] > before[0] && board->kernels[1] > before[1] && board->kernels[2] > before[2]);
        }
    }
    for (int i = 0; i < 3; i++)
        EVENTUALLY(2 * NS_PER_S, stat_of(tenants[i].share).used_bytes == tenants[i].reserve);
    sched_put(board->stop, 1);
    for (int i = 0; i < 3; i++)
        wait_exit(pids[i], 0);
    sched_page_reap(page);
    assert_int_equal(board->violations, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat_of(tenants[i].share).clients, 0);
        assert_int_equal(stat_of(tenants[i].share).used_bytes, 0);
    }
}

/* The same where death hits the lock itself: nothing but short calls, so that most of the time somebody is inside. */
static void hammer_main(int index)
{
    struct sched_client *client = join_page("a");
    for (unsigned i = 0;; i++) {
        if (quota_reserve(client, 10) == 0)
            quota_release(client, 10);
        if (sched_acquire(client) == 0 && sched_begin(client))
            sched_end(client);
        sched_release(client);
        board->kernels[index]++;
    }
}

static void death_inside_the_lock_is_repaired(void **state)
{
    add_share("a", 1, 0);
    pid_t pids[3];
    srand(42);
    for (int i = 0; i < 3; i++) {
        if ((pids[i] = fork()) == 0)
            hammer_main(i);
    }
    for (int cycle = 0; cycle < 300; cycle++) {
        int k = rand() % 3;
        sleep_ns((uint64_t)(rand() % 2000) * US);
        kill_hard(pids[k]);
        if ((pids[k] = fork()) == 0)
            hammer_main(k);
        uint64_t before = board->kernels[(k + 1) % 3];
        EVENTUALLY(2 * NS_PER_S, board->kernels[(k + 1) % 3] > before);
    }
    for (int i = 0; i < 3; i++)
        kill_hard(pids[i]);
    sched_page_reap(page);
    assert_int_equal(stat_of("a").used_bytes, 0);
    assert_int_equal(stat_of("a").clients, 0);
    assert_false(stat_of("a").holding);
    assert_true(page->file->repairs > 0);                /* it did hit the lock */
}

static void die_inside(struct sched_client *client)
{
    struct sched_core *core = &client->page->file->core;
    sched_page_enter(client->page);
    core->waiting = 77;                                  /* in the middle of something */
    core->clients_end = 0;
    core->shares[0].clients = 0;
    core->holder = client->slot;
    core->clients[client->slot].phase = SCHED_WAITING;
    kill(getpid(), SIGKILL);
}

static void lock_of_a_dead_owner_is_taken_over_and_repaired(void **state)
{
    add_share("a", 1, 0);
    struct sched_client *client;
    assert_int_equal(sched_client_join(page, "a", &client, NULL), 0);
    for (uint32_t i = 1; i <= 20; i++) {
        pid_t pid = fork();
        if (pid == 0)
            die_inside(join_page("a"));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        uint64_t begin = clock_now_ns();
        assert_int_equal(sched_acquire(client), 0);
        assert_true(clock_now_ns() - begin < 200 * MS);
        assert_int_equal(page->file->repairs, i);
        assert_int_equal(page->file->core.waiting, 0);
        assert_int_equal(page->file->core.shares[0].clients, page->file->core.clients_end);
        sched_release(client);
        sched_page_reap(page);
    }
    assert_int_equal(stat_of("a").clients, 1);
    sched_client_leave(client);
}

/* Its seat is free again and the next opener sits there: the lock must not seem to belong to the living. */
static void lock_of_a_dead_owner_is_inherited_with_the_seat(void **state)
{
    add_share("a", 1, 0);
    pid_t pid = fork();
    if (pid == 0)
        die_inside(join_page("a"));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct sched_page *next;
    assert_int_equal(sched_page_open(sched_page_fd(page), &next, NULL), 0);
    assert_int_equal(page->file->repairs, 1);
    uint64_t begin = clock_now_ns();
    stat_of("a");
    assert_true(clock_now_ns() - begin < 200 * MS);
    sched_page_close(next);
}

static void processes_exclude_each_other(void **state)
{
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        if ((pids[i] = fork()) == 0) {
            struct sched_page *own;
            if (sched_page_open(sched_page_fd(page), &own, NULL) < 0)
                _exit(1);
            for (int k = 0; k < 50000; k++) {
                sched_page_enter(own);
                uint64_t seen = *(volatile uint64_t *)&board->counter;
                *(volatile uint64_t *)&board->counter = seen + 1;
                sched_page_leave(own, SCHED_WAKE_NONE);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        wait_exit(pids[i], 0);
    assert_int_equal(board->counter, 200000);
    assert_int_equal(page->file->repairs, 0);
}

/* Stopping */

static void a_stopped_holder_delays_others_by_its_patience(void **state)
{
    add_share("a", 1, 0);
    add_share("b", 1, 0);
    pid_t stopped = spawn(&(struct tenant){ 0, "a", 50 * MS });
    EVENTUALLY(NS_PER_S, stat_of("a").holding && board->on_device == stopped);
    pid_t other = spawn(&(struct tenant){ 1, "b", 200 * US });
    EVENTUALLY(NS_PER_S, board->kernels[1] > 0);
    EVENTUALLY(NS_PER_S, stat_of("a").holding && board->on_device == stopped);
    kill(stopped, SIGSTOP);
    uint64_t before = board->kernels[1], begin = clock_now_ns();
    board->longest_ns[1] = 0;
    EVENTUALLY(NS_PER_S, board->kernels[1] > before + 20);
    uint64_t took = clock_now_ns() - begin;
    if (took < 100 * MS || took > 252 * MS + 150 * MS)   /* quantum and patience, the 20 turns after it, and a busy machine */
        fail_msg("the others got on after %llu ms", (unsigned long long)(took / MS));
    assert_int_equal(stat_of("a").overruns, 1);
    before = board->kernels[0];
    kill(stopped, SIGCONT);
    EVENTUALLY(2 * NS_PER_S, board->kernels[0] > before + 2);    /* and it takes part again */
    sched_put(board->stop, 1);
    wait_exit(stopped, 0);
    wait_exit(other, 0);
}

static void a_stopped_owner_of_the_lock_loses_it(void **state)
{
    add_share("a", 1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sched_client *client = join_page("a");
        sched_page_enter(client->page);
        board->ready[0] = 1;
        raise(SIGSTOP);
        sched_page_leave(client->page, SCHED_WAKE_NONE);
        _exit(sched_acquire(client) == 0 && sched_begin(client) ? 0 : 1);
    }
    EVENTUALLY(NS_PER_S, board->ready[0]);
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    uint64_t begin = clock_now_ns();
    assert_int_equal(stat_of("a").clients, 1);
    assert_true(clock_now_ns() - begin < 2 * NS_PER_S);
    assert_int_equal(page->file->repairs, 1);
    kill(pid, SIGCONT);
    wait_exit(pid, 0);
    assert_int_equal(page->file->repairs, 2);            /* it noticed, and looked after what it may have torn */
}

/* Memory under fire: the sum is within the quota at every look, and nothing stays when all are dead. */
static void quota_main(unsigned seed)
{
    struct sched_client *client = join_page("a");
    uint64_t mine = 0;
    srand(seed);
    for (;;) {
        uint64_t bytes = (uint64_t)(rand() % (QUOTA / 2));
        if (quota_reserve(client, bytes) == 0)
            mine += bytes;
        if (rand() % 3 == 0 || mine > QUOTA / 2) {
            quota_release(client, mine);
            mine = 0;
        }
    }
}

static void quota_holds_while_clients_are_killed(void **state)
{
    add_share("a", 1, 0);
    pid_t pids[3];
    for (unsigned i = 0; i < 3; i++) {
        if ((pids[i] = fork()) == 0)
            quota_main(i);
    }
    for (unsigned cycle = 0; cycle < 200; cycle++) {
        for (int look = 0; look < 20; look++)
            assert_true(stat_of("a").used_bytes <= QUOTA);
        sleep_ns((uint64_t)(rand() % 1500) * US);
        kill_hard(pids[cycle % 3]);
        if ((pids[cycle % 3] = fork()) == 0)
            quota_main(cycle);
    }
    for (int i = 0; i < 3; i++)
        kill_hard(pids[i]);
    sched_page_reap(page);
    struct sched_share_stat stat = stat_of("a");
    assert_int_equal(stat.used_bytes, 0);
    assert_true(stat.peak_bytes > QUOTA / 2 && stat.peak_bytes <= QUOTA);
    assert_true(stat.refused > 0);
}

/* Cost */

static void the_fast_path_is_fast(void **state)
{
    add_share("a", 1, 0);
    struct sched_client *client;
    assert_int_equal(sched_client_join(page, "a", &client, NULL), 0);
    assert_int_equal(sched_acquire(client), 0);
    const int n = 200000;
    uint64_t best_pair = UINT64_MAX, best_look = UINT64_MAX;
    for (int round = 0; round < 5; round++) {
        uint64_t t0 = clock_now_ns();
        for (int i = 0; i < n; i++) {
            if (!sched_begin(client))
                fail_msg("lost a turn that nobody wants");
            sched_end(client);
        }
        uint64_t t1 = clock_now_ns();
        for (int i = 0; i < n; i++)
            assert_false(sched_must_yield(client));
        uint64_t t2 = clock_now_ns();
        best_pair = MIN(best_pair, (t1 - t0) / (uint64_t)n);
        best_look = MIN(best_look, (t2 - t1) / (uint64_t)n);
    }
    print_message("begin and end: %llu ns, must_yield: %llu ns\n", (unsigned long long)best_pair, (unsigned long long)best_look);
    assert_true(best_pair < 1000);
    assert_true(best_look < 100);
    sched_client_leave(client);
}

int main(void)
{
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
#define PAGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        PAGE_TEST(page_is_private_and_adopted_with_its_totals),
        PAGE_TEST(unusable_files_are_replaced),
        PAGE_TEST(nonsense_inside_is_dropped_on_adoption),
        PAGE_TEST(every_slot_can_be_taken_and_given_back),
        PAGE_TEST(saturating_processes_share_by_weight),
        PAGE_TEST(a_process_that_waits_for_results_gets_its_half),
        PAGE_TEST(cap_holds_for_a_lone_process),
        PAGE_TEST(a_lone_or_idle_client_never_wakes),
        PAGE_TEST(waiting_costs_few_wakes),
        PAGE_TEST(cancel_ends_waits),
        PAGE_TEST(a_killed_holder_gives_everything_back),
        PAGE_TEST(a_turn_is_never_granted_to_the_dead),
        PAGE_TEST(waits_are_shown_while_they_last),
        PAGE_TEST(reaping_puts_spoiled_counts_right),
        PAGE_TEST(memory_of_the_dead_is_found_when_it_is_needed),
        PAGE_TEST(nobody_waits_for_ever_when_tenants_are_killed),
        PAGE_TEST(death_inside_the_lock_is_repaired),
        PAGE_TEST(lock_of_a_dead_owner_is_taken_over_and_repaired),
        PAGE_TEST(lock_of_a_dead_owner_is_inherited_with_the_seat),
        PAGE_TEST(processes_exclude_each_other),
        PAGE_TEST(a_stopped_holder_delays_others_by_its_patience),
        PAGE_TEST(a_stopped_owner_of_the_lock_loses_it),
        PAGE_TEST(quota_holds_while_clients_are_killed),
        PAGE_TEST(the_fast_path_is_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
