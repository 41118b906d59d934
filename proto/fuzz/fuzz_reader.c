/* fuzz_reader.c -- the pre-scan and the unpacker behind it: both take the same inputs. */
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"
#include "proto/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    enum td_err scanned = td_prescan(input);
    TD_ASSERT(td_reader_init(fuzz->reader, input) == scanned);
    td_reader_enter(fuzz->reader, 0, UINT32_MAX);
    uint32_t left = td_reader_left(fuzz->reader);
    for (uint32_t i = 0; i < left; i++) {
        td_reader_text(fuzz->reader, UINT32_MAX);
    }
    td_reader_leave(fuzz->reader);
    TD_ASSERT(scanned == TD_OK || td_reader_err(fuzz->reader) != TD_OK);
    return 0;
}
