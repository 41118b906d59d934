/* policy.c -- the page's content security policy: its own style and script, by their hashes, and
 * requests to this node alone. By hash there is no 'unsafe-inline', and the page stays one file. */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "node/http/embedded.h"
#include "node/http/internal.h"

enum { POLICY_BYTES = 2048 };

static char policy[POLICY_BYTES];
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void add(const char *text)
{
    size_t used = strlen(policy);
    (void)snprintf(policy + used, sizeof policy - used, "%s", text);
}

static void add_hash(const char *content, size_t count)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[64];
    crypto_hash_sha256(hash, (const unsigned char *)content, count);
    add(" 'sha256-");
    add(sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL));
    add("'");
}

/* Each <tag>...</tag> without attributes, as the page writes them. */
static void add_hashes(const char *open, const char *close)
{
    const char *at = (const char *)td_page_html;
    const char *end = at + td_page_html_count;
    bool any = false;
    while ((at = memmem(at, (size_t)(end - at), open, strlen(open))) != NULL) {
        const char *content = at + strlen(open);
        const char *stop = memmem(content, (size_t)(end - content), close, strlen(close));
        if (stop == NULL) {
            break;
        }
        add_hash(content, (size_t)(stop - content));
        any = true;
        at = stop;
    }
    add(any ? "; " : " 'none'; ");
}

static void make(void)
{
    add("default-src 'none'; script-src");
    add_hashes("<script>", "</script>");
    add("style-src");
    add_hashes("<style>", "</style>");
    add("connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
        "require-trusted-types-for 'script'; "
        "frame-ancestors 'none'");
}

const char *td_http_policy(void)
{
    (void)pthread_once(&made, make);
    return policy;
}
