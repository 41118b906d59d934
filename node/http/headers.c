/* headers.c -- see headers.h. */
#include "node/http/headers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static bool is_port(const char *text)
{
    return text[0] == '\0' ||
           (text[0] == ':' && strspn(text + 1, "0123456789") == strlen(text + 1));
}

bool td_host_is_loopback(const char *host)
{
    char name[64];
    size_t count = host == NULL ? 0 : host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (count == 0 || count >= sizeof name || count > strlen(host) || !is_port(host + count)) {
        return false;
    }
    memcpy(name, host, count);
    name[count] = '\0';
    struct in_addr four;
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
           (inet_pton(AF_INET, name, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

bool td_media_is_json(const char *type)
{
    static const char json[] = "application/json";
    return type != NULL && strncasecmp(type, json, sizeof json - 1) == 0 &&
           strchr("; \t", type[sizeof json - 1]) != NULL;
}

bool td_content_length(const char *length, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    if (length == NULL || length[0] == '\0' || length[strspn(length, "0123456789")] != '\0') {
        return false;
    }
    for (const char *at = length; *at != '\0'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        bool over = bytes > (UINT64_MAX - digit) / 10;
        bytes = over ? UINT64_MAX : bytes * 10 + digit;
    }
    *ret_bytes = bytes;
    return true;
}
