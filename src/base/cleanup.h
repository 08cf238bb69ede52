/* SPDX-License-Identifier: Apache-2.0 */
/* Owning locals that release themselves, and steal() to hand one over. The few kinds stand here. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p) { free(*(void **)p); }
static inline void cleanup_close(int *fd) { if (*fd >= 0) close(*fd); }
static inline void cleanup_fclose(FILE **f) { if (*f) fclose(*f); }
static inline void cleanup_closedir(DIR **d) { if (*d) closedir(*d); }

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

#define steal(p) ({ __typeof__(p) stolen_ = (p); (p) = NULL; stolen_; })
#define steal_fd(fd) ({ int stolen_ = (fd); (fd) = -1; stolen_; })

#define ARRAY_LEN(a) (sizeof(a) / sizeof(*(a)))
#define MIN(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define MAX(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
