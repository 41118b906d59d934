/* upgrade.c -- tidingsd upgrade --dry-run: which formats the log is in and whether this version reads them.
 * Only headers are read, so it may be asked beside a running node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <dirent.h>
#include <fcntl.h>

#include "node/daemon/config.h"
#include "node/daemon/usage.h"
#include "node/log/segment.h"
#include "proto/channel.h"
#include "proto/sign_sodium.h"

struct found {
    unsigned good, compacted, damaged, newer;
    uint64_t bytes;
};

static void look_at(int directory, const char *name, const struct td_signer *signer, struct found *found)
{
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    struct td_segment_header header;
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum td_err err = TD_ECORRUPT;
    if (file >= 0 && pread(file, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes) {
        err = td_segment_header_decode(bytes, signer, &header);
    }
    if (file >= 0) {
        off_t end = lseek(file, 0, SEEK_END);
        found->bytes += end > 0 ? (uint64_t)end : 0;
        close(file);
    }
    found->good += err == TD_OK;
    found->compacted += err == TD_OK && header.compacted;
    found->newer += err == TD_EVERSION;
    found->damaged += err != TD_OK && err != TD_EVERSION;
    if (err != TD_OK) {
        printf("%s: %s\n", name,
               err == TD_EVERSION ? "whole, but of a format this version does not know" : "its header is damaged");
    }
}

static int report(const char *data, const struct found *found)
{
    printf("this is tidingsd %s: log formats %d to %d, protocol %d to %d\n", TD_VERSION, (int)TD_SEGMENT_FORMAT,
           (int)TD_SEGMENT_FORMAT_COMPACTED, (int)TD_PROTO_MIN, (int)TD_PROTO_MAX);
    printf("%s: %u segments, %u of them compacted, %llu bytes, %u damaged, %u of a newer format\n", data, found->good,
           found->compacted, (unsigned long long)found->bytes, found->damaged, found->newer);
    if (found->newer > 0) {
        puts("a start would be refused (TD-E0601): start the version that wrote them, or restore a backup");
        return 1;
    }
    puts(found->compacted > 0
             ? "versions that do not compact refuse this log"
             : "a start changes no segment that is there; once the log is compacted, older versions refuse it");
    return 0;
}

int td_upgrade_dry_run(const char *config_path)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    struct found found = { 0 };
    struct td_sodium_signer self = { 0 };
    struct td_signer signer = td_sodium_signer(&self);
    uint32_t number = 0;
    if (td_config_read(config_path, &config, why) != TD_OK) {
        fprintf(stderr, "tidingsd: %s\n", why);
        return 78;
    }
    DIR *directory = opendir(config.data);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (td_segment_name_parse(entry->d_name, &number)) {
            look_at(dirfd(directory), entry->d_name, &signer, &found);
        }
    }
    if (directory == NULL) {
        perror(config.data);
    } else {
        closedir(directory);
    }
    int code = directory == NULL ? 1 : report(config.data, &found);
    td_config_fini(&config);
    return code;
}
