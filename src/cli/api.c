/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to tranched over its unix socket: see api.h. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

/* A list of every share and event is far below this; more is not tranched speaking. */
#define API_WAIT_PAUSE_US 500000    /* between two looks at whether a GPU is free */
#define MAX_ANSWER_BYTES (64u << 20)

#define QUIET_S 2   /* answers come in milliseconds; only where the machine is asked again it takes longer */

struct api {
    CURL *curl;
    struct curl_slist *headers;
    char socket[PATH_MAX];
    uint64_t started_ns;    /* the request in flight */
    uint64_t said_s;        /* seconds of waiting that were last shown, 0 for none */
};

struct answer {
    char *data;
    size_t used, size;
};

static void cleanup_answer(struct answer *a) { free(a->data); }

static size_t receive(char *data, size_t one, size_t n, void *userdata)
{
    struct answer *a = userdata;
    if (n > MAX_ANSWER_BYTES - a->used)
        return 0;
    if (a->used + n > a->size) {
        size_t size = MAX(a->size * 2, a->used + n + 4096);
        char *grown = realloc(a->data, size);
        if (!grown)
            return 0;
        a->data = grown;
        a->size = size;
    }
    memcpy(a->data + a->used, data, n);
    a->used += n;
    return n;
}

static int open_api(struct cli *cli, struct error *err)
{
    if (cli->api)
        return 0;
    struct api *api = calloc(1, sizeof *api);
    if (!api || curl_global_init(CURL_GLOBAL_NOTHING) != 0 || !(api->curl = curl_easy_init())
        || !(api->headers = curl_slist_append(NULL, "Content-Type: application/json"))) {
        api_free(api);
        return error_set(err, -ENOMEM, "start the HTTP client: out of memory");
    }
    curl_slist_append(api->headers, "Expect:");   /* a "100-continue" pause helps nobody on a local socket */
    cli->api = api;
    if (text_format(api->socket, sizeof api->socket, "%s/control.sock", cli->run_dir) < 0
        || strlen(api->socket) >= sizeof ((struct sockaddr_un *)0)->sun_path) {
        error_set(err, -ENAMETOOLONG, "the path of a socket has at most %zu characters: %.200s/control.sock",
                  sizeof ((struct sockaddr_un *)0)->sun_path - 1, cli->run_dir);
        error_hint(err, "give tranched and tranche a --run-dir with a shorter name");
        return -ENAMETOOLONG;
    }
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    if (api->curl)
        curl_easy_cleanup(api->curl);
    curl_slist_free_all(api->headers);
    free(api);
}

static int timeout_s(const struct cli *cli)
{
    return cli->api_timeout_s ? cli->api_timeout_s : API_TIMEOUT_S;
}

/* Says on a terminal that it waits, where nothing else is said there. */
static int while_waiting(void *userdata, curl_off_t want_down, curl_off_t down, curl_off_t want_up, curl_off_t up)
{
    struct api *api = userdata;
    uint64_t waited_s = (clock_now_ns() - api->started_ns) / NS_PER_S;
    if (waited_s < QUIET_S || waited_s == api->said_s || (!api->said_s && print_progress_is_shown()))
        return 0;
    print_progress("waiting for tranched… %llu s", (unsigned long long)waited_s);
    api->said_s = waited_s;
    return 0;
}

static void prepare(struct cli *cli, const char *method, const char *url, const char *body, struct answer *answer)
{
    CURL *c = cli->api->curl;
    curl_easy_reset(c);   /* keeps the connection */
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, cli->api->socket);
    curl_easy_setopt(c, CURLOPT_PROXY, "");   /* http_proxy is not meant for this */
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)timeout_s(cli));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, while_waiting);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, cli->api);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    if (body) {
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, cli->api->headers);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    }
}

static int not_connected(struct cli *cli, struct error *err)
{
    const char *socket = cli->api->socket;
    long os_error = 0;
    curl_easy_getinfo(cli->api->curl, CURLINFO_OS_ERRNO, &os_error);
    switch (os_error) {
    case EACCES: case EPERM:
        error_set(err, -EACCES, "connect to %s: %s", socket, strerror((int)os_error));
        error_hint(err, "this tranched belongs to another user; ask as that user or root, or give --run-dir");
        return -EACCES;
    case ENOENT: case ENOTDIR:
        error_set(err, -ENOTCONN, "connect to tranched: there is no %s", socket);
        break;
    case ECONNREFUSED:
        error_set(err, -ENOTCONN, "connect to tranched: nobody serves %s any more", socket);
        break;
    default:
        error_set(err, -ENOTCONN, "connect to tranched: %s: %s", socket, os_error ? strerror((int)os_error) : "no connection");
    }
    error_hint(err, "start tranched, or give --run-dir");
    return -ENOTCONN;
}

/* What curl says, as what it means here. */
static int transfer_failed(struct cli *cli, CURLcode code, const struct answer *answer, struct error *err)
{
    const char *socket = cli->api->socket;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return not_connected(cli, err);
    case CURLE_OPERATION_TIMEDOUT:
        error_set(err, -ETIMEDOUT, "tranched on %s did not answer within %d s", socket, timeout_s(cli));
        error_hint(err, "see its log; is it stopped?");
        return -ETIMEDOUT;
    case CURLE_GOT_NOTHING: case CURLE_PARTIAL_FILE: case CURLE_RECV_ERROR: case CURLE_SEND_ERROR:
        error_set(err, -EPROTO, "tranched on %s broke off its answer after %zu bytes", socket, answer->used);
        error_hint(err, "see its log; it may have ended: tranche status");
        return -EPROTO;
    default:
        error_set(err, -EPROTO, "what serves %s does not speak like tranched: %s", socket, curl_easy_strerror(code));
        error_hint(err, "see which process serves it, or give --run-dir");
        return -EPROTO;
    }
}

static int bad_answer(struct error *err, long status, const char *why)
{
    error_set(err, -EPROTO, "the answer of tranched (status %ld) makes no sense: %s", status, why);
    error_hint(err, "are tranche and tranched of the same version? compare tranche version and tranche status");
    return -EPROTO;
}

/* The exit code decides where the daemon names one, the status where it does not. */
static int errno_of_answer(long status, json_int_t exit_code)
{
    switch (exit_code) {
    case EXIT_FAILED: return -EIO;
    case EXIT_USAGE: return status == 404 ? -ENOENT : -EINVAL;
    case EXIT_REFUSED: return status == 423 ? -ETXTBSY : -EBUSY;
    case EXIT_NOT_SUPPORTED: return -EOPNOTSUPP;
    }
    switch (status) {
    case 400: return -EINVAL;
    case 403: return -EPERM;
    case 404: return -ENOENT;
    case 409: return -EBUSY;
    case 501: return -EOPNOTSUPP;
    default: return -EIO;
    }
}

static int error_answer(long status, json_t *answer, struct error *err)
{
    const char *text = api_text(answer, "error"), *hint = api_text(answer, "hint");
    if (!*text)
        return bad_answer(err, status, "an error without explanation");
    int code = errno_of_answer(status, json_integer_value(json_object_get(answer, "code")));
    error_set(err, code, "%s", text);
    if (*hint)
        error_hint(err, "%s", hint);
    return code;
}

static int decode(long status, const struct answer *answer, json_t **ret, struct error *err)
{
    json_error_t je;
    _cleanup_json_ json_t *j = json_loadb(answer->data ? answer->data : "", answer->used, JSON_REJECT_DUPLICATES, &je);
    if (!j)
        return bad_answer(err, status, je.text);
    if (!json_is_object(j))
        return bad_answer(err, status, "not a JSON object");
    if (status < 200 || status > 299)
        return error_answer(status, j, err);
    if (ret)
        *ret = steal(j);
    return 0;
}

int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret, struct error *err)
{
    _cleanup_(cleanup_answer) struct answer answer = { 0 };
    _cleanup_free_ char *text = NULL;
    char url[1024];
    int r = open_api(cli, err);
    if (r < 0)
        return r;
    if (text_format(url, sizeof url, "http://tranched%s", path) < 0)
        return error_set(err, -ENAMETOOLONG, "request path too long: %.80s…", path);
    if (body && !(text = json_dumps(body, JSON_COMPACT)))
        return error_set(err, -ENOMEM, "encode the request: out of memory");
    prepare(cli, method, url, text, &answer);
    cli->api->started_ns = clock_now_ns();
    CURLcode code = curl_easy_perform(cli->api->curl);
    if (cli->api->said_s)
        print_progress_clear();
    cli->api->said_s = 0;
    if (code != CURLE_OK)
        return transfer_failed(cli, code, &answer, err);
    long status = 0;
    curl_easy_getinfo(cli->api->curl, CURLINFO_RESPONSE_CODE, &status);
    return decode(status, &answer, ret, err);
}

int api_call_waiting(struct cli *cli, const char *method, const char *path, json_t *body, uint64_t wait_ns, json_t **ret, struct error *err)
{
    uint64_t end = clock_now_ns() + wait_ns;
    char said[sizeof err->text] = "";
    for (;;) {
        struct error now = { 0 };
        int r = api_call(cli, method, path, body, ret, &now);
        if (r != -ETXTBSY || clock_now_ns() >= end) {
            *err = now;
            return r;
        }
        if (strcmp(said, now.text) != 0)
            fprintf(stderr, "waiting: %s\n", now.text);
        strcpy(said, now.text);
        usleep(API_WAIT_PAUSE_US);
    }
}

int api_get_share(struct cli *cli, const char *name, json_t **ret, struct error *err)
{
    char path[128];
    int r = text_check_name(name, err);
    if (r < 0)
        return r;
    text_format(path, sizeof path, "/v1/shares/%s", name);
    return api_call(cli, "GET", path, NULL, ret, err);
}

int api_get_array(json_t *answer, const char *key, json_t **ret, struct error *err)
{
    json_t *array = json_object_get(answer, key);
    if (!json_is_array(array)) {
        char why[80];
        text_format(why, sizeof why, "no list of %s in it", key);
        return bad_answer(err, 200, why);
    }
    *ret = array;
    return 0;
}

const char *api_text(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

uint64_t api_u64(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    if (json_is_real(v))
        return json_real_value(v) >= 1 && json_real_value(v) < 0x1p63 ? (uint64_t)json_real_value(v) : 0;
    return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

bool api_bool(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
