/* publish_lines.c -- publish --from-jsonl: many reports in flight, results in the order of the
 * lines. Lines wait in a ring; the library answers them in any order on its own thread; the head of
 * the ring is printed when it is answered. */
#include "node/cli/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "node/client/json.h"

enum { SLOTS = 8192, LINE_BYTES_MAX = 64 * 1024, WHY_BYTES = 160 };

struct lines;
struct slot {
    struct lines *lines;
    uint64_t line;
    char job[TIDINGS_JOB_BYTES + 1];
    enum tidings_state state;
    char why[WHY_BYTES]; /* "" = err's own text */
    struct tidings_result result;
    bool done; /* under the lock */
};
struct lines {
    struct td_cli *cli;
    int input;
    int wake; /* eventfd: some slot was answered */
    pthread_mutex_t lock;
    struct slot *slots;
    uint64_t head, tail; /* head = oldest not printed; main thread only */
    uint64_t line;
    bool ended;  /* of the input */
    bool failed; /* some line */
    size_t used; /* bytes in buffer */
    char buffer[LINE_BYTES_MAX];
    bool skipping; /* inside a line that is too long */
};

/* An update with its texts NUL-terminated, as the public interface takes them. */
struct update_copy {
    struct tidings_update update;
    struct tidings_label labels[TIDINGS_LABELS_MAX];
    char text[TIDINGS_JOB_BYTES * 2 + TIDINGS_DETAIL_BYTES + TIDINGS_WRITER_BYTES +
              TIDINGS_LABELS_BYTES + 2 * TIDINGS_LABELS_MAX + 8];
    size_t used;
};

static const char *copy_text(struct update_copy *copy, struct td_text text)
{
    if (text.count + 1 > sizeof copy->text - copy->used) {
        return NULL;
    }
    char *target = copy->text + copy->used;
    if (text.count > 0) {
        memcpy(target, text.bytes, text.count);
    }
    target[text.count] = '\0';
    copy->used += text.count + 1;
    return target;
}

static const char *copy_field(struct update_copy *copy, const struct td_update *update,
                              uint8_t field, struct td_text text)
{
    return (update->fields & field) != 0 ? copy_text(copy, text) : NULL;
}

/* The parser has checked the limits, so everything fits; a text that does not is an error all the
 * same. */
static enum td_err copy_update(const struct td_update *update, struct update_copy *ret_copy)
{
    struct tidings_update *target = &ret_copy->update;
    const struct td_status *status = &update->status;

    memset(target, 0, sizeof *target);
    ret_copy->used = 0;
    target->job = copy_text(ret_copy, update->job);
    target->attempt = update->attempt;
    target->state = (enum tidings_state)status->state;
    target->correct = update->correct;
    target->set_progress = (update->fields & TD_FIELD_PROGRESS) != 0;
    target->progress =
        status->progress_known ? (int32_t)status->progress : TIDINGS_PROGRESS_UNKNOWN;
    target->detail = copy_field(ret_copy, update, TD_FIELD_DETAIL, status->detail);
    target->parent = copy_field(ret_copy, update, TD_FIELD_PARENT, status->parent);
    target->writer = copy_field(ret_copy, update, TD_FIELD_WRITER, status->writer);
    target->set_expect_every = (update->fields & TD_FIELD_EXPECT) != 0;
    target->expect_every_s = status->expect_every_s;
    target->set_labels = (update->fields & TD_FIELD_LABELS) != 0;
    target->labels = ret_copy->labels;
    for (uint8_t i = 0; target->set_labels && i < status->label_count && i < TIDINGS_LABELS_MAX;
         i++) {
        const char *key = copy_text(ret_copy, status->labels[i].key);
        const char *value = copy_text(ret_copy, status->labels[i].value);
        if (key == NULL || value == NULL) {
            return TD_ELABELS;
        }
        ret_copy->labels[target->label_count++] = (struct tidings_label){key, value};
    }
    return target->job == NULL ? TD_EJOBID : TD_OK;
}

static void wake(struct lines *self)
{
    uint64_t one = 1;
    ssize_t wrote = write(self->wake, &one, sizeof one);
    (void)wrote; /* a full counter wakes as well */
}

static void on_answer(void *arg, const struct tidings_result *result)
{
    struct slot *slot = arg;
    struct lines *self = slot->lines;

    pthread_mutex_lock(&self->lock);
    slot->result = *result;
    slot->done = true;
    pthread_mutex_unlock(&self->lock);
    wake(self);
}

static void fail_slot(struct slot *slot, enum td_err err, const char *why)
{
    slot->result = (struct tidings_result){.err = (int)err};
    snprintf(slot->why, sizeof slot->why, "%s", why);
    slot->done = true;
}

/* False when the library's queue is full: the line has to be offered again. */
static bool submit(struct lines *self, struct td_text line)
{
    struct slot *slot = &self->slots[self->tail % SLOTS];
    struct td_json_update parsed;
    struct update_copy copy;
    char why[WHY_BYTES] = "";
    struct td_text no_default = {0};

    *slot = (struct slot){.lines = self, .line = self->line};
    enum td_err err = td_json_update_parse(line, no_default, &parsed, why, sizeof why);
    if (err == TD_OK) {
        err = copy_update(&parsed.update, &copy);
    }
    if (err == TD_OK) {
        snprintf(slot->job, sizeof slot->job, "%s", copy.update.job);
        slot->state = copy.update.state;
        err = (enum td_err)tidings_publish_async(self->cli->tidings, &copy.update, on_answer, slot);
    }
    td_json_update_release(&parsed);
    if (err == TD_EBUSY) {
        return false;
    }
    if (err != TD_OK) {
        fail_slot(slot, err, why);
    }
    self->tail++;
    return true;
}

static void print_slot(struct lines *self, const struct slot *slot)
{
    const struct tidings_result *result = &slot->result;
    char why[1024];

    if (result->err == TIDINGS_OK) {
        td_cli_print_json(self->cli, td_published_json(slot->job, result, slot->state));
        return;
    }
    self->failed = true;
    snprintf(why, sizeof why, "%s", slot->why);
    if (why[0] == '\0' && slot->job[0] != '\0') {
        td_publish_refusal(self->cli, slot->job, result, why, sizeof why);
    }
    td_cli_print_json(self->cli, td_json_line_error(slot->line, (enum td_err)result->err, why));
}

/* Prints answered slots from the head on; true when at least one was. */
static bool print_answered(struct lines *self)
{
    bool any = false;

    while (self->head < self->tail) {
        struct slot *slot = &self->slots[self->head % SLOTS];
        pthread_mutex_lock(&self->lock);
        bool done = slot->done;
        pthread_mutex_unlock(&self->lock);
        if (!done) {
            break;
        }
        print_slot(self, slot);
        self->head++;
        any = true;
    }
    return any;
}

static bool blank(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strchr(" \t\r", bytes[i]) == NULL || bytes[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* One line of count bytes at the start of the buffer. False = try again later. */
static bool take_line(struct lines *self, const char *bytes, size_t count)
{
    self->line++;
    if (blank(bytes, count)) {
        return true;
    }
    bool taken = submit(self, (struct td_text){bytes, (uint32_t)count});
    if (!taken) {
        self->line--;
    }
    return taken;
}

static void too_long(struct lines *self)
{
    struct slot *slot = &self->slots[self->tail % SLOTS];

    self->line++;
    *slot = (struct slot){.lines = self, .line = self->line};
    fail_slot(slot, TD_EJSON, "the line is longer than 65535 bytes");
    self->tail++;
    self->used = 0;
    self->skipping = true;
}

/* Takes whole lines from the buffer while there is room; true when some line was taken. */
static bool take_lines(struct lines *self)
{
    size_t at = 0;
    bool any = false;

    while (self->tail - self->head < SLOTS) {
        const char *newline = memchr(self->buffer + at, '\n', self->used - at);
        size_t count = newline != NULL ? (size_t)(newline - (self->buffer + at)) : self->used - at;
        if (newline == NULL && (!self->ended || count == 0)) {
            break;
        }
        if (!self->skipping && !take_line(self, self->buffer + at, count)) {
            break;
        }
        self->skipping = false;
        at += count + (newline != NULL ? 1 : 0);
        any = true;
    }
    memmove(self->buffer, self->buffer + at, self->used - at);
    self->used -= at;
    if (self->used == sizeof self->buffer && memchr(self->buffer, '\n', self->used) == NULL &&
        self->tail - self->head < SLOTS) {
        if (self->skipping) {
            self->used = 0;
        } else {
            too_long(self);
        }
        any = true;
    }
    return any;
}

static int read_some(struct lines *self)
{
    ssize_t got = read(self->input, self->buffer + self->used, sizeof self->buffer - self->used);

    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return 0;
    }
    if (got < 0) {
        return td_cli_fail(self->cli, TD_EIO, "reading the lines: %s", strerror(errno));
    }
    self->used += (size_t)got;
    self->ended = got == 0;
    return 0;
}

/* Sleeps until there is something to read (if there is room for it) or an answer. */
static int wait_some(struct lines *self)
{
    bool reading = !self->ended && self->used < sizeof self->buffer;
    struct pollfd fds[2] = {{.fd = self->wake, .events = POLLIN},
                            {.fd = reading ? self->input : -1, .events = POLLIN}};
    uint64_t count = 0;

    fflush(stdout);
    if (poll(fds, 2, -1) < 0 && errno != EINTR) {
        return td_cli_fail(self->cli, TD_EIO, "poll: %s", strerror(errno));
    }
    if ((fds[0].revents & POLLIN) != 0) {
        ssize_t got = read(self->wake, &count, sizeof count);
        (void)got; /* only resets the counter */
    }
    return reading && fds[1].revents != 0 ? read_some(self) : 0;
}

static int pump(struct lines *self)
{
    int code = 0;

    while (code == 0 && ferror(stdout) == 0 &&
           !(self->ended && self->used == 0 && self->head == self->tail)) {
        bool moved = take_lines(self);
        moved = print_answered(self) || moved;
        if (!moved) {
            code = wait_some(self);
        }
    }
    return code != 0 ? code : (self->failed ? 1 : 0);
}

static int run(struct lines *self, const char *path)
{
    struct tidings_options options = {
        .ack = td_publish_ack(self->cli->args),
        .in_flight_max = (uint32_t)td_args_uint(self->cli->args, TD_FLAG_IN_FLIGHT, 0),
    };
    self->input = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (self->input < 0) {
        return td_cli_fail(self->cli, TD_EIO, "--from-jsonl %s: %s", td_cli_shown(td_text_of(path)),
                           strerror(errno));
    }
    int code = td_cli_open_at(self->cli, self->cli->nodes, &options, &self->cli->tidings);
    if (code == 0) {
        code = pump(self);
    }
    /* No callback may come once the slots are gone. */
    td_cli_close(self->cli);
    if (self->input != STDIN_FILENO) {
        close(self->input);
    }
    return code;
}

int td_publish_lines(struct td_cli *cli, const char *path)
{
    struct lines *self = calloc(1, sizeof *self);
    int code = 0;

    if (self != NULL) {
        self->cli = cli;
        self->slots = calloc(SLOTS, sizeof *self->slots);
        self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (self == NULL || self->slots == NULL || self->wake < 0) {
        code = td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    } else {
        pthread_mutex_init(&self->lock, NULL);
        code = run(self, path);
        pthread_mutex_destroy(&self->lock);
        close(self->wake);
    }
    if (self != NULL) {
        free(self->slots);
    }
    free(self);
    return code;
}
