/*
 * Loaded before the C library into the dynamically linked binary, which stays as it is: changes what the clocks say, and makes a
 * helper rave. Only processes named "dockerloader" are touched. TROUBLE_FILE names a file that is read at each call, so that things
 * change while they run; a word of it each:
 *
 *   offset=SECONDS    the wall clock is that far off
 *   who=WORD          what follows is only for processes with this argument; "-" for those without any: the supervisor
 *   monotonic=fail    the monotonic clock fails, which no program expects: the standard library panics
 *   flood=1, close=1  at its start it writes to standard output without end, or closes it and then waits
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t count = read(file, text, size - 1);
    close(file);
    text[count > 0 ? count : 0] = 0;
    return count > 0 ? (int)count : 0;
}

static int is_for(const char *who)
{
    char line[4096];
    int length = read_file("/proc/self/cmdline", line, sizeof line), first = 1;
    for (char *word = line; word < line + length; word += strlen(word) + 1, first = 0)
        if (!first && (*who == '-' || strcmp(word, who) == 0))
            return *who != '-';
    return *who == '-';
}

/* The value of a word in the file, "" without it. */
static const char *trouble(const char *name, char *text, size_t size)
{
    const char *path = getenv("TROUBLE_FILE");
    const char *own = program_invocation_short_name;
    if (!path || !own || strcmp(own, "dockerloader") != 0 || !read_file(path, text, size))
        return "";
    char *rest = text, *word;
    while ((word = strsep(&rest, " \n"))) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = 0;
        if (strcmp(word, "who") == 0 && !is_for(value))
            return "";
        if (strcmp(word, name) == 0)
            return value;
    }
    return "";
}

static long offset(void)
{
    char text[256];
    return atol(trouble("offset", text, sizeof text));
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    char text[256];
    int saved = errno;
    if (clock == CLOCK_MONOTONIC && strcmp(trouble("monotonic", text, sizeof text), "fail") == 0) {
        errno = EINVAL;
        return -1;
    }
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        time->tv_sec += offset();
    if (result == 0)
        errno = saved;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

__attribute__((constructor)) static void begin(void)
{
    char text[256], noise[65536];
    if (*trouble("flood", text, sizeof text)) {
        memset(noise, 'x', sizeof noise);
        while (write(1, noise, sizeof noise) > 0)
            ;
    }
    if (*trouble("close", text, sizeof text)) {
        close(1);
        for (;;)
            pause();
    }
}
