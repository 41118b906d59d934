/* backup.c -- a copy of the running node's data: the log as far as it is durable, and the roster in force.
 * The secret key stays where it is: whoever reads a backup must not become the region. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

struct backup {
    int directory;
    int file; /* -1: none */
    uint64_t bytes;
    unsigned files;
};

static enum td_err from_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? TD_EDISKFULL : errno == EEXIST ? TD_EEXISTS : TD_EIO;
}

static enum td_err finish_file(struct backup *backup)
{
    enum td_err err = TD_OK;
    if (backup->file >= 0 && fsync(backup->file) != 0) {
        err = from_errno();
    }
    if (backup->file >= 0 && close(backup->file) != 0 && err == TD_OK) {
        err = from_errno();
    }
    backup->file = -1;
    return err;
}

static enum td_err begin(void *self, const char *name)
{
    struct backup *backup = self;
    enum td_err err = finish_file(backup);
    if (err != TD_OK) {
        return err;
    }
    backup->file = openat(backup->directory, name,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    backup->files += backup->file >= 0;
    return backup->file >= 0 ? TD_OK : from_errno();
}

/* The main thread is here for as long as it takes: the watchdog is fed, and TERM ends it. */
static enum td_err take(void *self, struct td_bytes bytes)
{
    struct backup *backup = self;
    sigset_t pending;
    td_notify("WATCHDOG=1");
    if (sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT))) {
        return TD_EDRAINING;
    }
    for (size_t done = 0; done < bytes.count;) {
        ssize_t wrote = write(backup->file, bytes.bytes + done, bytes.count - done);
        if (wrote < 0 && errno != EINTR) {
            return from_errno();
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    backup->bytes += bytes.count;
    return TD_OK;
}

static enum td_err copy_roster(struct td_node *node, struct backup *backup)
{
    struct td_roster_ref *ref = td_membership_get(node->membership);
    enum td_err err = ref != NULL ? begin(backup, "roster") : TD_OK;
    if (ref != NULL && err == TD_OK) {
        err = take(backup, td_roster_ref_roster(ref)->raw);
    }
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    return err;
}

static enum td_err copy_all(struct td_node *node, struct backup *backup)
{
    const struct td_log_copy copy = { .self = backup, .begin = begin, .bytes = take };
    enum td_err err = node->log != NULL ? td_log_copy(node->log, &copy) : TD_OK;
    if (err == TD_OK) {
        err = copy_roster(node, backup);
    }
    enum td_err finished = finish_file(backup);
    err = err != TD_OK ? err : finished;
    return err == TD_OK && fsync(backup->directory) != 0 ? from_errno() : err;
}

enum td_err td_backup(struct td_node *node, const char *path, char ret_text[TD_ADMIN_TEXT_BYTES])
{
    struct backup backup = { .directory = -1, .file = -1 };
    if (path[0] != '/') {
        snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "the directory has to be an absolute path");
        return TD_EUSAGE;
    }
    if (mkdir(path, 0700) != 0) {
        snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "%.500s: %s", path, strerror(errno));
        return from_errno();
    }
    backup.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    enum td_err err = backup.directory >= 0 ? copy_all(node, &backup) : from_errno();
    if (backup.directory >= 0) {
        close(backup.directory);
    }
    if (err != TD_OK) {
        snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "%.500s is not complete and must not be used: %s", path,
                 td_err_text(err));
        td_log_event(TD_ERROR, "backup_failed", "path", path, "why", td_err_text(err), NULL);
        return err;
    }
    snprintf(ret_text, TD_ADMIN_TEXT_BYTES, "%.500s: %u files, %llu bytes; the key is not among them", path,
             backup.files, (unsigned long long)backup.bytes);
    td_log_event(TD_INFO, "backup", "path", path, "files", td_log_number(backup.files), "bytes",
                 td_log_number(backup.bytes), NULL);
    return TD_OK;
}
