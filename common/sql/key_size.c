#include "sql/key_size.h"

#include "frames/frame.h"

bool key_has_column(const struct relation *rel, uint32_t column)
{
    for (uint32_t i = 0; i < rel->npk; i++)
        if (rel->pk[i] == column)
            return true;
    return false;
}

/* Whether a column that identifies rows is not in the primary key. */
static bool has_other_identity(const struct relation *rel)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key && !key_has_column(rel, i))
            return true;
    return false;
}

bool key_needs_identity_index(const struct relation *rel)
{
    if (rel->replica_identity == REPLICA_IDENTITY_INDEX)
        return true;
    if (rel->replica_identity == REPLICA_IDENTITY_PARTITION)
        return has_other_identity(rel);
    if (rel->replica_identity != REPLICA_IDENTITY_DEFAULT || rel->npk > 0)
        return false;
    /* The catalog could not be asked, but the stream says what the primary key's columns are. */
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key)
            return true;
    return false;
}

/* What a variable column would like to have, in bytes: all it can ever hold. */
static uint32_t wanted_bytes(const struct key_column *k, const struct key_rules *rules)
{
    uint64_t bytes = (uint64_t)k->most_units * k->unit_bytes + rules->overhead_bytes;
    return k->most_units == 0 || bytes > rules->index_bytes ? rules->index_bytes : (uint32_t)bytes;
}

/*
 * The bytes that column `of` gets in the index: the primary key or the other one. Those that want
 * less than an equal share get what they want; the rest share what is left.
 */
static uint32_t index_share(const struct relation *rel, uint32_t of, bool primary,
                            const struct key_rules *rules)
{
    bool settled[FRAME_MAX_COLUMNS] = {false};
    uint32_t left = rules->index_bytes, sharing = 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct key_column k = rules->column(&rel->columns[i]);
        bool in = primary ? key_has_column(rel, i) : rel->columns[i].key;
        settled[i] = !in || !k.variable;
        if (in && !k.variable)
            left -= left > k.fixed_bytes ? k.fixed_bytes : left;
        sharing += !settled[i];
    }
    for (bool again = true; again && sharing > 0;) {
        uint32_t share = left / sharing;
        again = false;
        for (uint32_t i = 0; i < rel->ncolumns; i++) {
            const struct key_column k = rules->column(&rel->columns[i]);
            uint32_t wanted = wanted_bytes(&k, rules);
            if (settled[i] || wanted > share)
                continue;
            if (i == of)
                return wanted;
            settled[i] = again = true;
            left -= wanted;
            sharing--;
        }
    }
    return sharing > 0 ? left / sharing : left;
}

uint32_t key_length(const struct relation *rel, uint32_t column, const struct key_rules *rules)
{
    const struct key_column k = rules->column(&rel->columns[column]);
    uint32_t bytes = 0;
    if (!k.variable)
        return 0;
    if (key_has_column(rel, column))
        bytes = index_share(rel, column, true, rules);
    if (rel->columns[column].key && key_needs_identity_index(rel)) {
        uint32_t other = index_share(rel, column, false, rules);
        bytes = bytes && bytes < other ? bytes : other;
    }
    if (bytes == 0)
        return 0;
    uint32_t length =
        bytes > rules->overhead_bytes ? (bytes - rules->overhead_bytes) / k.unit_bytes : 0;
    if (length == 0)
        length = 1;
    return k.most_units && k.most_units < length ? k.most_units : length;
}

bool key_fits(const struct relation *rel, const struct key_rules *rules)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        uint32_t length = key_length(rel, i, rules);
        if (length && length != rules->column(&rel->columns[i]).most_units)
            return false;
    }
    return true;
}
