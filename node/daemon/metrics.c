/* metrics.c -- the node's metrics as Prometheus reads them. The numbers are those of the STATUS
 * answer, so that query, metric and alert cannot differ; labels are regions and closed word lists.
 */
#include "node/daemon/gateway.h"
#include "node/http/exposition.h"

void td_metrics_write(struct td_node *node, const struct td_response *status, struct td_buffer *out)
{
    (void)node;
    if (status == NULL) {
        return;
    }
    td_expo_family(out, "roster_version", "gauge", "Version of the roster in force.");
    td_expo_uint(out, "roster_version", NULL, status->u.status.roster_version);
}
