/* vector.h -- one golden vector: what the codec says of its bytes, and the bytes as text. Shared by
 * the generator and by the test that holds the frozen files. */
#ifndef TD_PROTO_VECTORS_VECTOR_H
#define TD_PROTO_VECTORS_VECTOR_H

#include <stdio.h>

#include "proto/test_support.h"

/* Decodes as this kind ("delta", "batch", "head", "roster", "card", "message", "request",
 * "response", "token", "msgpack"), signatures included where the kind has one, under the key of
 * seed 0x01 * 32. type: of a message. Aborts on an unknown kind. */
enum td_err td_vector_verdict(struct td_test *test, const char *kind, unsigned type,
                              struct td_bytes bytes);
/* Diagnostic notation of valid msgpack: numbers, "text", h'hex', [..., ...], and <<...>> around a
 * bin that is itself valid msgpack. */
void td_vector_text(FILE *out, struct td_bytes bytes);

#endif
