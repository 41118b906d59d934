/* process.c -- see process.h. What cannot be read is left out. */
#include "node/daemon/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "node/http/exposition.h"

static void gauge(struct td_buffer *out, const char *name, const char *help, uint64_t value)
{
    td_expo_family(out, name, "gauge", help);
    td_expo_uint(out, name, NULL, value);
}

/* Open ones; the directory itself is one of them while we look. */
static uint64_t count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (directory == NULL) {
        return 0;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the directory */
}

struct stat_fields {
    unsigned long long user_ticks, system_ticks, threads, start_ticks, virtual_bytes,
        resident_pages;
};

/* Behind the name in parentheses, which may itself hold anything. */
static bool read_stat(struct stat_fields *ret_fields)
{
    char text[2048];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t count = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    text[count] = '\0';
    const char *rest = strrchr(text, ')');
    return rest != NULL && sscanf(rest + 1,
                                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d "
                                  "%*d %*d %llu %*d %llu "
                                  "%llu %llu",
                                  &ret_fields->user_ticks, &ret_fields->system_ticks,
                                  &ret_fields->threads, &ret_fields->start_ticks,
                                  &ret_fields->virtual_bytes, &ret_fields->resident_pages) == 6;
}

/* Start of the process on the wall clock: ticks after boot, and how long ago that is now. */
static int64_t started_ms(unsigned long long start_ticks, uint64_t ticks_a_second)
{
    struct timespec boot, wall;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t since_boot_ms = (int64_t)(start_ticks * 1000 / ticks_a_second);
    int64_t boot_ms = boot.tv_sec * 1000 + boot.tv_nsec / 1000000;
    return wall.tv_sec * 1000 + wall.tv_nsec / 1000000 - (boot_ms - since_boot_ms);
}

void td_process_write(struct td_buffer *out)
{
    struct stat_fields fields = {0};
    struct rlimit limit;
    uint64_t ticks_a_second = (uint64_t)sysconf(_SC_CLK_TCK);
    if (read_stat(&fields)) {
        uint64_t ticks = fields.user_ticks + fields.system_ticks;
        td_expo_family(out, "process_cpu_seconds_total", "counter",
                       "Processor time of user and system.");
        td_expo_ms(out, "process_cpu_seconds_total", NULL,
                   (int64_t)(ticks * 1000 / ticks_a_second));
        td_expo_family(out, "process_start_time_seconds", "gauge", "Start of the process.");
        td_expo_ms(out, "process_start_time_seconds", NULL,
                   started_ms(fields.start_ticks, ticks_a_second));
        gauge(out, "process_virtual_memory_bytes", "Virtual memory.", fields.virtual_bytes);
        gauge(out, "process_resident_memory_bytes", "Resident memory.",
              fields.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE));
        gauge(out, "process_threads", "Threads.", fields.threads);
    }
    gauge(out, "process_open_fds", "Open file descriptors.", count_fds());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        gauge(out, "process_max_fds", "Most file descriptors that may be open.", limit.rlim_cur);
    }
}
