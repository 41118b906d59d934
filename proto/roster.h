/* roster.h -- signed membership (PROTOCOL, "Roster"). Wire and file form: [roster bin, signature
 * bin(64)] signed by the root key; roster = msgpack array
 *   [version format, cluster bin(16), cluster name str, version, issued ms, previous hash bin(32),
 *    policy [retain s, abandon s, max_absence s, registers_max, bytes_max],
 *    regions [[number, name, state, quota registers, quota bytes,
 *      keys [[number, sign bin, link bin], ...], endpoints [str, ...], admitted version,
 *      closed list [start, random, last seq, ...], doubtful since ms, card bin
 *      (, retired below, retired list [start, random, last seq, ...])], ...],
 *    clients [[number, name, role, sign bin, link bin, prefixes [str, ...], admitted version],
 *      ...] (, highest client number ever given)]. What stands in round brackets is left out when it
 *    would say nothing. */
#ifndef TD_PROTO_ROSTER_H
#define TD_PROTO_ROSTER_H

#include "proto/arena.h"
#include "proto/err.h"
#include "proto/head.h"
#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/sign.h"

enum { TD_ROSTER_FORMAT = 1, TD_CARD_FORMAT = 1 };
enum { TD_POLICY_FIELDS = 5 };
enum td_region_state { TD_REGION_ACTIVE = 0, TD_REGION_CLOSING = 1, TD_REGION_CLOSED = 2 };
enum td_role { TD_ROLE_PUBLISH = 0, TD_ROLE_READ = 1, TD_ROLE_ADMIN = 2 };

struct td_policy {
    uint64_t retain_s;      /* 30 d */
    uint64_t abandon_s;     /* 365 d */
    uint64_t max_absence_s; /* 7 d */
    uint64_t registers_max; /* 0 = eight default quotas */
    uint64_t bytes_max;
};
#define TD_QUOTA_REGISTERS_DEFAULT UINT64_C(1000000)
#define TD_QUOTA_BYTES_DEFAULT UINT64_C(536870912)

struct td_region_key {
    uint16_t number; /* the newest is in force */
    struct td_public_key sign_key;
    struct td_public_key link_key;
};
struct td_roster_region {
    struct td_region number;
    struct td_text name;
    enum td_region_state state;
    uint64_t quota_registers;
    uint64_t quota_bytes;
    uint32_t key_count;
    const struct td_region_key *keys; /* ascending number */
    uint32_t endpoint_count;
    const struct td_text *endpoints; /* tcp://HOST:PORT */
    uint64_t admitted_version;
    uint32_t closed_count;
    const struct td_closing *closed; /* complete list, only when closed */
    uint64_t doubtful_since_ms;
    struct td_bytes card; /* the region's card as signed by the root (td_card_encode) */
    /* Keys with a number below this one count only as far as the list of incarnations goes, which is
     * complete; 0 = no list yet. */
    uint16_t retired_below;
    uint32_t retired_count;
    const struct td_closing *retired;
};
struct td_roster_client {
    uint32_t number; /* 1.., never reused */
    struct td_text name;
    enum td_role role;
    struct td_public_key sign_key;
    struct td_public_key link_key;
    uint32_t prefix_count; /* 0 = every job id */
    const struct td_text *prefixes;
    uint64_t admitted_version;
};
/* All slices and arrays belong to the arena and bytes it was decoded from. Immutable once built. */
struct td_roster {
    struct td_cluster_id cluster;
    struct td_text cluster_name;
    uint64_t version;
    uint64_t issued_ms;
    struct td_hash previous;
    struct td_policy policy;
    uint32_t region_count;
    const struct td_roster_region *regions; /* ascending number */
    uint32_t client_count;
    const struct td_roster_client *clients; /* ascending number */
    uint32_t clients_ever; /* highest client number ever given; set by decode also where it is left out */

    struct td_hash hash; /* of the signed bytes; set by encode and decode */
    struct td_bytes raw;
};

TD_MUST_USE size_t td_roster_encode(struct td_roster *roster, const struct td_signer *root_signer,
                                    void *bytes, size_t size_bytes);
/* Checks format, limits, unique numbers, names and keys, and the root's signature. */
TD_MUST_USE enum td_err td_roster_decode(struct td_bytes raw, const struct td_signer *signer,
                                         const struct td_public_key *root_sign_key,
                                         struct td_reader *reader, struct td_arena *arena,
                                         struct td_roster *ret_roster);
/* DESIGN 4: higher version wins; of one version the smaller hash. */
bool td_roster_newer(const struct td_roster *candidate, const struct td_roster *current);
const struct td_roster_region *td_roster_region(const struct td_roster *roster,
                                                struct td_region region);
const struct td_roster_region *td_roster_region_named(const struct td_roster *roster,
                                                      struct td_text name);
const struct td_roster_region *td_roster_region_by_link_key(const struct td_roster *roster,
                                                            const struct td_public_key *link_key);
const struct td_roster_client *td_roster_client_by_link_key(const struct td_roster *roster,
                                                            const struct td_public_key *link_key);
/* NULL when the region has no key of this number. */
const struct td_region_key *td_roster_key(const struct td_roster *roster, struct td_region region,
                                          uint16_t key_number);
const struct td_region_key *td_roster_newest_key(const struct td_roster_region *region);
/* The region and number of a link key that was replaced; NULL when it is in force or not there. */
const struct td_roster_region *td_roster_region_of_old_link_key(
    const struct td_roster *roster, const struct td_public_key *link_key, uint16_t *ret_number);
/* Whether others keep links to it: a leaving region still says what it has, a revoked one is not
 * asked. */
bool td_roster_region_links(const struct td_roster_region *region);
/* TD_OK, or why a batch of this origin, up to this seq and signed with this key, counts nothing:
 * TD_ENOTINROSTER, TD_ECLOSED, TD_EROTATED. The signature is another matter. */
TD_MUST_USE enum td_err td_roster_counts(const struct td_roster *roster, struct td_origin origin,
                                         uint16_t key_number, uint64_t last_seq);
/* What this region said at that time is to be doubted (shown, never changed). */
bool td_roster_doubts(const struct td_roster *roster, struct td_region region, uint64_t stamp_ms);
bool td_client_may_touch(const struct td_roster_client *client, struct td_text job);

/* The responder's proof in handshake message 2: signed by the root when the region is admitted and
 * carried in the roster beside it; at most TD_CARD_BYTES_MAX.
 * Wire: [card bin, signature bin(64)]; card = [format, cluster bin(16), region, key number, sign
 * bin, link bin, roster version]. */
struct td_card {
    struct td_cluster_id cluster;
    struct td_region region;
    uint16_t key_number;
    struct td_public_key sign_key;
    struct td_public_key link_key;
    uint64_t roster_version;
};
TD_MUST_USE size_t td_card_encode(const struct td_card *card, const struct td_signer *root_signer,
                                  void *bytes, size_t size_bytes);
TD_MUST_USE enum td_err td_card_decode(struct td_bytes raw, const struct td_signer *signer,
                                       const struct td_public_key *root_sign_key,
                                       struct td_reader *reader, struct td_card *ret_card);

#endif
