/* json_conflicts.c -- jobs whose reports crossed each other, as JSON, and what of them is worth
 * showing. */
#include "node/client/json.h"
#include "proto/order.h"

const struct td_version_view *td_conflict_loser(const struct td_response *explain)
{
    const struct td_version_view *versions = explain->u.explain.versions;
    const struct td_version_view *worst = NULL;

    for (uint32_t i = 1; i < explain->u.explain.count; i++) {
        bool final = td_state_rank(versions[i].view.status.state) == 2;
        if (versions[i].concurrent && (worst == NULL || final)) {
            worst = &versions[i];
        }
    }
    return worst;
}

bool td_conflict_of_finals(const struct td_register_view *winner,
                           const struct td_version_view *loser)
{
    return loser != NULL && td_state_rank(winner->status.state) == 2 &&
           td_state_rank(loser->view.status.state) == 2 &&
           winner->status.state != loser->view.status.state;
}

json_t *td_json_conflict(const struct td_response *explain, const struct td_json_options *options)
{
    const struct td_register_view *winner = &explain->u.explain.versions[0].view;
    bool finals = td_conflict_of_finals(winner, td_conflict_loser(explain));
    json_t *item = td_json_job(explain, winner);
    json_t *body = td_json_explain(explain, options);

    (void)json_object_set_new(item, "kind", json_string(finals ? "finals" : "concurrent"));
    (void)json_object_set(item, "explain", json_object_get(body, "explain"));
    json_decref(body);
    return item;
}

json_t *td_json_alarms(const struct td_response *status)
{
    json_t *body = td_json_peers(status, NULL);
    json_t *list = json_array();
    size_t i = 0;
    json_t *peer = NULL;

    json_array_foreach(json_object_get(body, "peers"), i, peer)
    {
        size_t j = 0;
        json_t *word = NULL;
        json_array_foreach(json_object_get(peer, "alarms"), j, word)
        {
            (void)json_array_append_new(
                list,
                json_pack("{s:O, s:O}", "region", json_object_get(peer, "region"), "alarm", word));
        }
    }
    json_decref(body);
    return list;
}

json_t *td_json_conflicts(const struct td_response *status, json_t *take_list, bool more,
                          const struct td_json_options *options)
{
    json_t *body = td_json_envelope(status, "tidings.conflicts/1", options);

    (void)json_object_set_new(body, "conflicts", take_list);
    (void)json_object_set_new(body, "more", json_boolean(more));
    (void)json_object_set_new(body, "alarms", td_json_alarms(status));
    (void)json_object_set_new(body, "freshness", td_json_freshness(status));
    return body;
}
