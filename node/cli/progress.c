/* progress.c -- the progress line. */
#include "node/cli/progress.h"

enum { SHOW_EVERY_US = 200000 };

void td_progress_init(struct td_progress *self, const struct td_cli *cli, const char *what,
                      uint64_t total)
{
    *self = (struct td_progress){
        .on = cli->progress, .what = what, .start_us = td_cli_mono_us(), .total = total};
}

void td_progress_show(struct td_progress *self, uint64_t done)
{
    if (!self->on) {
        return;
    }
    uint64_t now_us = td_cli_mono_us();
    if (now_us - self->shown_us < SHOW_EVERY_US) {
        return;
    }
    self->shown_us = now_us;
    double seconds = (double)(now_us - self->start_us) / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    fprintf(stderr, "\r\033[K%llu %s, %.0f/s", (unsigned long long)done, self->what, rate);
    if (self->total > 0 && done > 0 && done <= self->total) {
        double left_s = (double)(self->total - done) / rate;
        fprintf(stderr, ", %u %%, %s left", (unsigned)(done * 100 / self->total),
                td_cli_duration((uint64_t)(left_s * 1000)));
    }
    fflush(stderr);
}

void td_progress_end(struct td_progress *self)
{
    if (self->on && self->shown_us != 0) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
