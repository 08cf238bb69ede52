/* SPDX-License-Identifier: Apache-2.0 */
/* Putting included files in their place: see include.h.
 *
 * A line `#include "x"` becomes the file's text between #line lines, so that conditions around it, guards inside it and the places in messages hold as
 * with a preprocessor's own work. What `#pragma once` means is said by a macro of our own. */
#include "guest/opencl/include.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FOLDERS 64
#define MAX_DEPTH 64
#define MAX_ONCE 256
#define MAX_BYTES (16u << 20)    /* of the whole; sources are some hundred KiB at most */

struct file { dev_t device; ino_t inode; };

struct expansion {
    char *folders[MAX_FOLDERS];
    unsigned folders_n, depth, once_n, included;
    struct file stack[MAX_DEPTH], once[MAX_ONCE];
    bool (*given)(const char *name, void *user);
    void *user;
    char *text;
    size_t length, size;
    bool failed;
};

static void add(struct expansion *x, const char *text, size_t n)
{
    if (x->length + n + 1 > x->size && !x->failed) {
        size_t size = (x->length + n + 1) * 2;
        char *more = size <= MAX_BYTES ? realloc(x->text, size) : NULL;
        x->failed = !more;
        x->text = more ? more : x->text;
        x->size = more ? size : x->size;
    }
    if (x->failed)
        return;
    memcpy(x->text + x->length, text, n);
    x->length += n;
    x->text[x->length] = '\0';
}

static void add_text(struct expansion *x, const char *text) { add(x, text, strlen(text)); }

/* ---- options ---- */

/* The next word of an option string into buf; false at the end. Quotes keep blanks together. */
static bool next_word(const char **at, char *buf, size_t size)
{
    const char *p = *at + strspn(*at, " \t\n");
    char quote = '\0';
    size_t n = 0;
    if (!*p)
        return false;
    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (quote ? *p == quote : *p == '"' || *p == '\'')
            quote = quote ? '\0' : *p;
        else if (n + 1 < size)
            buf[n++] = *p;
    }
    buf[n] = '\0';
    *at = p;
    return true;
}

static void read_folders(struct expansion *x, const char *options)
{
    char word[PATH_MAX];
    while (x->folders_n < MAX_FOLDERS && next_word(&options, word, sizeof word)) {
        const char *folder = word + 2;
        if (strncmp(word, "-I", 2) != 0)
            continue;
        if (!*folder) {
            if (!next_word(&options, word, sizeof word))
                return;
            folder = word;
        }
        if ((x->folders[x->folders_n] = strdup(folder)))
            x->folders_n++;
    }
}

/* ---- files ---- */

/* A regular file's text, with its identity. NULL when it is none, or too large. */
static char *read_file(const char *path, struct file *ret)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_BYTES)
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    size_t n = 0;
    for (ssize_t r = 1; text && r > 0 && n < (size_t)st.st_size; n += r > 0 ? (size_t)r : 0)
        r = read(fd, text + n, (size_t)st.st_size - n);
    if (text)
        text[n] = '\0';
    *ret = (struct file){ st.st_dev, st.st_ino };
    return text;
}

static char *find_file(const struct expansion *x, const char *name, bool quoted, const char *including, char path[PATH_MAX], struct file *ret)
{
    const char *slash = strrchr(including, '/');
    int beside = slash ? (int)(slash - including) + 1 : 0;
    char *text = NULL;
    if (*name == '/')
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? read_file(path, ret) : NULL;
    if (quoted && snprintf(path, PATH_MAX, "%.*s%s", beside, including, name) < PATH_MAX)
        text = read_file(path, ret);
    for (unsigned i = 0; !text && i < x->folders_n; i++)
        if (snprintf(path, PATH_MAX, "%s/%s", x->folders[i], name) < PATH_MAX)
            text = read_file(path, ret);
    return text;
}

static bool is_among(const struct file *files, unsigned n, const struct file *file)
{
    for (unsigned i = 0; i < n; i++)
        if (files[i].device == file->device && files[i].inode == file->inode)
            return true;
    return false;
}

/* The number of a file that may come once; a new one for a new file. -1 when there are too many. */
static int once_number(struct expansion *x, const struct file *file)
{
    for (unsigned i = 0; i < x->once_n; i++)
        if (is_among(&x->once[i], 1, file))
            return (int)i;
    if (x->once_n == MAX_ONCE)
        return -1;
    x->once[x->once_n] = *file;
    return (int)x->once_n++;
}

/* ---- text ---- */

/* `#word` at the start of a line, or NULL; else what follows the word. */
static const char *directive(const char *line, const char *word)
{
    size_t n = strlen(word);
    line += strspn(line, " \t");
    if (*line != '#')
        return NULL;
    line += 1 + strspn(line + 1, " \t");
    return strncmp(line, word, n) == 0 && !isalnum((unsigned char)line[n]) && line[n] != '_' ? line + n : NULL;
}

/* The name in `"name"` or `<name>`; false for macros and nonsense. */
static bool read_name(const char *rest, char *name, bool *ret_quoted)
{
    rest += strspn(rest, " \t");
    char end = *rest == '"' ? '"' : *rest == '<' ? '>' : '\0';
    size_t n = end ? strcspn(rest + 1, end == '"' ? "\"\n" : ">\n") : 0;
    if (!end || n == 0 || n >= PATH_MAX || rest[1 + n] != end)
        return false;
    memcpy(name, rest + 1, n);
    name[n] = '\0';
    *ret_quoted = end == '"';
    return true;
}

/* Whether a comment is open behind this line. Quotes hide the marks. */
static bool comment_after(const char *line, size_t n, bool open)
{
    char quote = '\0';
    for (size_t i = 0; i < n; i++) {
        if (open) {
            if (line[i] == '*' && i + 1 < n && line[i + 1] == '/') {
                open = false;
                i++;
            }
        } else if (quote) {
            if (line[i] == '\\')
                i++;
            else if (line[i] == quote)
                quote = '\0';
        } else if (line[i] == '"' || line[i] == '\'') {
            quote = line[i];
        } else if (line[i] == '/' && i + 1 < n && line[i + 1] == '/') {
            return false;
        } else if (line[i] == '/' && i + 1 < n && line[i + 1] == '*') {
            open = true;
            i++;
        }
    }
    return open;
}

static bool says_once(const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *rest = directive(line, "pragma");
        if (rest && strncmp(rest + strspn(rest, " \t"), "once", 4) == 0)
            return true;
    }
    return false;
}

static void add_place(struct expansion *x, unsigned long line, const char *name)
{
    char text[PATH_MAX + 48];
    snprintf(text, sizeof text, name[strcspn(name, "\"\\\n")] ? "#line %lu\n" : "#line %lu \"%s\"\n", line, name);
    add_text(x, text);
}

static void add_source(struct expansion *x, const char *text, const char *name);

static void add_file(struct expansion *x, const char *text, const char *path, const struct file *file)
{
    char guard[128];
    int once = says_once(text) ? once_number(x, file) : -1;
    if (is_among(x->stack, x->depth, file))
        return;    /* its own guards would leave it out */
    if (once >= 0) {
        snprintf(guard, sizeof guard, "#ifndef TRANCHE_INCLUDED_%d\n#define TRANCHE_INCLUDED_%d\n", once, once);
        add_text(x, guard);
    }
    x->stack[x->depth++] = *file;
    add_place(x, 1, path);
    add_source(x, text, path);
    add_text(x, once >= 0 ? "\n#endif\n" : "\n");
    x->depth--;
}

/* True when the line was an #include of a file that now stands in its place. */
static bool add_include(struct expansion *x, const char *line, const char *including)
{
    char name[PATH_MAX], path[PATH_MAX];
    bool quoted;
    struct file file;
    const char *rest = directive(line, "include");
    if (!rest || !read_name(rest, name, &quoted) || (x->given && x->given(name, x->user)) || x->depth == MAX_DEPTH)
        return false;
    _cleanup_free_ char *text = find_file(x, name, quoted, including, path, &file);
    if (!text)
        return false;
    x->included++;
    add_file(x, text, path, &file);
    return true;
}

static void add_source(struct expansion *x, const char *text, const char *name)
{
    bool comment = false;
    unsigned long number = 1;
    for (const char *line = text; *line && !x->failed; number++) {
        size_t n = strcspn(line, "\n");
        if (!comment && add_include(x, line, name))
            add_place(x, number + 1, *name ? name : "source");
        else
            add(x, line, n + (line[n] == '\n'));
        comment = comment_after(line, n, comment);
        line += n + (line[n] == '\n');
    }
}

char *include_expand(const char *source, const char *options, bool (*given)(const char *name, void *user), void *user)
{
    struct expansion x = { .given = given, .user = user };
    if (!source || !strstr(source, "include"))
        return NULL;
    read_folders(&x, options);
    add_source(&x, source, "");
    for (unsigned i = 0; i < x.folders_n; i++)
        free(x.folders[i]);
    if (!x.failed && x.included)
        return x.text;
    free(x.text);
    return NULL;
}
