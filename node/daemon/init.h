/* init.h -- `tidingsd init`: a key, a commented configuration, and the next step. */
#ifndef TD_DAEMON_INIT_H
#define TD_DAEMON_INIT_H

/* argv: what follows `init`. Exit code. Nothing is left half-done: an existing key or configuration is
 * never overwritten. */
int td_init_command(int argc, char **argv);

#endif
