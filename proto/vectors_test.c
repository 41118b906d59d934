/* vectors_test.c -- the frozen golden vectors: verdict and text, byte for byte. */
#include "proto/test_main.h"
#include "proto/vectors/vector.h"

static const char *const files[] = {"msgpack", "delta",   "batch",    "head",  "roster",   "card",
                                    "message", "request", "response", "token", "signature", "refused"};

enum { FIELD_BYTES_MAX = 64 * 1024 };

struct vector {
    char name[128];
    char kind[32];
    char context[64];
    unsigned type;
    int verdict;
    struct td_public_key key;
    struct td_signature signature;
    uint8_t bytes[FIELD_BYTES_MAX];
    size_t count;
    char text[FIELD_BYTES_MAX];
};

static size_t read_hex(const char *hex, uint8_t *bytes, size_t bytes_max)
{
    size_t count = 0;
    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        unsigned value = 0;
        assert_true(count < bytes_max);
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes[count++] = (uint8_t)value;
    }
    assert_int_equal(hex[0], '\0');
    return count;
}

static void read_field(struct vector *vector, const char *label, const char *value)
{
    if (strcmp(label, "name") == 0) {
        snprintf(vector->name, sizeof vector->name, "%s", value);
    } else if (strcmp(label, "kind") == 0) {
        snprintf(vector->kind, sizeof vector->kind, "%s", value);
    } else if (strcmp(label, "context") == 0) {
        snprintf(vector->context, sizeof vector->context, "%s", value);
    } else if (strcmp(label, "type") == 0) {
        vector->type = (unsigned)strtoul(value, NULL, 10);
    } else if (strcmp(label, "key") == 0) {
        assert_int_equal(read_hex(value, vector->key.bytes, 32), 32);
    } else if (strcmp(label, "signature") == 0) {
        assert_int_equal(read_hex(value, vector->signature.bytes, 64), 64);
    } else if (strcmp(label, "hex") == 0) {
        vector->count = read_hex(value, vector->bytes, sizeof vector->bytes);
    } else if (strcmp(label, "verdict") == 0) {
        assert_int_equal(sscanf(value, "TD-E%d", &vector->verdict), 1);
    } else if (strcmp(label, "text") == 0) {
        snprintf(vector->text, sizeof vector->text, "%s", value);
    } else {
        fail_msg("unknown label %s", label);
    }
}

static void check_signature(struct td_test *test, const struct vector *vector)
{
    struct td_bytes message = {vector->bytes, vector->count};
    bool valid = test->signer.verify(test->signer.self, &vector->key, vector->context, message,
                                     &vector->signature);
    if (valid != (vector->verdict == 0)) {
        fail_msg("signature, %s: valid is %d", vector->name, valid);
    }
}

static void check(struct td_test *test, const struct vector *vector)
{
    if (strcmp(vector->kind, "signature") == 0) {
        check_signature(test, vector);
        return;
    }
    /* A block of the exact size, so that a sanitizer sees one byte too far. */
    uint8_t *exact = malloc(vector->count + 1);
    assert_non_null(exact);
    memcpy(exact, vector->bytes, vector->count);
    uint8_t *bytes = realloc(exact, vector->count + (vector->count == 0));
    assert_non_null(bytes);
    struct td_bytes input = {bytes, vector->count};
    int err = (int)td_vector_verdict(test, vector->kind, vector->type, input);
    if (err != vector->verdict) {
        fail_msg("%s, %s: TD-E%04d, want TD-E%04d", vector->kind, vector->name, err,
                 vector->verdict);
    }
    if (err == 0) {
        char *text = NULL;
        size_t text_bytes = 0;
        FILE *stream = open_memstream(&text, &text_bytes);
        assert_non_null(stream);
        td_vector_text(stream, input);
        fclose(stream);
        assert_string_equal(text, vector->text);
        free(text);
    }
    free(bytes);
}

static unsigned check_file(struct td_test *test, const char *name)
{
    static char line[2 * FIELD_BYTES_MAX + 64];
    static struct vector vector;
    char path[4096];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/proto/vectors/%s.txt", TD_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    memset(&vector, 0, sizeof vector);
    for (bool more = true; more;) {
        more = fgets(line, sizeof line, file) != NULL;
        line[more ? strcspn(line, "\n") : 0] = '\0';
        if (line[0] == '\0' && vector.name[0] != '\0') {
            check(test, &vector);
            count++;
            memset(&vector, 0, sizeof vector);
        }
        char *colon = strstr(line, ": ");
        if (line[0] != '#' && colon != NULL) {
            *colon = '\0';
            read_field(&vector, line, colon + 2);
        } else if (strcmp(line, "hex:") == 0) {
            vector.count = 0;
        }
    }
    fclose(file);
    return count;
}

static void test_frozen_vectors_keep_their_verdict_and_text(void **state)
{
    struct td_test *test = *state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        unsigned count = check_file(test, files[i]);
        print_message("%s: %u vectors\n", files[i], count);
        assert_true(count >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_frozen_vectors_keep_their_verdict_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
