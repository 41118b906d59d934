/* record.h -- payloads of the log's small records (LOG, "Records"): has, incarnation, closing,
 * wall. */
#ifndef TD_LOG_RECORD_H
#define TD_LOG_RECORD_H

#include "node/core/core.h"

enum {
    TD_VV_ENTRY_BYTES = 17,
    TD_VV_FOLD_BYTES = 5,
    TD_RECORD_BYTES_MAX =
        8 + TD_VV_ENTRIES_MAX * TD_VV_ENTRY_BYTES + TD_REGION_NUMBER_MAX * TD_VV_FOLD_BYTES
};

/* Room for the vectors of one decoded record. */
struct td_record_room {
    struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    struct td_vv_fold folds[TD_REGION_NUMBER_MAX];
};

/* Size of the payload; 0 when the record is not one the log keeps (a batch, a hole) or over limits.
 */
size_t td_record_payload_bytes(const struct td_record *record);
/* Writes exactly td_record_payload_bytes(record). */
void td_record_payload_encode(const struct td_record *record, uint8_t *ret_bytes);
/* TD_EFORMAT. Vectors point into room. ref is left alone. */
TD_MUST_USE enum td_err td_record_payload_decode(uint8_t type, struct td_bytes payload,
                                                 struct td_record_room *room,
                                                 struct td_record *ret_record);

#endif
