/* publish.c -- the smallest use: report one state and say where it is stored.
 *   example_publish JOB STATE [NODES] */
#include <stdio.h>
#include <tidings.h>

int main(int argc, char **argv)
{
    char why[256];
    tidings *handle = NULL;
    struct tidings_options options = {.nodes = argc > 3 ? argv[3] : NULL, .writer = "example"};
    struct tidings_update update = {.job = argc > 1 ? argv[1] : "demo/1"};
    struct tidings_result result = {0};

    int err = tidings_state_parse(argc > 2 ? argv[2] : "running", &update.state);
    if (err != TIDINGS_OK) {
        fprintf(stderr, "%s\n", tidings_err_text(err));
        return 2;
    }
    err = tidings_open(&options, &handle, why, sizeof why);
    if (err != TIDINGS_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    err = tidings_publish(handle, &update, &result);
    if (err == TIDINGS_OK) {
        printf("%s attempt %u stored%s\n", update.job, (unsigned)result.attempt,
               result.noop ? " (no change)" : "");
    } else {
        fprintf(stderr, "TD-E%04d %s; %s\n", err, tidings_err_text(err), tidings_err_hint(err));
    }
    tidings_close(handle);
    return err == TIDINGS_OK ? 0 : 1;
}
