/* SPDX-License-Identifier: Apache-2.0 */
/* tranche-priv: does with root's rights what tranched asks for, from a fixed list. Started by tranched when that runs as root, by systemd
 * (socket activation) otherwise. See serve.h. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "priv/serve.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#define DEFAULT_DEADLINE_NS (30 * NS_PER_S)

static void print_help(void)
{
    puts("Usage: tranche-priv [OPTION]...\nCarries out tranched's operations that need root. Started by tranched or by systemd, not by hand.\n\n"
         "  --fd N             serve the connected socket N\n"
         "  --user NAME        who may ask beside root, on a socket from systemd\n"
         "  --device ADDRESS   a PCI function that may be handed over although it is no GPU; may be given several times\n"
         "  --deadline TIME    how long an operation may take in the kernel (default 30s)\n"
         "  --help, --version\n\n"
         "Exit codes: 0 the peer left, 1 failed, 2 usage.");
}

static int set_user(const char *name, uid_t *ret, struct error *err)
{
    const struct passwd *user = getpwnam(name);
    if (!user)
        return error_set(err, -EINVAL, "there is no user '%s'", name);
    *ret = user->pw_uid;
    return 0;
}

static int add_device(const char *text, struct allow *allow, struct error *err)
{
    if (allow->named_n == ALLOW_MAX_NAMED)
        return error_set(err, -EINVAL, "more than %d devices", ALLOW_MAX_NAMED);
    if (!pci_parse_address(text, allow->named[allow->named_n]))
        return error_set(err, -EINVAL, "'%s' is no PCI address such as 0000:01:00.0", text);
    allow->named_n++;
    return 0;
}

struct start { int fd; bool help, version; };

static int parse_options(int argc, char **argv, struct priv *priv, struct start *start, struct error *err)
{
    static const struct option longs[] = {
        { "fd", 1, NULL, 'f' }, { "user", 1, NULL, 'u' }, { "device", 1, NULL, 'd' }, { "deadline", 1, NULL, 't' },
        { "help", 0, NULL, 'h' }, { "version", 0, NULL, 'v' }, { 0 },
    };
    uint64_t n;
    int r = 0;
    for (int c; r == 0 && (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'f':
            r = text_parse_u64(optarg, "descriptor", 3, 1023, &n, err);
            start->fd = r == 0 ? (int)n : -1;
            break;
        case 'u': r = set_user(optarg, &priv->user, err); break;
        case 'd': r = add_device(optarg, &priv->allow, err); break;
        case 't': r = text_parse_duration(optarg, &priv->deadline_ns, err); break;
        case 'h': start->help = true; break;
        case 'v': start->version = true; break;
        default: r = error_set(err, -EINVAL, "tranche-priv --help lists the options"); break;
        }
    }
    if (r == 0 && optind < argc)
        r = error_set(err, -EINVAL, "unknown argument '%.80s'", argv[optind]);
    return r;
}

static int serve(const struct priv *priv, int fd, struct error *err)
{
    if (fd >= 0)
        return serve_peer(priv, fd, err);
    if (sd_listen_fds(1) == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
        return serve_listen(priv, SD_LISTEN_FDS_START, err);
    error_set(err, -EINVAL, "no socket to serve");
    error_hint(err, "tranched and systemd start it with one");
    return -EINVAL;
}

int main(int argc, char **argv)
{
    struct priv priv = { .roots = { "", "/sys", "/proc" }, .deadline_ns = DEFAULT_DEADLINE_NS, .user = (uid_t)-1 };
    struct start start = { .fd = -1 };
    struct error err = { 0 };
    log_init("tranche-priv", LOG_LEVEL_INFO);
    umask(077);
    int r = parse_options(argc, argv, &priv, &start, &err);
    if (r == 0 && start.help)
        print_help();
    else if (r == 0 && start.version)
        puts("tranche-priv " TRANCHE_VERSION);
    else if (r == 0)
        r = serve(&priv, start.fd, &err);
    if (r == 0)
        return EXIT_DONE;
    log_error("%s%s%s", err.text, err.hint[0] ? "; " : "", err.hint);
    return error_exit_code(err.code);
}
