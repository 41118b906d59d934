/* history_main.c -- tidings-history FILE: judges a recorded history. Exit 0 = nothing violated and
 * something was compared, 1 = violated (the rule and why in one line), 2 = not such a file. */
#include <errno.h>
#include <string.h>

#include "cluster-tests/history/history_file.h"

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: tidings-history FILE\n");
        return 2;
    }
    FILE *in = fopen(arguments[1], "r");
    if (in == NULL) {
        fprintf(stderr, "tidings-history: %s: %s\n", arguments[1], strerror(errno));
        return 2;
    }
    struct history *history = history_new();
    struct history_file_result result = history_file_read(history, in);
    const struct history_verdict *verdict = history_verdict(history);
    int code = 0;

    fclose(in);
    printf("acknowledged %llu shown %llu compared %llu\n", (unsigned long long)result.acknowledged,
           (unsigned long long)result.shown, (unsigned long long)history_compared(history));
    if (result.bad_line != 0) {
        printf("line %llu is not an event\n", (unsigned long long)result.bad_line);
        code = 2;
    } else if (verdict->rule != NULL) {
        printf("%s violated in line %llu: %s\n", verdict->rule,
               (unsigned long long)result.violated_line, verdict->text);
        code = 1;
    } else if (history_compared(history) == 0) {
        printf("nothing was compared\n");
        code = 1;
    }
    history_free(history);
    return code;
}
