/* update.h -- between the public structs with their NUL-terminated texts and those of the protocol.
 */
#ifndef TD_CLIENT_UPDATE_H
#define TD_CLIENT_UPDATE_H

#include "node/client/tidings.h"
#include "proto/client_msg.h"
#include "proto/delta.h"

/* Checks everything. Texts stay borrowed from `from`; labels: TD_LABELS_MAX slots, sorted into. */
TD_MUST_USE enum td_err td_update_from_public(const struct tidings_update *from, const char *writer,
                                              struct td_label *labels,
                                              struct td_update *ret_update);
void td_status_to_public(const struct td_response *response, const struct td_register_view *view,
                         struct tidings_status *ret_status);
void td_freshness_to_public(const struct td_response *response,
                            struct tidings_freshness *ret_freshness);

#endif
