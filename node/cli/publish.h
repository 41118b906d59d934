/* publish.h -- what one report and many lines of reports share. */
#ifndef TD_CLI_PUBLISH_H
#define TD_CLI_PUBLISH_H

#include "node/cli/cli.h"

uint8_t td_publish_ack(const struct td_args *args);
/* tidings.publish/1 of a good result. NULL when out of memory. */
json_t *td_published_json(const char *job, const struct tidings_result *result,
                          enum tidings_state state);
/* One sentence on why the report was refused, escaped. */
void td_publish_refusal(const struct td_cli *cli, const char *job,
                        const struct tidings_result *result, char *ret_text, size_t text_bytes);
/* One update a line from path (- = standard input), one result a line. Exit code. */
int td_publish_lines(struct td_cli *cli, const char *path);

#endif
