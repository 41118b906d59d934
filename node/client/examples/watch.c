/* watch.c -- follows all changes below a prefix until interrupted, and says when the answer may be
 * old. example_watch [PREFIX] [NODES] */
#include <signal.h>
#include <stdio.h>
#include <tidings.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* Ids come from other machines: print only what cannot act on a terminal. */
static void print_safe(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        putchar(c >= 0x20 && c < 0x7f ? c : '?');
    }
}

static bool on_event(void *self, const struct tidings_watch_at *at)
{
    (void)self;
    if (at->event == TIDINGS_WATCH_UPDATE) {
        print_safe(at->status->job);
        printf(" attempt %u: %s, from ", (unsigned)at->status->attempt,
               tidings_state_name(at->status->state));
        print_safe(at->status->origin);
        putchar('\n');
    } else if (at->event == TIDINGS_WATCH_RESET) {
        printf("-- resumed; some changes may have been merged away\n");
    } else if (!at->freshness->certain) {
        printf("-- cannot be sure: ");
        print_safe(at->freshness->deciding_region);
        printf(" has not been heard in full lately\n");
    }
    fflush(stdout);
    return !interrupted;
}

int main(int argc, char **argv)
{
    char why[256];
    tidings *handle = NULL;
    struct tidings_options options = {.nodes = argc > 2 ? argv[2] : NULL};
    struct tidings_watch_options watch = {.filter = {.prefix = argc > 1 ? argv[1] : NULL}};

    signal(SIGINT, on_signal);
    if (tidings_open(&options, &handle, why, sizeof why) != TIDINGS_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    int err = tidings_watch(handle, &watch, on_event, NULL);
    if (err != TIDINGS_OK) {
        fprintf(stderr, "%s; %s\n", tidings_err_text(err), tidings_err_hint(err));
    }
    tidings_close(handle);
    return err == TIDINGS_OK ? 0 : 1;
}
