/* main.c -- the command line of tidingsd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/daemon/init.h"
#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "node/daemon/usage.h"
#include "proto/nearest.h"

static int usage(const char *what, const char *argument)
{
    fprintf(stderr, "tidingsd: %s %s\nSee tidingsd --help.\n", what, argument);
    return 2;
}

static int unknown_verb(const char *verb)
{
    struct td_nearest nearest;
    td_nearest_init(&nearest, verb);
    for (const struct td_usage_row *row = td_usage_verbs; row->name != NULL; row++) {
        td_nearest_offer(&nearest, row->name);
    }
    if (nearest.best == NULL) {
        return usage("unknown verb", verb);
    }
    fprintf(stderr, "tidingsd: unknown verb %s; did you mean %s?\nSee tidingsd --help.\n", verb,
            nearest.best);
    return 2;
}

static const char *config_path(const char *given)
{
    const char *environment = getenv("TIDINGS_CONFIG");
    return given != NULL ? given : environment != NULL ? environment : TD_CONFIG_DEFAULT;
}

/* Replaces the program by itself (decision 0005); by its real path, so that it keeps its name. */
static int start_anew(char **argv)
{
    char self[4096];
    ssize_t count = readlink("/proc/self/exe", self, sizeof self - 1);
    if (count > 0) {
        self[count] = '\0';
        execv(self, argv);
    }
    perror("tidingsd: cannot start anew");
    return 1;
}

static int run(const char *path, char **argv)
{
    char why[TD_CONFIG_WHY_BYTES];
    struct td_node *node = calloc(1, sizeof *node);
    if (node == NULL || td_sodium_init() != TD_OK) {
        fprintf(stderr, "tidingsd: the cryptographic self-test failed or memory is out\n");
        return 1;
    }
    if (td_config_read(path, &node->config, why) != TD_OK) {
        fprintf(stderr, "tidingsd: %s\n", why);
        free(node);
        return 78;
    }
    td_logging_init(node->config.log_level, node->config.log_format == TD_LOG_JSON);
    umask(077);
    (void)prctl(PR_SET_DUMPABLE, 0); /* no core file may hold the key; best effort */
    int code = td_node_run(node, path);
    td_config_fini(&node->config);
    free(node);
    return code == TD_EXIT_REJOIN ? start_anew(argv) : code;
}

static int check_config(const char *path)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    if (td_config_read(path, &config, why) != TD_OK) {
        fprintf(stderr, "tidingsd: %s\n", why);
        return 78;
    }
    td_config_fini(&config);
    printf("%s: ok\n", path);
    return 0;
}

static int config_command(const char *path, const char *what)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    if (strcmp(what, "--defaults") == 0) {
        td_config_print_defaults(stdout);
        return 0;
    }
    if (strcmp(what, "--schema") == 0) {
        td_config_print_schema(stdout);
        return 0;
    }
    if (what[0] == '\0') {
        return usage("config needs one of", "--effective, --defaults, --schema");
    }
    if (strcmp(what, "--effective") != 0) {
        return usage("config wants --effective, --defaults or --schema, not", what);
    }
    if (td_config_read(path, &config, why) != TD_OK) {
        fprintf(stderr, "tidingsd: %s\n", why);
        return 78;
    }
    td_config_print_effective(&config, stdout);
    td_config_fini(&config);
    return 0;
}

static int version(bool json)
{
    printf(json ? "{\"schema\":\"tidings.version/1\",\"version\":\"%s\",\"proto_min\":%d,\"proto_max\":%d}\n"
                : "tidingsd %s (protocol %d to %d)\n",
           TD_VERSION, TD_PROTO_MIN, TD_PROTO_MAX);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = "run";
    const char *path = NULL;
    const char *flag = "";
    if (argc > 1 && strcmp(argv[1], "init") == 0) {
        return td_init_command(argc - 1, argv + 1);
    }
    int first = 1;
    if (argc > 1 && argv[1][0] != '-') {
        verb = argv[1];
        first = 2;
    }
    for (int i = first; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
            if (i + 1 == argc) {
                return usage("-c wants a file name after", argv[i]);
            }
            path = argv[++i];
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            td_usage_print(stdout);
            return 0;
        } else if (strcmp(argv[i], "--version") == 0 && strcmp(verb, "run") == 0) {
            verb = "version";
        } else if (argv[i][0] == '-' && argv[i][1] == '-' && flag[0] == '\0') {
            flag = argv[i];
        } else {
            return usage("unknown argument", argv[i]);
        }
    }
    path = config_path(path);
    if (strcmp(verb, "config") == 0) {
        return config_command(path, flag);
    }
    if (strcmp(verb, "version") == 0) {
        return version(strcmp(flag, "--json") == 0);
    }
    if (strcmp(verb, "upgrade") == 0 && strcmp(flag, "--dry-run") == 0) {
        return td_upgrade_dry_run(path);
    }
    if (strcmp(verb, "upgrade") == 0) {
        return usage("a start converts nothing in this version; see what it would find with",
                     "upgrade --dry-run");
    }
    if (flag[0] != '\0') {
        return usage("unknown flag", flag);
    }
    if (strcmp(verb, "run") == 0) {
        return run(path, argv);
    }
    if (strcmp(verb, "check-config") == 0) {
        return check_config(path);
    }
    if (strcmp(verb, "help") == 0) {
        td_usage_print(stdout);
        return 0;
    }
    return unknown_verb(verb);
}
