/* probe.h -- what a path does, measured with UDP packets: no ping needed, and losses are counted on
 * one direction at a time. */
#ifndef TD_WAN_PROBE_H
#define TD_WAN_PROBE_H

/* Sends back what arrives at a port until killed. Returns an exit status. */
int wan_echo(const char *port);
/* Sends count packets, one each interval, waits up to timeout_ms for the last answers and prints
 * one line: sent received dup reordered min_us median_us max_us. Exit 0 if anything came back. */
int wan_probe(const char *address, const char *port, unsigned count, unsigned interval_us,
              unsigned timeout_ms);

#endif
