/* membership.c -- the newest verified roster of this node: where it came from (configured file, data
 * directory, peers, an admin), written down before it counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

enum { AHEAD_MS_MAX = 60000, ROSTERS_KEPT = 256, STANDING_BYTES = 512 };

struct td_membership {
    struct td_node *node;
    pthread_mutex_t offers; /* one offer at a time, from the check to the spreading; taken first */
    pthread_mutex_t mutex;  /* guards current; never held over I/O */
    struct td_roster_ref *current;
};

static enum td_err read_file(const char *path, uint8_t **ret_bytes, size_t *ret_count)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? TD_EUNKNOWN : TD_EIO;
    }
    uint8_t *bytes = malloc(TD_ROSTER_BYTES_MAX + 1);
    size_t used = 0;
    ssize_t got = 1;
    while (bytes != NULL && used <= TD_ROSTER_BYTES_MAX && got > 0) {
        got = read(fd, bytes + used, TD_ROSTER_BYTES_MAX + 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (bytes == NULL || got < 0 || used > TD_ROSTER_BYTES_MAX) {
        free(bytes);
        return bytes == NULL ? TD_ENOMEM : got < 0 ? TD_EIO : TD_ETOOBIG;
    }
    *ret_bytes = bytes;
    *ret_count = used;
    return TD_OK;
}

static bool write_all(int fd, struct td_bytes bytes)
{
    size_t done = 0;
    while (done < bytes.count) {
        ssize_t wrote = write(fd, bytes.bytes + done, bytes.count - done);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return fsync(fd) == 0;
}

/* Replaces the kept roster in one step, so that a crash leaves the old or the new one. */
static enum td_err save(const struct td_membership *membership, struct td_bytes raw)
{
    char path[4096], next[4096];
    const char *data = membership->node->config.data;
    if (snprintf(path, sizeof path, "%s/roster", data) >= (int)sizeof path ||
        snprintf(next, sizeof next, "%s/roster.next", data) >= (int)sizeof next) {
        return TD_EIO;
    }
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return TD_EIO;
    }
    bool written = write_all(fd, raw);
    close(fd);
    int directory = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool moved = written && rename(next, path) == 0 && directory >= 0 && fsync(directory) == 0;
    if (directory >= 0) {
        close(directory);
    }
    return moved ? TD_OK : TD_EIO;
}

/* Where the roster of this version is kept for `roster log`; 0 = the folder. False: too long. */
static bool kept_path(const struct td_membership *membership, uint64_t version, char *path, size_t bytes)
{
    const char *data = membership->node->config.data;
    int count = version == 0 ? snprintf(path, bytes, "%s/rosters", data)
                             : snprintf(path, bytes, "%s/rosters/%llu", data, (unsigned long long)version);
    return count > 0 && (size_t)count < bytes;
}

/* For the eyes only: what cannot be kept is missing in `roster log`, and nothing else. */
static void keep(const struct td_membership *membership, uint64_t version, struct td_bytes raw)
{
    char path[4096];
    if (kept_path(membership, 0, path, sizeof path)) {
        (void)mkdir(path, 0700);
    }
    int fd = kept_path(membership, version, path, sizeof path)
                 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                 : -1;
    if (fd >= 0) {
        bool written = write_all(fd, raw);
        close(fd);
        if (!written) {
            (void)unlink(path);
        }
    }
    if (version > ROSTERS_KEPT && kept_path(membership, version - ROSTERS_KEPT, path, sizeof path)) {
        (void)unlink(path);
    }
}

enum td_err td_membership_at(const struct td_membership *membership, uint64_t version,
                             uint8_t **ret_bytes, size_t *ret_count)
{
    char path[4096];
    return version != 0 && kept_path(membership, version, path, sizeof path)
               ? read_file(path, ret_bytes, ret_count)
               : TD_EUNKNOWN;
}

static void install(struct td_membership *membership, struct td_roster_ref *take_ref)
{
    pthread_mutex_lock(&membership->mutex);
    struct td_roster_ref *old = membership->current;
    membership->current = take_ref;
    pthread_mutex_unlock(&membership->mutex);
    td_roster_ref_put(old);
}

/* The roster stays referenced until the core has copied what it needs. */
struct roster_item {
    struct td_inbox_item item;
    struct td_roster_ref *ref;
};

static void release_roster(struct td_inbox_item *item)
{
    td_roster_ref_put(((struct roster_item *)item)->ref);
    free(item);
}

static void tell_core(struct td_node *node, struct td_roster_ref *ref)
{
    struct roster_item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        abort(); /* the core must not go on under a roster that the links have left behind */
    }
    item->ref = td_roster_ref_get(ref);
    item->item.class_ = TD_INBOX_COMPLETION;
    item->item.release = release_roster;
    item->item.event.type = TD_EV_ROSTER;
    item->item.event.u.roster = td_roster_ref_roster(ref);
    if (!td_inbox_push(&node->inbox, &item->item)) {
        release_roster(&item->item);
    }
}

static enum td_err standing_of(const struct td_node *node, const struct td_roster *roster, char *ret_text,
                               size_t text_bytes)
{
    const struct td_public_key *mine = &td_secret_identity(node->secret)->link_key;
    const struct td_roster_region *region = td_roster_region_by_link_key(roster, mine);
    unsigned long long version = (unsigned long long)roster->version;
    uint16_t number = 0;
    if (region != NULL && region->state == TD_REGION_CLOSING) {
        snprintf(ret_text, text_bytes, "roster %llu closes %.*s: reports are refused, everything else goes on "
                 "until the roster that lists what counts; publish to another region", version,
                 (int)region->name.count, region->name.bytes);
        return TD_ECLOSING;
    }
    if (region != NULL && region->state == TD_REGION_CLOSED) {
        snprintf(ret_text, text_bytes, "%.*s is closed in roster %llu: the other regions hear this node no "
                 "more; stop it", (int)region->name.count, region->name.bytes, version);
        return TD_ECLOSED;
    }
    region = region == NULL ? td_roster_region_of_old_link_key(roster, mine, &number) : NULL;
    if (region != NULL) {
        snprintf(ret_text, text_bytes, "this node's key is number %u of %.*s, and roster %llu has replaced it: "
                 "put the new key file in place of %s and restart the node", number,
                 (int)region->name.count, region->name.bytes, version, node->config.key);
        return TD_EROTATED;
    }
    return TD_OK;
}

enum td_err td_membership_standing(struct td_membership *membership, char *ret_text, size_t text_bytes)
{
    struct td_roster_ref *ref = td_membership_get(membership);
    enum td_err err = ref == NULL ? TD_OK
                                  : standing_of(membership->node, td_roster_ref_roster(ref), ret_text,
                                                text_bytes);
    td_roster_ref_put(ref);
    return err;
}

/* The core hears of it before the links do: a region that comes up under it is known to the core. */
static void spread(struct td_membership *membership, struct td_roster_ref *ref)
{
    struct td_node *node = membership->node;
    const struct td_roster *roster = td_roster_ref_roster(ref);
    const struct td_roster_region *me =
        td_roster_region_by_link_key(roster, &td_secret_identity(node->secret)->link_key);
    td_log_event(TD_INFO, "roster", "version", td_log_number(roster->version), "regions",
                 td_log_number(roster->region_count), NULL);
    char text[STANDING_BYTES];
    if (standing_of(node, roster, text, sizeof text) != TD_OK) {
        td_log_event(TD_WARN, "standing", "why", text, NULL);
    }
    if (node->net == NULL) {
        return; /* still starting: the roster is read when the parts are put together */
    }
    if (__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        tell_core(node, ref);
    }
    td_net_set_roster(node->net, ref);
    if (me != NULL && node->self.v == 0) {
        __atomic_store_n(&node->rejoin, true, __ATOMIC_RELEASE);
    }
}

/* Two rosters of one version mean that the root key was used twice: said, and the next version ends it. */
static void note_fork(struct td_node *node, const struct td_roster *a, const struct td_roster *b)
{
    if (a->version == b->version && memcmp(&a->hash, &b->hash, sizeof a->hash) != 0) {
        __atomic_store_n(&node->roster_fork, true, __ATOMIC_RELAXED);
        td_log_event(TD_ERROR, "roster_fork", "version", td_log_number(a->version), "hint",
                     "two different rosters of this version are signed; sign the next one", NULL);
    } else if (a->version > b->version) {
        __atomic_store_n(&node->roster_fork, false, __ATOMIC_RELAXED);
    }
}

enum td_err td_membership_push(struct td_membership *membership, struct td_bytes raw)
{
    enum td_err err = TD_OK;
    struct td_roster_ref *ref = td_roster_ref_make(raw, &membership->node->root.sign_key, &err);
    if (ref != NULL && td_roster_ref_roster(ref)->issued_ms > td_node_now().wall_ms + AHEAD_MS_MAX) {
        err = TD_ECLOCK;
    }
    td_roster_ref_put(ref);
    return err == TD_OK ? td_membership_offer(membership, raw) : err;
}

enum td_err td_membership_offer(struct td_membership *membership, struct td_bytes raw)
{
    enum td_err err = TD_OK;
    struct td_roster_ref *ref = td_roster_ref_make(raw, &membership->node->root.sign_key, &err);
    if (ref == NULL) {
        return err;
    }
    pthread_mutex_lock(&membership->offers);
    /* Only offers replace it, so it stays alive without a reference of our own. */
    const struct td_roster_ref *current = membership->current;
    if (current != NULL) {
        note_fork(membership->node, td_roster_ref_roster(ref), td_roster_ref_roster(current));
    }
    if (current != NULL &&
        !td_roster_newer(td_roster_ref_roster(ref), td_roster_ref_roster(current))) {
        err = TD_EROSTEROLD;
    } else {
        err = save(membership, raw);
    }
    if (err == TD_OK) {
        keep(membership, td_roster_ref_roster(ref)->version, raw);
        install(membership, td_roster_ref_get(ref));
        spread(membership, ref);
    }
    pthread_mutex_unlock(&membership->offers);
    td_roster_ref_put(ref);
    return err;
}

static enum td_err offer_file(struct td_membership *membership, const char *path)
{
    uint8_t *bytes = NULL;
    size_t count = 0;
    enum td_err err = read_file(path, &bytes, &count);
    if (err == TD_OK) {
        err = td_membership_offer(membership, (struct td_bytes){ bytes, count });
        free(bytes);
    }
    return err;
}

enum td_err td_membership_reload(struct td_membership *membership)
{
    const char *path = membership->node->config.roster;
    if (path[0] == '\0') {
        return TD_OK;
    }
    enum td_err err = offer_file(membership, path);
    if (err != TD_OK && err != TD_EROSTEROLD) {
        td_log_event(TD_WARN, "roster_file_refused", "path", path, "why",
                     err == TD_EUNKNOWN ? "no such file" : td_err_text(err), NULL);
    }
    return err == TD_EROSTEROLD || err == TD_EUNKNOWN ? TD_OK : err;
}

struct td_membership *td_membership_open(struct td_node *node, char *ret_why, size_t why_bytes)
{
    char path[4096];
    struct td_membership *membership = calloc(1, sizeof *membership);
    if (membership == NULL) {
        snprintf(ret_why, why_bytes, "out of memory");
        return NULL;
    }
    membership->node = node;
    pthread_mutex_init(&membership->offers, NULL);
    pthread_mutex_init(&membership->mutex, NULL);
    snprintf(path, sizeof path, "%s/roster", node->config.data);
    enum td_err err = offer_file(membership, path);
    if (err != TD_OK && err != TD_EUNKNOWN && err != TD_EROSTEROLD) {
        td_log_event(TD_WARN, "roster_kept_refused", "path", path, "why", td_err_text(err), NULL);
    }
    err = td_membership_reload(membership);
    if (err != TD_OK && membership->current == NULL) {
        snprintf(ret_why, why_bytes, "%s: %s; %s", node->config.roster, td_err_text(err),
                 td_err_hint(err));
        td_membership_close(membership);
        return NULL;
    }
    return membership;
}

void td_membership_close(struct td_membership *membership)
{
    if (membership != NULL) {
        td_roster_ref_put(membership->current);
        pthread_mutex_destroy(&membership->mutex);
        pthread_mutex_destroy(&membership->offers);
        free(membership);
    }
}

struct td_roster_ref *td_membership_get(struct td_membership *membership)
{
    pthread_mutex_lock(&membership->mutex);
    struct td_roster_ref *ref =
        membership->current != NULL ? td_roster_ref_get(membership->current) : NULL;
    pthread_mutex_unlock(&membership->mutex);
    return ref;
}
