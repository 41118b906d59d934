/* history.h -- what clients asked and were answered, judged from outside: nothing here knows how a
 * node works, so it serves the simulator and clusters of real processes alike. Events are told in
 * the order of their time, by one clock; each answer is judged against everything before it.
 *
 * I1  what a node acknowledged, that node shows, also after a restart; after healing every node
 * does I3  one process never shows less than it showed; nobody whose token covers a report is shown
 * less I4  a report accepted with a token is above what the token saw, and above all that node had
 * shown I6  what was acknowledged before the moment up to which an answer calls itself complete is
 * in it I7  a dot names one report */
#ifndef TD_HISTORY_H
#define TD_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

struct history;

enum { HISTORY_STATE_UNKNOWN = 255 };

struct history_dot {
    uint8_t region;
    uint32_t start, random;
    uint64_t seq; /* 0 = no report */
};
struct history_report {
    uint8_t rank;
    uint8_t state; /* HISTORY_STATE_UNKNOWN: not to be compared (reports that may have been joined) */
    uint64_t ms; /* stamp */
    uint32_t counter;
    struct history_dot dot;
};
struct history_age {
    uint8_t region;
    bool known;
    uint64_t age_ms;
};

enum history_kind {
    HISTORY_PUBLISH = 1, /* a client hands in a report */
    HISTORY_READ,        /* a client asks for a register */
    HISTORY_ACK,         /* the publish was accepted */
    HISTORY_SHOWN,       /* the read was answered */
    HISTORY_GONE,        /* no answer, or refused: nothing can be said */
};

struct history_event {
    enum history_kind kind;
    uint64_t time_ms;
    uint32_t client; /* a session; starts anew under another number when it loses its token */
    uint64_t call;   /* names the call among this client's */

    /* PUBLISH: what its token saw of the register; none = published without. */
    struct history_report seen;
    /* READ: it carried the vector of everything this session was answered. */
    bool token;
    /* READ: everything is healed and settled: what anybody acknowledged has to be shown. */
    bool settled;

    /* ACK, SHOWN. */
    uint32_t node;
    uint64_t process; /* differs between two lives of the node */
    const char *job;
    uint16_t attempt;
    bool found; /* SHOWN: there is such a register */
    bool noop;  /* ACK: the register said so already */
    struct history_report report;
    uint32_t age_count; /* SHOWN */
    const struct history_age *ages;
};

struct history_verdict {
    const char *rule; /* "I4"; NULL = nothing violated */
    char text[320];
};

struct history *history_new(void);
void history_free(struct history *history);
/* False when this event contradicts an earlier one; the first verdict stays. */
bool history_add(struct history *history, const struct history_event *event);
const struct history_verdict *history_verdict(const struct history *history);
/* Nothing that this region said is expected any more: its disk is lost, it was cloned, it lies. */
void history_forgive(struct history *history, uint8_t region);
/* Nothing that this node acknowledged or showed is expected of it any more: its disk is lost. */
void history_ruined(struct history *history, uint32_t node);
/* How many comparisons were made: a checker that was asked nothing proves nothing. */
uint64_t history_compared(const struct history *history);

#endif
