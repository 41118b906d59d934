/* writer.c -- msgpack-c's packer with our bounded buffer behind its write callback. The packer
 * emits the shortest form of every integer and header, the only one our readers accept. */
#include "proto/writer.h"

#include <msgpack/pack.h>
#include <string.h>

static int append(void *self, const char *bytes, size_t count)
{
    struct td_writer *writer = self;
    if (writer->overflow || count > writer->size_bytes - writer->used_bytes) {
        writer->overflow = true;
        return 0; /* latched; the packer need not know */
    }
    if (count != 0) {
        memcpy(writer->bytes + writer->used_bytes, bytes, count);
    }
    writer->used_bytes += count;
    return 0;
}

static msgpack_packer packer_of(struct td_writer *writer)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, writer, append);
    return packer;
}

void td_writer_init(struct td_writer *writer, void *bytes, size_t size_bytes)
{
    writer->bytes = bytes;
    writer->size_bytes = size_bytes;
    writer->used_bytes = 0;
    writer->overflow = false;
}

void td_writer_array(struct td_writer *writer, uint32_t count)
{
    msgpack_packer packer = packer_of(writer);
    msgpack_pack_array(&packer, count);
}

void td_writer_uint(struct td_writer *writer, uint64_t value)
{
    msgpack_packer packer = packer_of(writer);
    msgpack_pack_uint64(&packer, value);
}

void td_writer_text(struct td_writer *writer, struct td_text text)
{
    msgpack_packer packer = packer_of(writer);
    msgpack_pack_str(&packer, text.count);
    msgpack_pack_str_body(&packer, text.bytes, text.count);
}

void td_writer_bin(struct td_writer *writer, struct td_bytes bytes)
{
    msgpack_packer packer = packer_of(writer);
    if (bytes.count > UINT32_MAX) {
        writer->overflow = true;
        return;
    }
    msgpack_pack_bin(&packer, bytes.count);
    msgpack_pack_bin_body(&packer, bytes.bytes, bytes.count);
}

void td_writer_raw(struct td_writer *writer, struct td_bytes bytes)
{
    append(writer, (const char *)bytes.bytes, bytes.count);
}

size_t td_writer_done(const struct td_writer *writer)
{
    return writer->overflow ? 0 : writer->used_bytes;
}
