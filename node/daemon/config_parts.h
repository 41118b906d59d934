/* config_parts.h -- what config.c and config_yaml.c share. */
#ifndef TD_DAEMON_CONFIG_PARTS_H
#define TD_DAEMON_CONFIG_PARTS_H

#include "node/daemon/config.h"

/* "node.region" and so on; NULL behind the last one. */
const char *td_config_key(size_t index);
/* The value of a key as the file has it; NULL leaves the default. */
void td_config_set(struct td_config *config, const char *path, const char *text);
/* Every value of the file as text, unchecked. */
TD_MUST_USE enum td_err td_config_load(const char *path, struct td_config *config, char *ret_why);

#endif
