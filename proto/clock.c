/* clock.c -- dense version vectors: lookup, comparison and merge over sorted entries. */
#include "proto/clock.h"

#include "proto/assert.h"
#include "proto/order.h"

/* First entry not before origin. */
static uint32_t lower_bound(const struct td_vv *vv, struct td_origin origin)
{
    uint32_t low = 0;
    uint32_t high = vv->entry_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (td_origin_compare(vv->entries[middle].origin, origin) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Everything of this region that starts below the result is closed and held; 0 = no fold. */
static uint32_t fold_of(const struct td_vv *vv, struct td_region region)
{
    for (uint32_t i = 0; i < vv->fold_count; i++) {
        if (vv->folds[i].region.v == region.v) {
            return vv->folds[i].start_below;
        }
    }
    return 0;
}

uint64_t td_vv_seq(const struct td_vv *vv, struct td_origin origin)
{
    if (origin.incarnation.start < fold_of(vv, origin.region)) {
        return TD_SEQ_MAX;
    }
    uint32_t at = lower_bound(vv, origin);
    if (at == vv->entry_count || td_origin_compare(vv->entries[at].origin, origin) != 0) {
        return 0;
    }
    return vv->entries[at].seq;
}

bool td_vv_covers_dot(const struct td_vv *vv, struct td_dot dot)
{
    return dot.seq <= td_vv_seq(vv, dot.origin);
}

bool td_vv_covers(const struct td_vv *a, const struct td_vv *b)
{
    for (uint32_t i = 0; i < b->fold_count; i++) {
        if (fold_of(a, b->folds[i].region) < b->folds[i].start_below) {
            return false;
        }
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->entry_count; i++) {
        const struct td_vv_entry *entry = &b->entries[i];
        while (at < a->entry_count && td_origin_compare(a->entries[at].origin, entry->origin) < 0) {
            at++;
        }
        bool found =
            at < a->entry_count && td_origin_compare(a->entries[at].origin, entry->origin) == 0;
        bool covered = found && a->entries[at].seq >= entry->seq;
        if (!covered && entry->origin.incarnation.start >= fold_of(a, entry->origin.region)) {
            return false;
        }
    }
    return true;
}

bool td_vv_equal(const struct td_vv *a, const struct td_vv *b)
{
    return td_vv_covers(a, b) && td_vv_covers(b, a);
}

static bool folds_valid(const struct td_vv *vv)
{
    if (vv->fold_count > TD_REGIONS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < vv->fold_count; i++) {
        const struct td_vv_fold *fold = &vv->folds[i];
        if (fold->region.v == 0 || fold->start_below == 0) {
            return false;
        }
        if (i > 0 && vv->folds[i - 1].region.v >= fold->region.v) {
            return false;
        }
    }
    return true;
}

bool td_vv_valid(const struct td_vv *vv)
{
    if (vv->entry_count > TD_VV_ENTRIES_MAX || !folds_valid(vv)) {
        return false;
    }
    uint32_t of_region = 0;
    for (uint32_t i = 0; i < vv->entry_count; i++) {
        const struct td_vv_entry *entry = &vv->entries[i];
        if (entry->origin.region.v == 0 || entry->seq == 0 || entry->seq > TD_SEQ_MAX) {
            return false;
        }
        if (i > 0 && td_origin_compare(vv->entries[i - 1].origin, entry->origin) >= 0) {
            return false;
        }
        bool same = i > 0 && vv->entries[i - 1].origin.region.v == entry->origin.region.v;
        of_region = same ? of_region + 1 : 1;
        if (of_region > TD_INCARNATIONS_PER_REGION_MAX) {
            return false;
        }
    }
    return true;
}

static bool merge_folds(const struct td_vv *a, const struct td_vv *b, struct td_vv_fold *folds,
                        uint32_t folds_max, uint32_t *ret_count)
{
    uint32_t count = 0;
    uint32_t i = 0;
    uint32_t j = 0;
    while (i < a->fold_count || j < b->fold_count) {
        struct td_vv_fold next;
        if (j == b->fold_count ||
            (i < a->fold_count && a->folds[i].region.v < b->folds[j].region.v)) {
            next = a->folds[i++];
        } else if (i == a->fold_count || b->folds[j].region.v < a->folds[i].region.v) {
            next = b->folds[j++];
        } else {
            next = a->folds[i].start_below > b->folds[j].start_below ? a->folds[i] : b->folds[j];
            i++;
            j++;
        }
        if (count == folds_max) {
            return false;
        }
        folds[count++] = next;
    }
    *ret_count = count;
    return true;
}

/* The smaller next entry of both, or their maximum where they name the same origin. */
static struct td_vv_entry merge_next(const struct td_vv *a, uint32_t *i, const struct td_vv *b,
                                     uint32_t *j)
{
    if (*j == b->entry_count) {
        return a->entries[(*i)++];
    }
    if (*i == a->entry_count) {
        return b->entries[(*j)++];
    }
    int side = td_origin_compare(a->entries[*i].origin, b->entries[*j].origin);
    if (side < 0) {
        return a->entries[(*i)++];
    }
    if (side > 0) {
        return b->entries[(*j)++];
    }
    struct td_vv_entry left = a->entries[(*i)++];
    struct td_vv_entry right = b->entries[(*j)++];
    return left.seq >= right.seq ? left : right;
}

bool td_vv_merge(const struct td_vv *a, const struct td_vv *b, struct td_vv_entry *entries,
                 uint32_t entries_max, struct td_vv_fold *folds, uint32_t folds_max,
                 struct td_vv *ret_vv)
{
    struct td_vv merged = {0, 0, entries, folds};
    TD_ASSERT(entries != a->entries || entries == NULL);
    TD_ASSERT(entries != b->entries || entries == NULL);
    if (!merge_folds(a, b, folds, folds_max, &merged.fold_count)) {
        return false;
    }
    uint32_t i = 0;
    uint32_t j = 0;
    while (i < a->entry_count || j < b->entry_count) {
        struct td_vv_entry next = merge_next(a, &i, b, &j);
        if (next.origin.incarnation.start < fold_of(&merged, next.origin.region)) {
            continue;
        }
        if (merged.entry_count == entries_max) {
            return false;
        }
        entries[merged.entry_count++] = next;
    }
    *ret_vv = merged;
    return true;
}
