/* doctor.h -- what the parts of doctor share: one line a finding, and their count. */
#ifndef TD_CLI_DOCTOR_H
#define TD_CLI_DOCTOR_H

#include "node/cli/cli.h"

enum { TD_FINDINGS_MAX = 512, TD_FINDING_BYTES = 400, TD_TRIES_MAX = 16 };

enum td_finding_level { TD_FINDING_OK, TD_FINDING_NOTE, TD_FINDING_FAIL };
struct td_finding {
    enum td_finding_level level;
    const char *part; /* config, key, clock, log, link, delivery, alarm */
    char text[TD_FINDING_BYTES];
};
struct td_doctor {
    struct td_cli *cli;
    const struct td_response *status;
    struct td_region only; /* 0 = every region */
    size_t count;
    struct td_finding findings[TD_FINDINGS_MAX];
    size_t try_count;
    char tries[TD_TRIES_MAX][TD_FINDING_BYTES]; /* commands, each once */
};

__attribute__((format(printf, 4, 5))) void td_doctor_say(struct td_doctor *doctor,
                                                         enum td_finding_level level,
                                                         const char *part, const char *format, ...);
__attribute__((format(printf, 2, 3))) void td_doctor_try(struct td_doctor *doctor,
                                                         const char *format, ...);

/* doctor_delivery.c */
/* Connects to tcp://HOST:PORT and closes again; what happened in words. True = connected. */
bool td_probe_tcp(struct td_text endpoint, uint32_t timeout_ms, char *ret_text, size_t text_bytes);
/* Publishes a canary and waits until each region has confirmed it. */
void td_doctor_delivery(struct td_doctor *doctor);

#endif
