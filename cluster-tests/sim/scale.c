/* scale.c -- tidings-scale: 3, 8, 16, 32, 64 regions in full mesh, healthy and with a tenth of the
 * links cut. Prints what each costs and how it grows; with --check it holds the figures against
 * their aims. */
#include "cluster-tests/sim/scale.h"

#include <stdlib.h>
#include <string.h>

/* The aims. Convergence is judged against what the paths alone cost: a spread of delays makes the
 * last node late whatever the protocol does. */
static const struct {
    double copies, copies_while_changing, over_floor_healthy, over_floor_cut;
} aims = {1.1, 2.0, 1.15, 1.25};

struct scale_settings scale_settings_default(void)
{
    return (struct scale_settings){.seed = 1,
                                   .window_ms = 15000,
                                   .delay_ms_min = 20,
                                   .delay_ms_max = 80,
                                   .jitter_ms = 4,
                                   .flush_ms_min = 1,
                                   .flush_ms_max = 4,
                                   .workers_per_region = 2,
                                   .gap_ms = 1000,
                                   .ack_percent = 10,
                                   .jobs = 2000,
                                   .warm_ms = 10000,
                                   .change_ms = 10000};
}

const char *scale_phase_name(enum scale_phase phase)
{
    static const char *const names[SCALE_PHASES] = {"healthy", "cutting", "cut", "healing"};
    return names[phase];
}

/* ---- one world ---- */
/* Nothing but what is named here happens: no other faults, no bad members, jobs in their plain
 * life. */
static struct sim_options options_of(const struct scale_settings *settings)
{
    return (struct sim_options){
        .seed = settings->seed,
        .regions = settings->regions,
        .fault_ms = settings->warm_ms + 2 * settings->window_ms + 2 * settings->change_ms,
        .settle_ms = 60000,
        .delay_ms_min = settings->delay_ms_min,
        .delay_ms_max = settings->delay_ms_max,
        .jitter_ms = settings->jitter_ms,
        .flush_ms_min = settings->flush_ms_min,
        .flush_ms_max = settings->flush_ms_max,
        .workers_per_region = settings->workers_per_region,
        .gap_ms = settings->gap_ms,
        .jobs = settings->jobs,
        .ring_batches = 256,
        .segment_bytes = 1 << 20,
        .ack_percent = settings->ack_percent,
        .fault_gap_ms = 1000,
        .faults = 1u << SIM_FAULT_CUT, /* not the healthy case for the checkers ... */
        .faults_max = 0,               /* ... but the only cuts are those of scale_net.c */
    };
}

struct scale_result scale_run(const struct scale_settings *settings)
{
    struct scale_result result = {.settings = *settings};
    struct sim_options options = options_of(settings);
    struct sim_world *world = sim_world_new(&options, NULL);
    struct scale_watch watch;

    scale_watch_init(&watch, settings, world);
    world->watch = &watch.hooks;
    result.links = settings->regions * (settings->regions - 1) / 2;
    result.links_cut = watch.net.cut_count;
    result.delay_ms_mean = scale_net_mean_ms(&watch.net);
    result.passed = sim_world_run(world);
    if (!result.passed) {
        snprintf(result.failure, sizeof result.failure, "%s: %s", world->failed_checker,
                 world->failure);
    }
    scale_watch_rows(&watch, world, &result);
    scale_watch_fini(&watch);
    sim_world_free(world);
    return result;
}

/* ---- the table ---- */
static void print_settings(const struct scale_settings *settings)
{
    printf("full mesh, seed %llu; delay %u..%u ms, jitter 0..%u ms, flush %u..%u ms; %u workers a "
           "region\n",
           (unsigned long long)settings->seed, settings->delay_ms_min, settings->delay_ms_max,
           settings->jitter_ms, settings->flush_ms_min, settings->flush_ms_max,
           settings->workers_per_region);
    printf("a report or read every %u ms each; windows %u s, changes %u s; bytes per node and "
           "second\n",
           settings->gap_ms, settings->window_ms / 1000, settings->change_ms / 1000);
    printf("conv = durable at the origin to merged at the last node, in mean one-way delays;\n"
           "floor = the same by the paths alone\n");
    printf("regions phase   deltas  lost  copies most   >2 |  conv   p99  most floor |");
    printf("   head    has   data digest   rest | changes xfers\n");
}

static void print_row(const struct scale_result *result, enum scale_phase phase)
{
    const struct scale_row *row = &result->rows[phase];
    double unit = result->delay_ms_mean;

    printf("%7u %-8s %5llu %5llu %7.3f %4u %3.1f%% |", result->settings.regions,
           scale_phase_name(phase), (unsigned long long)row->deltas,
           (unsigned long long)row->undelivered, row->copies, row->copies_most,
           100 * row->over_two);
    printf(" %5.2f %5.2f %5.2f %5.2f |", row->mean_ms / unit, row->p99_ms / unit,
           row->most_ms / unit, row->floor_ms / unit);
    for (int kind = 0; kind < SCALE_KINDS; kind++) {
        printf(" %6.0f", row->bytes[kind]);
    }
    printf(" | %7llu %5llu\n", (unsigned long long)row->source_changes,
           (unsigned long long)row->transfers);
}

static void print_result(const struct scale_result *result)
{
    const struct scale_row *healthy = &result->rows[SCALE_HEALTHY];

    for (int phase = 0; phase < SCALE_PHASES; phase++) {
        print_row(result, (enum scale_phase)phase);
    }
    printf("        %u of %u links cut, mean delay %.1f ms; healthy, per node: %.1f heads/s of "
           "%.0f B,",
           result->links_cut, result->links, result->delay_ms_mean, healthy->frames[SCALE_HEAD],
           result->head_bytes);
    printf(" %.1f has/s of %.0f B, %llu steps/s\n", healthy->frames[SCALE_HAS], result->has_bytes,
           (unsigned long long)result->steps_per_node_s);
    fflush(stdout);
}

/* ---- the aims ---- */
static bool missed(const struct scale_result *result, enum scale_phase phase, const char *what,
                   double value, double aim)
{
    if (value <= aim) {
        return false;
    }
    printf("MISSED at %u regions, %s: %s %.3f, aim %.3f\n", result->settings.regions,
           scale_phase_name(phase), what, value, aim);
    return true;
}

static bool check_row(const struct scale_result *result, enum scale_phase phase)
{
    const struct scale_row *row = &result->rows[phase];
    bool changing = phase == SCALE_CUTTING || phase == SCALE_HEALING;
    bool bad = row->deltas == 0;

    bad |= missed(result, phase, "(delta, node) without delivery", (double)row->undelivered, 0);
    bad |= missed(result, phase, "payload copies", row->copies,
                  changing ? aims.copies_while_changing : aims.copies);
    bad |= missed(result, phase, "copies of one delta at one node", row->copies_most, 2);
    if (!changing) {
        bad |= missed(result, phase, "convergence over the floor", row->mean_ms / row->floor_ms,
                      phase == SCALE_CUT ? aims.over_floor_cut : aims.over_floor_healthy);
    }
    return !bad;
}

static bool check(const struct scale_result *result)
{
    bool good = result->passed;

    if (!result->passed) {
        printf("FAILED at %u regions: %s\n", result->settings.regions, result->failure);
    }
    for (int phase = 0; phase < SCALE_PHASES; phase++) {
        good &= check_row(result, (enum scale_phase)phase);
    }
    return good;
}

static int usage(void)
{
    fputs("usage: tidings-scale [--seed N] [--window SECONDS] [--gap MS] REGIONS ...\n"
          "Exit 1 when a figure misses its aim.\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct scale_settings settings = scale_settings_default();
    bool good = true, printed = false;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && i + 1 < argc) {
            uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
            if (strcmp(argv[i], "--seed") == 0) {
                settings.seed = value;
            } else if (strcmp(argv[i], "--window") == 0 && value > 0) {
                settings.window_ms = value * 1000;
            } else if (strcmp(argv[i], "--gap") == 0 && value > 0) {
                settings.gap_ms = value;
            } else {
                return usage();
            }
            i++;
            continue;
        }
        settings.regions = (uint32_t)strtoul(argv[i], NULL, 10);
        if (settings.regions < 3 || settings.regions > TD_REGIONS_MAX) {
            return usage();
        }
        if (!printed) {
            print_settings(&settings);
            printed = true;
        }
        struct scale_result result = scale_run(&settings);
        print_result(&result);
        good &= check(&result);
    }
    return !printed ? usage() : good ? 0 : 1;
}
