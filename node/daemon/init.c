/* init.c -- see init.h. */
#include "node/daemon/init.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/daemon/config.h"
#include "node/daemon/usage.h"
#include "proto/limits.h"
#include "proto/sign_sodium.h"

struct choices {
    const char *region, *data, *root, *roster, *http, *local;
    const char *peer[TD_CONFIG_LIST_MAX], *seeds[TD_CONFIG_LIST_MAX];
    size_t peer_count, seed_count;
    bool chaos;
};

const char td_init_help[] =
    "examples:\n"
    "  tidingsd init --region eu-west --root tdpk1:...\n"
    "  tidingsd init --region eu-west --root tdpk1:... --data D --listen-local ipc://D/tidings.sock\n"
    "\n"
    "Makes DATA/node.key and DATA/tidingsd.yaml and prints the public key. Overwrites nothing.\n"
    "  --region NAME              as the roster names it\n"
    "  --root tdpk1:...           the cluster's root public key\n"
    "  --data DIRECTORY           default /var/lib/tidings\n"
    "  --roster FILE              a first roster, read at start and on reload\n"
    "  --listen-peer tcp://ADDR:PORT   default tcp://0.0.0.0:7717; may be repeated\n"
    "  --listen-local ipc://PATH  default ipc:///run/tidings/tidings.sock\n"
    "  --http ADDR:PORT           HTTP gateway, e.g. 127.0.0.1:7718\n"
    "  --seed tcp://HOST:PORT     a node to ask for the roster; may be repeated\n"
    "  --chaos                    fault switches, for tests and demos\n";

static int usage(const char *what)
{
    fprintf(stderr, "tidingsd init: %s\nSee tidingsd init --help.\n", what);
    return 2;
}

static bool add(const char **items, size_t *count, const char *item)
{
    if (*count == TD_CONFIG_LIST_MAX) {
        return false;
    }
    items[(*count)++] = item;
    return true;
}

static int parse(int argc, char **argv, struct choices *choices)
{
    static const struct option options[] = { { "region", 1, NULL, 'r' }, { "data", 1, NULL, 'd' },
        { "root", 1, NULL, 'k' }, { "roster", 1, NULL, 'o' }, { "http", 1, NULL, 'h' },
        { "listen-local", 1, NULL, 'l' }, { "listen-peer", 1, NULL, 'p' }, { "seed", 1, NULL, 's' },
        { "chaos", 0, NULL, 'c' }, { 0 } };
    bool room = true;
    optind = 1;
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'r': choices->region = optarg; break;
        case 'd': choices->data = optarg; break;
        case 'k': choices->root = optarg; break;
        case 'o': choices->roster = optarg; break;
        case 'h': choices->http = optarg; break;
        case 'l': choices->local = optarg; break;
        case 'p': room = room && add(choices->peer, &choices->peer_count, optarg); break;
        case 's': room = room && add(choices->seeds, &choices->seed_count, optarg); break;
        case 'c': choices->chaos = true; break;
        default: {
            char what[256];
            snprintf(what, sizeof what, "unknown flag or missing value: %s", argv[optind - 1]);
            return usage(what);
        }
        }
    }
    if (!room) {
        return usage("at most 16 addresses of one kind");
    }
    return choices->region == NULL ? usage("--region is missing")
           : choices->root == NULL ? usage("--root is missing (the tdpk1: line that keygen printed)")
           : optind < argc         ? usage("nothing may follow the flags")
                                   : 0;
}

static void print_list(FILE *out, const char *key, const char *const *items, size_t count)
{
    fprintf(out, "  %s: [", key);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", items[i]);
    }
    fprintf(out, "]\n");
}

static bool write_config(const struct choices *choices, const char *path, const char *key_path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        fprintf(stderr, "tidingsd init: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(out, "# tidings node of region %s; every key: tidingsd config --defaults\nnode:\n",
            choices->region);
    fprintf(out, "  region: \"%s\"\n  data: \"%s\"\n  key: \"%s\"          # mode 0600, never leaves this host\n",
            choices->region, choices->data, key_path);
    fprintf(out, "  root: \"%s\"\n", choices->root);
    if (choices->roster != NULL) {
        fprintf(out, "  roster: \"%s\"     # a first roster; the newest known counts\n", choices->roster);
    }
    print_list(out, "seeds", choices->seeds, choices->seed_count);
    fprintf(out, "listen:\n");
    print_list(out, "peer", choices->peer, choices->peer_count);
    fprintf(out, "  local: \"%s\"\n", choices->local);
    if (choices->http != NULL) {
        fprintf(out, "  http: \"%s\"\n", choices->http);
    }
    fprintf(out, "chaos: %s\n", choices->chaos ? "true" : "false");
    bool ok = fflush(out) == 0 && fsync(fd) == 0;
    return fclose(out) == 0 && ok;
}

/* Paths in the configuration are absolute, so that the daemon may start anywhere. */
static const char *absolute(const char *path, char *room, size_t bytes)
{
    char here[2048];
    if (path == NULL || path[0] == '/' || getcwd(here, sizeof here) == NULL ||
        snprintf(room, bytes, "%s/%s", here, path) >= (int)bytes) {
        return path;
    }
    return room;
}

/* Where others reach what --listen-peer names; the host is for the operator to say when it is any. */
static void endpoint_text(const char *peer, char ret_text[256])
{
    const char *host = strncmp(peer, "tcp://", 6) == 0 ? peer + 6 : peer;
    const char *colon = strrchr(host, ':');
    bool any = strncmp(host, "0.0.0.0:", 8) == 0 || strncmp(host, "[::]:", 5) == 0;
    snprintf(ret_text, 256, "tcp://%.*s%s", any ? 9 : 200, any ? "THIS-HOST" : host,
             any && colon != NULL ? colon : "");
}

/* What was chosen has to be a configuration; if it is not, nothing stays behind. */
static int check_written(const char *config_path, const char *key_path)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    if (td_config_read(config_path, &config, why) == TD_OK) {
        td_config_fini(&config);
        return 0;
    }
    fprintf(stderr, "tidingsd init: %s; nothing was written\n", why);
    unlink(config_path);
    unlink(key_path);
    return 2;
}

static int make(struct choices *choices)
{
    char data[4096], roster[4096], key_path[4200], config_path[4200], local[4200], why[512];
    char text[TD_KEY_TEXT_BYTES], endpoint[256];
    struct td_secret *secret = NULL;
    const char *standard_peer = "tcp://0.0.0.0:7717";
    choices->data = absolute(choices->data != NULL ? choices->data : "/var/lib/tidings", data, sizeof data);
    choices->roster = absolute(choices->roster, roster, sizeof roster);
    snprintf(key_path, sizeof key_path, "%s/node.key", choices->data);
    snprintf(config_path, sizeof config_path, "%s/tidingsd.yaml", choices->data);
    if (choices->local == NULL) {
        choices->local = "ipc:///run/tidings/tidings.sock";
    } else if (strncmp(choices->local, "ipc://", 6) == 0 && choices->local[6] != '/') {
        char room[4096];
        snprintf(local, sizeof local, "ipc://%s", absolute(choices->local + 6, room, sizeof room));
        choices->local = local;
    }
    if (choices->peer_count == 0) {
        (void)add(choices->peer, &choices->peer_count, standard_peer);
    }
    if (access(config_path, F_OK) == 0) {
        fprintf(stderr, "tidingsd init: %s exists already; remove it or choose another --data\n",
                config_path);
        return 1;
    }
    if (mkdir(choices->data, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "tidingsd init: %s: %s\n", choices->data, strerror(errno));
        return 1;
    }
    if (td_key_file_create(key_path, &secret, why, sizeof why) != TD_OK) {
        fprintf(stderr, "tidingsd init: %s\n", why);
        return 1;
    }
    td_identity_to_text(td_secret_identity(secret), text);
    td_secret_free(secret);
    if (!write_config(choices, config_path, key_path)) {
        unlink(key_path);
        return 1;
    }
    int code = check_written(config_path, key_path);
    if (code != 0) {
        return code;
    }
    endpoint_text(choices->peer[0], endpoint);
    printf("%s\n", text);
    fprintf(stderr, "wrote %s and %s\nnext, where the root key is:\n  tidings roster add %s --pubkey %s "
            "--endpoint %s --root-key root.key --roster FILE\n  tidings roster push FILE\n"
            "then here:\n  tidingsd -c %s\n", key_path, config_path, choices->region, text, endpoint,
            config_path);
    return 0;
}

int td_init_command(int argc, char **argv)
{
    struct choices choices = { 0 };
    struct td_identity root;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(td_init_help, stdout);
            return 0;
        }
    }
    int code = parse(argc, argv, &choices);
    if (code != 0) {
        return code;
    }
    if (strlen(choices.region) > TD_REGION_NAME_BYTES_MAX || choices.region[0] == '\0' ||
        strpbrk(choices.region, "\"\\\n\t /") != NULL) {
        return usage("a region's name has 1 to 32 characters without spaces, quotes or slashes");
    }
    if (td_sodium_init() != TD_OK || td_identity_from_text(choices.root, &root) != TD_OK) {
        return usage("--root is not a valid tdpk1: key");
    }
    return make(&choices);
}
