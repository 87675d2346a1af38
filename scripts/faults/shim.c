/* Counts the file operations of this process below one folder, and makes the n-th one go wrong.

   Loaded with LD_PRELOAD. Python arms it by `faults_arm` in a process of its own; before that it only passes on. It sees
   what audit hooks of Python do not: the writes of C and C++ libraries, and every single write of an open file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TORN, FULL_ONCE, FULL_FROM };

static char folder[4096];
static size_t folder_length;
static int mode, note = -1;
static long target;
static atomic_long counter;
static __thread int busy;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

void faults_arm(const char *path, int what, long n, int note_fd) {
    strncpy(folder, path, sizeof folder - 1);
    folder_length = strlen(folder);
    mode = what;
    target = n;
    note = note_fd;
    atomic_store(&counter, 0);
}

long faults_count(void) { return atomic_load(&counter); }

static ssize_t raw_write(int fd, const void *data, size_t size) {
    REAL(write);
    return real(fd, data, size);
}

static int inside(const char *path) {
    return path && folder_length && !strncmp(path, folder, folder_length) &&
           (path[folder_length] == '/' || !path[folder_length]);
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, size - 1);
    if (length < 0) return NULL;
    buffer[length] = 0;
    return buffer;
}

/* 0: go on. 1: fail with ENOSPC. 2: do half of the write, then die. Does not return where the process is killed. */
static int before(const char *what, const char *path, int takes_space) {
    if (!folder_length || busy || !inside(path)) return 0;
    busy = 1;
    int result = 0;
    long now = atomic_fetch_add(&counter, 1) + 1;
    char line[4400];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", now, what, path + folder_length);
    if (note >= 0 && (mode == COUNT || now == target)) raw_write(note, line, (size_t)length);
    if (now == target && mode == KILL) kill(getpid(), SIGKILL), pause();
    if (now == target && mode == TORN) {
        if (strcmp(what, "write")) kill(getpid(), SIGKILL), pause();
        result = 2;
    }
    if (takes_space && ((now == target && mode == FULL_ONCE) || (now >= target && mode == FULL_FROM))) result = 1;
    busy = 0;
    return result;
}

#define FAIL do { errno = ENOSPC; return -1; } while (0)

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

static const char *at(int dir, const char *path, char *buffer, size_t size) {
    char base[4096];
    if (!path || path[0] == '/' || dir == AT_FDCWD) return path;
    if (!path_of(dir, base, sizeof base)) return path;
    snprintf(buffer, size, "%s/%s", base, path);
    return buffer;
}

#define OPENER(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list list; va_start(list, flags); mode_t bits = va_arg(list, int); va_end(list); \
        if (writes(flags) && before("open", path, 1)) FAIL; \
        return real(path, flags, bits); \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); \
        char buffer[8300]; \
        va_list list; va_start(list, flags); mode_t bits = va_arg(list, int); va_end(list); \
        if (writes(flags) && before("open", at(dir, path, buffer, sizeof buffer), 1)) FAIL; \
        return real(dir, path, flags, bits); \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

#define FOPENER(name) \
    FILE *name(const char *path, const char *how) { \
        REAL(name); \
        if (strpbrk(how, "wa+") && before("open", path, 1)) { errno = ENOSPC; return NULL; } \
        return real(path, how); \
    }
FOPENER(fopen)
FOPENER(fopen64)

/* the writes of a FILE stay inside the C library: its end is the moment that counts */
int fclose(FILE *file) {
    REAL(fclose);
    char buffer[4096];
    int flags = folder_length ? fcntl(fileno(file), F_GETFL) : 0;
    if (folder_length && (flags & O_ACCMODE) != O_RDONLY && before("close", path_of(fileno(file), buffer, sizeof buffer), 1)) {
        real(file);
        errno = ENOSPC;
        return EOF;
    }
    return real(file);
}

#define WRITER(name, parameters, half, whole) \
    ssize_t name parameters { \
        REAL(name); \
        char buffer[4096]; \
        switch (folder_length && fd > 2 ? before("write", path_of(fd, buffer, sizeof buffer), 1) : 0) { \
        case 1: FAIL; \
        case 2: half; kill(getpid(), SIGKILL); pause(); \
        } \
        return whole; \
    }
WRITER(write, (int fd, const void *data, size_t size), real(fd, data, size / 2), real(fd, data, size))
WRITER(pwrite, (int fd, const void *data, size_t size, off_t from), real(fd, data, size / 2, from), real(fd, data, size, from))
WRITER(pwrite64, (int fd, const void *data, size_t size, off64_t from), real(fd, data, size / 2, from), real(fd, data, size, from))
WRITER(writev, (int fd, const struct iovec *parts, int count), real(fd, parts, count / 2), real(fd, parts, count))

#define TWO(name) \
    int name(const char *from, const char *to) { \
        REAL(name); \
        if (before(#name, to, 0)) FAIL; \
        return real(from, to); \
    }
TWO(rename)
TWO(link)
TWO(symlink)

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    REAL(renameat);
    char buffer[8300];
    before("rename", at(to_dir, to, buffer, sizeof buffer), 0);
    return real(from_dir, from, to_dir, to);
}

#define ONE(name) \
    int name(const char *path) { \
        REAL(name); \
        before(#name, path, 0); \
        return real(path); \
    }
ONE(unlink)
ONE(rmdir)
ONE(remove)

int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    char buffer[8300];
    before("unlink", at(dir, path, buffer, sizeof buffer), 0);
    return real(dir, path, flags);
}

int mkdir(const char *path, mode_t bits) {
    REAL(mkdir);
    if (before("mkdir", path, 1)) FAIL;
    return real(path, bits);
}

int mkdirat(int dir, const char *path, mode_t bits) {
    REAL(mkdirat);
    char buffer[8300];
    if (before("mkdir", at(dir, path, buffer, sizeof buffer), 1)) FAIL;
    return real(dir, path, bits);
}

#define TRUNCATER(name, type) \
    int name(int fd, type size) { \
        REAL(name); \
        char buffer[4096]; \
        if (folder_length && before("truncate", path_of(fd, buffer, sizeof buffer), 1)) FAIL; \
        return real(fd, size); \
    }
TRUNCATER(ftruncate, off_t)
TRUNCATER(ftruncate64, off64_t)

int truncate(const char *path, off_t size) {
    REAL(truncate);
    if (before("truncate", path, 1)) FAIL;
    return real(path, size);
}

#define SYNCER(name) \
    int name(int fd) { \
        REAL(name); \
        char buffer[4096]; \
        if (folder_length && before("sync", path_of(fd, buffer, sizeof buffer), 1)) FAIL; \
        return real(fd); \
    }
SYNCER(fsync)
SYNCER(fdatasync)
