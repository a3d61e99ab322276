/* Preloaded into the controller and what it starts, to do what no user of a machine can do to one process:
 *  - set its clock: the time of day is moved by as many nanoseconds as the control file says;
 *  - kill it in the middle of a write of the store: half of the bytes are written, then it gets SIGKILL.
 * The control file is named by the variable CHAOS_FAULTS and holds a `struct control`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int64_t clock_ns;
    volatile int32_t writes_to_live; /* of the store, from now on; 0: all */
};

static struct control *control;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    const char *path = getenv("CHAOS_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int64_t moved(void) { return control ? control->clock_ns : 0; }

int clock_gettime(clockid_t clock, struct timespec *found) {
    int code = real_clock_gettime(clock, found);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t at = (int64_t)found->tv_sec * 1000000000 + found->tv_nsec + moved();
        found->tv_sec = at / 1000000000;
        found->tv_nsec = at % 1000000000;
    }
    return code;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}

static int is_store(int file) {
    char link[64], path[4096];
    strcpy(link, "/proc/self/fd/");
    char *end = link + strlen(link), digits[16];
    int count = 0;
    do
        digits[count++] = '0' + file % 10;
    while ((file /= 10) > 0);
    while (count)
        *end++ = digits[--count];
    *end = 0;
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strstr(path, "/tidegate.db") != NULL;
}

static ssize_t write_of_store(int file, const void *bytes, size_t count, off_t at) {
    if (control && control->writes_to_live > 0 && is_store(file) &&
        __atomic_sub_fetch(&control->writes_to_live, 1, __ATOMIC_SEQ_CST) == 0) {
        real_pwrite(file, bytes, count / 2, at);
        kill(getpid(), SIGKILL);
    }
    return real_pwrite(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t at) { return write_of_store(file, bytes, count, at); }

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return write_of_store(file, bytes, count, at); }
