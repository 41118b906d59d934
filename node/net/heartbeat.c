/* heartbeat.c -- is the other side still there, and how far away. */
#include "node/net/internal.h"

#include "proto/frame.h"

static uint32_t dead_ms(const struct link *link)
{
    uint32_t ms = link->srtt_us / 1000 * 8;

    ms = ms > DEAD_MS_MAX ? DEAD_MS_MAX : ms;
    return ms < link->net->times.dead ? link->net->times.dead : ms;
}

/* Age of the oldest ping without an answer; 0 = none. */
static uint64_t oldest_unanswered_us(const struct link *link, uint64_t now_us)
{
    uint64_t oldest_us = 0;

    for (unsigned i = 0; i < PINGS_MAX; i++) {
        uint64_t sent_us = link->pings_us[i];
        if (sent_us != 0 && now_us - sent_us > oldest_us) {
            oldest_us = now_us - sent_us;
        }
    }
    return oldest_us;
}

static void say_late(struct link *link, uint64_t now_us)
{
    uint64_t age_us = oldest_unanswered_us(link, now_us);
    uint64_t allowed_us = (uint64_t)link->srtt_us * 4;

    uint64_t least_us = (uint64_t)link->net->times.heartbeat * 2000;
    allowed_us = allowed_us < least_us ? least_us : allowed_us;
    if (age_us > allowed_us && link->net->sink.link_rtt != NULL &&
        !atomic_load(&link->net->stopping)) {
        link->net->sink.link_rtt(link->net->sink.self, link->info.link, false,
                                 age_us > UINT32_MAX ? UINT32_MAX : (uint32_t)age_us);
    }
}

static void send_ping(struct link *link, uint64_t now_us)
{
    struct td_msg ping = {.type = TD_MSG_PING, .u.nonce = now_us};
    uint8_t bytes[16];
    size_t count = td_msg_encode(&ping, bytes, sizeof bytes);

    link->pings_us[link->ping_next] = now_us;
    link->ping_next = (link->ping_next + 1) % PINGS_MAX;
    link_queue_urgent(link, TD_MSG_PING, (struct td_bytes){bytes, count});
}

void link_heartbeat(struct link *link, uint64_t now_ms)
{
    if (now_ms < link->ping_ms) {
        return;
    }
    /* When we ourselves were stopped, the answers may lie unread: the peer gets another chance. */
    const struct td_net_times *times = &link->net->times;
    if (now_ms - link->run_ms > 2 * times->heartbeat &&
        now_ms - link->receive_ms > times->dead / 2) {
        link->receive_ms = now_ms - times->dead / 2;
    }
    if (now_ms - link->receive_ms > dead_ms(link)) {
        link_leave(link, TD_ETIMEOUT, false);
        return;
    }
    uint64_t now_us = net_now_us();
    say_late(link, now_us);
    send_ping(link, now_us);
    link->ping_ms = now_ms + times->heartbeat;
}

/* A remote client whose host is gone would hold its place for ever: TCP alone never notices. */
void link_client_alive(struct link *link, uint64_t now_ms)
{
    const struct td_net_times *times = &link->net->times;

    if (now_ms - link->run_ms > times->client_dead) {
        link->receive_ms = now_ms - times->client_ping; /* it was us who were away */
    }
    if (now_ms >= link->receive_ms + times->client_dead) {
        link_leave(link, TD_ETIMEOUT, true);
        return;
    }
    uint64_t ping_ms = link->receive_ms + times->client_ping;
    if (now_ms >= ping_ms && link->ping_ms < ping_ms) {
        send_ping(link, net_now_us());
        link->ping_ms = now_ms;
    }
}

/* Only nonces we sent and that were not answered yet count. */
void link_pong(struct link *link, uint64_t nonce)
{
    uint64_t now_us = net_now_us();

    for (unsigned i = 0; i < PINGS_MAX; i++) {
        if (link->pings_us[i] != nonce || nonce == 0) {
            continue;
        }
        uint64_t rtt_us = now_us - nonce;
        uint32_t rtt = rtt_us > UINT32_MAX ? UINT32_MAX : (uint32_t)rtt_us;
        link->pings_us[i] = 0;
        link->srtt_us = link->srtt_us == 0 ? rtt : link->srtt_us - link->srtt_us / 8 + rtt / 8;
        if (link->net->sink.link_rtt != NULL && !atomic_load(&link->net->stopping)) {
            link->net->sink.link_rtt(link->net->sink.self, link->info.link, true, rtt);
        }
        return;
    }
}
