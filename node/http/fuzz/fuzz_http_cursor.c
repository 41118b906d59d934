/* fuzz_http_cursor.c -- Last-Event-ID and cursor= of a watch, and the tokens of after=: what is
 * taken is given back as a text that is taken again. */
#include <stdlib.h>
#include <string.h>

#include "node/client/watch_place.h"
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"

/* The text that a cursor of another program, with later fields perhaps, becomes here. */
static char *cursor_again(const char *text)
{
    static struct td_watch_place place; /* large */
    struct td_watch_cursor cursor;
    struct td_token_memory memory = {0};
    char *again = NULL;
    if (td_cursor_from_text(text, &cursor, &memory) == TD_OK) {
        struct td_request ask = {.op = TD_OP_WATCH};
        again = td_cursor_to_text(&cursor);
        TD_ASSERT(again != NULL);
        td_watch_place_init(&place, UINT64_MAX);
        td_watch_place_resume(&place, &cursor);
        td_watch_place_ask(&place, &ask);
        TD_ASSERT(ask.after.entry_count == cursor.after.entry_count);
    }
    td_token_release(&memory);
    return again;
}

static char *token_again(const char *text)
{
    struct td_token token;
    struct td_token_memory memory = {0};
    char *again = NULL;
    if (td_token_from_text(text, &token, &memory) == TD_OK) {
        again = td_token_to_text(&token);
        TD_ASSERT(again != NULL);
    }
    td_token_release(&memory);
    return again;
}

/* Once it is ours, it stays as it is. */
static void check(const char *text, char *(*again)(const char *text))
{
    char *first = again(text);
    if (first != NULL) {
        char *second = again(first);
        TD_ASSERT(second != NULL && strcmp(first, second) == 0);
        free(second);
    }
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = malloc(count + 1);
    TD_ASSERT(text != NULL);
    memcpy(text, bytes, count);
    text[count] = '\0';
    check(text, cursor_again);
    check(text, token_again);
    free(text);
    return 0;
}
