/* doctor_delivery.c -- the two probes of doctor: a connection to a region's address, and a canary
 * whose echo from every region is timed. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/doctor.h"
#include "proto/roster.h"

enum { POLL_NS = 2 * 1000 * 1000, JOB_BYTES = 64, TEXT_BYTES = 1024 };

/* ---- a connection ---- */

enum { HOST_BYTES = 256, PORT_BYTES = 16 };

static bool split_endpoint(struct td_text endpoint, char ret_host[HOST_BYTES],
                           char ret_port[PORT_BYTES])
{
    static const char scheme[] = "tcp://";
    char text[HOST_BYTES];

    if (endpoint.count >= sizeof text || endpoint.count < sizeof scheme ||
        memcmp(endpoint.bytes, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", (int)endpoint.count - 6, endpoint.bytes + 6);
    char *colon = strrchr(text, ':');
    if (colon == NULL || strlen(colon + 1) >= PORT_BYTES) {
        return false;
    }
    *colon = '\0';
    snprintf(ret_host, HOST_BYTES, "%s", text);
    snprintf(ret_port, PORT_BYTES, "%.15s", colon + 1);
    return true;
}

/* 0, or an errno. */
static int connect_within(const struct addrinfo *address, uint32_t timeout_ms)
{
    int error = 0;
    socklen_t error_bytes = sizeof error;
    int file = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                      address->ai_protocol);

    if (file < 0) {
        return errno;
    }
    if (connect(file, address->ai_addr, address->ai_addrlen) != 0) {
        struct pollfd wait = {.fd = file, .events = POLLOUT};
        int ready = errno == EINPROGRESS ? poll(&wait, 1, (int)timeout_ms) : 1;
        error = errno;
        if (ready == 0) {
            error = ETIMEDOUT;
        } else if (getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) {
            error = errno;
        }
    }
    close(file);
    return error;
}

bool td_probe_tcp(struct td_text endpoint, uint32_t timeout_ms, char *ret_text, size_t text_bytes)
{
    char host[HOST_BYTES];
    char port[PORT_BYTES];
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    uint64_t started_us = td_cli_mono_us();

    if (!split_endpoint(endpoint, host, port)) {
        snprintf(ret_text, text_bytes, "`%s` is no address", td_cli_shown(endpoint));
        return false;
    }
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        snprintf(ret_text, text_bytes, "the name %s has no address: %s", host, gai_strerror(error));
        return false;
    }
    error = connect_within(found, timeout_ms);
    freeaddrinfo(found);
    snprintf(ret_text, text_bytes,
             error == 0 ? "TCP to %s:%s: connected in %s%s" : "TCP to %s:%s: %s%s", host, port,
             error == 0           ? td_cli_duration((td_cli_mono_us() - started_us) / 1000)
             : error == ETIMEDOUT ? "no answer (firewall?)"
                                  : strerror(error),
             "");
    return error == 0;
}

/* ---- the canary ---- */

struct canary {
    struct td_doctor *doctor;
    char job[JOB_BYTES];
    uint64_t started_us;
    uint64_t stamp_ms;
    struct {
        struct td_region region;
        bool seen;
        uint64_t after_us;
        struct td_region via;
    } echoes[TD_REGION_NUMBER_MAX];
    size_t count, seen;
};

static int publish(struct canary *self)
{
    struct td_cli *cli = self->doctor->cli;
    char detail[64];
    snprintf(detail, sizeof detail, "doctor %llu", (unsigned long long)td_cli_wall_ms());
    struct td_update update = {
        .job = td_text_of(self->job),
        .fields = TD_FIELD_DETAIL | TD_FIELD_WRITER,
        .status = {.state = TD_STATE_RUNNING,
                   .detail = td_text_of(detail),
                   .writer = td_text_of("doctor")},
    };
    struct td_request request = {.op = TD_OP_PUBLISH,
                                 .u.publish = {.count = 1, .updates = &update}};
    struct td_call_options options = {.this_node_only = true};
    struct td_call_result result = {0};

    self->started_us = td_cli_mono_us();
    enum td_err err = td_call(cli->tidings, &request, &options, &result);
    err = err != TD_OK ? err : result.response.err;
    if (err == TD_OK && result.response.u.publish.count == 1) {
        err = result.response.u.publish.results[0].err;
        self->stamp_ms = result.response.u.publish.results[0].stamp.ms;
    }
    td_call_release(&result);
    if (err != TD_OK) {
        td_doctor_say(self->doctor, TD_FINDING_FAIL, "delivery", "the canary was refused: %s (%s)",
                      td_err_text(err), td_err_hint(err));
    }
    return err == TD_OK ? 0 : td_err_exit_code(err);
}

/* Whether this region has confirmed everything of ours up to the canary. */
static bool confirmed(const struct canary *self, const struct td_region_view *view)
{
    return view->they_lack_known &&
           (view->they_lack == 0 || view->oldest_unacked_ms > self->stamp_ms);
}

static void take_echoes(struct canary *self, const struct td_response *status)
{
    for (size_t i = 0; i < self->count; i++) {
        for (uint32_t j = 0; j < status->u.status.region_count && !self->echoes[i].seen; j++) {
            const struct td_region_view *view = &status->u.status.regions[j];
            if (view->region.v == self->echoes[i].region.v && confirmed(self, view)) {
                self->echoes[i].seen = true;
                self->echoes[i].after_us = td_cli_mono_us() - self->started_us;
                self->echoes[i].via = view->direct ? (struct td_region){0} : view->via;
                self->seen++;
            }
        }
    }
}

static void await_echoes(struct canary *self)
{
    struct td_cli *cli = self->doctor->cli;
    uint64_t end_us = self->started_us + UINT64_C(1000) * td_cli_timeout_ms(cli, TD_CANARY_WAIT_MS);
    struct timespec pause = {0, POLL_NS};

    while (self->seen < self->count && td_cli_mono_us() < end_us) {
        struct td_request request = {.op = TD_OP_STATUS};
        struct td_call_options options = {.this_node_only = true};
        struct td_call_result result = {0};
        if (td_call(cli->tidings, &request, &options, &result) == TD_OK &&
            result.response.err == TD_OK) {
            take_echoes(self, &result.response);
        }
        td_call_release(&result);
        nanosleep(&pause, NULL);
    }
}

static void report(struct canary *self)
{
    char seen[TEXT_BYTES] = "";
    size_t used = 0;

    for (size_t i = 0; i < self->count; i++) {
        const char *name = td_cli_region(self->doctor->status, self->echoes[i].region);
        if (!self->echoes[i].seen) {
            td_doctor_say(self->doctor, TD_FINDING_FAIL, "delivery",
                          "%s has not confirmed the canary after %s", name,
                          td_cli_duration((td_cli_mono_us() - self->started_us) / 1000));
            continue;
        }
        int more = snprintf(seen + used, sizeof seen - used, "%s%s after %.1f ms%s%s%s",
                            used > 0 ? ", " : "", name, (double)self->echoes[i].after_us / 1000.0,
                            self->echoes[i].via.v == 0 ? "" : " (through ",
                            self->echoes[i].via.v == 0
                                ? ""
                                : td_cli_region(self->doctor->status, self->echoes[i].via),
                            self->echoes[i].via.v == 0 ? "" : ")");
        used = more > 0 && used + (size_t)more < sizeof seen ? used + (size_t)more : used;
    }
    if (used > 0) {
        td_doctor_say(self->doctor, TD_FINDING_OK, "delivery", "canary confirmed by %.350s", seen);
    }
}

void td_doctor_delivery(struct td_doctor *doctor)
{
    static struct canary self;
    const struct td_response *status = doctor->status;

    self = (struct canary){.doctor = doctor};
    for (uint32_t i = 0; i < status->u.status.region_count; i++) {
        const struct td_region_view *view = &status->u.status.regions[i];
        bool wanted = doctor->only.v == 0 || doctor->only.v == view->region.v;
        if (!view->self && view->roster_state == TD_REGION_ACTIVE && wanted &&
            self.count < TD_REGION_NUMBER_MAX) {
            self.echoes[self.count++].region = view->region;
        }
    }
    snprintf(self.job, sizeof self.job, TD_CANARY_PREFIX "%.*s", (int)status->node_name.count,
             status->node_name.bytes);
    if (publish(&self) != 0) {
        return;
    }
    if (self.count == 0) {
        td_doctor_say(doctor, TD_FINDING_OK, "delivery",
                      "canary durable here; no other region yet");
        return;
    }
    await_echoes(&self);
    report(&self);
}
