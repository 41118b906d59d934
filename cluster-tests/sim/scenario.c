/* scenario.c -- scenario files: each runs in a world of its own; its trace is compared with the one
 * below its dashes, or put there. */
#include "cluster-tests/sim/scenario.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char dashes[] = "----\n";

struct file {
    const char *path;
    char *text;     /* all of it */
    char *expected; /* behind the dashes; NULL = no dashes */
    size_t head_bytes;
};

bool sim_scenario_why(struct sim_scenario *scenario, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(scenario->why, sizeof scenario->why, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- words ---- */
const char *sim_word_of(const struct sim_words *words, const char *name)
{
    size_t count = strlen(name);

    for (uint32_t i = 0; i < words->count; i++) {
        if (strncmp(words->word[i], name, count) == 0 && words->word[i][count] == '=') {
            return words->word[i] + count + 1;
        }
    }
    return NULL;
}

bool sim_word_is(const struct sim_words *words, const char *word)
{
    for (uint32_t i = 0; i < words->count; i++) {
        if (strcmp(words->word[i], word) == 0) {
            return true;
        }
    }
    return false;
}

bool sim_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end = NULL;
    long long value = text == NULL ? 0 : strtoll(text, &end, 10);

    for (size_t i = 0; text != NULL && end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ret_ms = value * units[i].ms;
            return true;
        }
    }
    return false;
}

int sim_node_named(const struct sim_scenario *scenario, const char *text)
{
    const struct sim_world *world = scenario->world;
    char *end = NULL;
    long number = text == NULL || world == NULL ? 0 : strtol(text, &end, 10);

    if (number < 1 || number > world->node_count) {
        return SIM_NONE;
    }
    if (strcmp(end, "'") == 0) {
        const struct sim_node *clone = &world->nodes[world->node_count];
        return clone->used && clone->region.v == number ? world->node_count : SIM_NONE;
    }
    return *end == '\0' ? (int)number - 1 : SIM_NONE;
}

/* ---- running ---- */
static bool run_line(struct sim_scenario *scenario, char *line)
{
    struct sim_words words = {.count = 0};
    char *rest = line, *word;

    line[strcspn(line, "#")] = '\0';
    while ((word = strsep(&rest, " \t")) != NULL) {
        if (*word == '\0') {
            continue;
        }
        if (words.count == SIM_WORDS_MAX) {
            return sim_scenario_why(scenario, "too many words");
        }
        words.word[words.count++] = word;
    }
    return words.count == 0 || sim_scenario_do(scenario, &words);
}

static bool end_checks(struct sim_scenario *scenario)
{
    struct sim_world *world = scenario->world;

    for (int i = 0; world != NULL && i < SIM_NODES_MAX && !world->failed; i++) {
        if (world->nodes[i].up) {
            sim_check_i1(world, i);
            sim_check_i8(world, i);
        }
    }
    if (world != NULL && world->failed) {
        return sim_scenario_why(scenario, "VIOLATED %s: %s", world->failed_checker, world->failure);
    }
    return world != NULL || sim_scenario_why(scenario, "no command `nodes`");
}

/* False: *ret_line and why say where it went wrong. The trace so far is there all the same. */
static bool run_commands(struct sim_scenario *scenario, const struct file *file, int *ret_line)
{
    char *commands = strndup(file->text, file->head_bytes);
    char *rest = commands, *line;
    bool good = true;

    TD_ASSERT(commands != NULL);
    *ret_line = 0;
    while (good && (line = strsep(&rest, "\n")) != NULL) {
        ++*ret_line;
        good = run_line(scenario, line);
        if (scenario->world != NULL && scenario->world->failed) {
            good = false;
        }
    }
    if (good || (scenario->world != NULL && scenario->world->failed)) {
        good = end_checks(scenario);
    }
    free(commands);
    return good;
}

/* ---- comparing ---- */
static void show_difference(const char *expected, const char *got)
{
    int line = 1;

    while (*expected != '\0' && *got != '\0') {
        size_t a = strcspn(expected, "\n"), b = strcspn(got, "\n");
        if (a != b || memcmp(expected, got, a) != 0) {
            break;
        }
        expected += a + (expected[a] == '\n');
        got += b + (got[b] == '\n');
        line++;
    }
    printf("  line %d of the trace: expected\n    %.*s\n  got\n    %.*s\n", line,
           (int)strcspn(expected, "\n"), expected, (int)strcspn(got, "\n"), got);
}

static bool put_back(const struct file *file, const char *trace)
{
    FILE *out = fopen(file->path, "w");
    bool good = out != NULL;

    if (good) {
        good = fwrite(file->text, 1, file->head_bytes, out) == file->head_bytes;
        good = fputs(dashes, out) >= 0 && good;
        good = fputs(trace, out) >= 0 && good;
        good = fclose(out) == 0 && good;
    }
    if (!good) {
        perror(file->path);
    }
    return good;
}

static bool judge(const struct file *file, const struct sim_scenario *scenario, bool ran, int line,
                  const char *trace, bool rewrite)
{
    if (!ran) {
        printf("%s:%d: %s\n", file->path, line, scenario->why);
        printf("%s", trace);
        return false;
    }
    if (file->expected != NULL && strcmp(file->expected, trace) == 0) {
        printf("%s: ok\n", file->path);
        return true;
    }
    if (rewrite) {
        printf("%s: rewritten; look at the difference before you keep it\n", file->path);
        return put_back(file, trace);
    }
    printf("%s: the trace differs\n", file->path);
    show_difference(file->expected == NULL ? "" : file->expected, trace);
    return false;
}

static bool run_file(const struct file *file, bool rewrite, bool aloud)
{
    struct sim_scenario scenario = {.world = NULL};
    char *trace = NULL;
    size_t trace_bytes = 0;
    int line = 0;

    scenario.story = calloc(1, sizeof *scenario.story);
    TD_ASSERT(scenario.story != NULL);
    scenario.story->scenario = &scenario;
    scenario.story->aloud = aloud;
    scenario.story->out = open_memstream(&trace, &trace_bytes);
    TD_ASSERT(scenario.story->out != NULL);
    bool ran = run_commands(&scenario, file, &line);
    fclose(scenario.story->out);
    bool good = judge(file, &scenario, ran, line, trace, rewrite);
    if (scenario.world != NULL) {
        scenario.world->story = NULL;
        sim_world_free(scenario.world);
    }
    for (uint32_t i = 0; i < scenario.client_count; i++) {
        free(scenario.clients[i]);
    }
    sim_story_free(scenario.story);
    free(trace);
    return good;
}

/* ---- files ---- */
static bool load(struct file *file)
{
    FILE *in = fopen(file->path, "r");
    size_t room = 0;

    if (in == NULL || getdelim(&file->text, &room, '\0', in) < 0) {
        perror(file->path);
        if (in != NULL) {
            fclose(in);
        }
        return false;
    }
    fclose(in);
    char *found = strncmp(file->text, dashes, strlen(dashes)) == 0 ? file->text : NULL;
    char *after = strstr(file->text, "\n----\n");
    found = found != NULL || after == NULL ? found : after + 1;
    file->expected = found == NULL ? NULL : found + strlen(dashes);
    file->head_bytes = found == NULL ? strlen(file->text) : (size_t)(found - file->text);
    return true;
}

/* In a child: an assertion that fails in one scenario does not hide the others. */
static bool run_in_child(const struct file *file, bool rewrite, bool aloud)
{
    int status = 0;

    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return false;
    }
    if (pid == 0) {
        bool good = run_file(file, rewrite, aloud);
        exit(good ? 0 : 1);
    }
    while (waitpid(pid, &status, 0) < 0) {
    }
    if (!WIFEXITED(status)) {
        printf("%s: the process died, status %d\n", file->path, status);
    }
    return status == 0;
}

int sim_scenarios_run(const char *const *paths, size_t count, bool rewrite, bool aloud)
{
    size_t failed = 0;

    for (size_t i = 0; i < count; i++) {
        struct file file = {.path = paths[i]};
        if (!load(&file) || !run_in_child(&file, rewrite, aloud)) {
            failed++;
        }
        free(file.text);
    }
    printf("%zu scenarios, %zu failed\n", count, failed);
    return failed == 0 && count > 0 ? 0 : 1;
}
