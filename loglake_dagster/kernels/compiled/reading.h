/* One record of the declared shape, from its text to noted values. */

#ifndef LOGLAKE_READING_H
#define LOGLAKE_READING_H

#include "builder.h"
#include "undeclared.h"

/* A text's place, or the value of a kind that is none in `size`. */
typedef struct {
    const byte *start;
    int64_t size;
    int column;
    int is_escaped;
} Value;

typedef struct {
    const byte *text, *end;
    Builder *builder;
    /* the record in hand */
    int is_odd, value_count;
    int is_unsure; /* what it is judged by may be read in two ways: a name twice, an escaped name, half a pair */
    uint64_t labels, seen[MOST_MEMBERS / 64];
    int judged[MOST_JUDGED]; /* places in `values` */
    Value values[MOST_MEMBERS];
    Extra extra;
} Reader;

static void note(Reader *reader, const Member *member, const byte *start, int64_t size, int is_escaped)
{
    if (member->judged >= 0)
        reader->judged[member->judged] = is_escaped ? -1 : reader->value_count;
    reader->values[reader->value_count++] = (Value){start, size, member->column, is_escaped};
}

static const byte *read_object(Reader *reader, Node *node, const byte *p, int depth);

/* The value of a known member: noted if it is as declared, or null; else the record is odd. NULL if it is not sound. */
static const byte *read_member(Reader *reader, const Member *member, const byte *p, int depth)
{
    const byte *start = p;
    int flags = 0;
    switch (member->kind) {
    case TEXT:
    case TIME:
        if (*p != '"')
            break;
        p = skip_string(p + 1, reader->end, &flags);
        if (p == NULL)
            return NULL;
        if (flags & LONE) {
            reader->is_odd = reader->is_unsure = 1;
        } else if (member->kind == TEXT) {
            note(reader, member, start + 1, p - start - 1, flags & ESCAPED);
        } else {
            int64_t time = time_of(start + 1, p - start - 1);
            if (time < 0)
                reader->is_odd = 1;
            else
                note(reader, member, NULL, time, 0);
        }
        return p + 1;
    case JSON:
        p = skip_value(p, reader->end, depth, &flags);
        if (p == NULL)
            return NULL;
        if (flags & LONE)
            reader->is_odd = reader->is_unsure = 1;
        if (*start == 'n')
            reader->labels |= (uint64_t)1 << member->label;
        else
            note(reader, member, start, p - start, 0);
        return p;
    case FLAG:
        if (*p != 't' && *p != 'f')
            break;
        p = skip_value(p, reader->end, depth, &flags);
        if (p != NULL)
            note(reader, member, NULL, *start == 't', 0);
        return p;
    case NUMBER: {
        const byte *digits = p + (*p == '-');
        const byte *after = skip_digits(digits);
        if (after == digits || after - digits > 18 || (*digits == '0' && after - digits > 1) || *after == '.' ||
            *after == 'e' || *after == 'E')
            break;
        int64_t number = 0;
        for (const byte *q = digits; q < after; q++)
            number = number * 10 + (*q - '0');
        note(reader, member, NULL, *p == '-' ? -number : number, 0);
        return after;
    }
    case NODE:
        if (*p != '{')
            break;
        return read_object(reader, member->node, p, depth - 1);
    case OTHER:
        break;
    }
    p = skip_value(p, reader->end, depth, &flags);
    reader->is_unsure |= flags & LONE;
    /* Above the labels there is room for two nulls, in the order in which they stand. */
    int room = reader->labels >> MOST_LABELS == 0 ? MOST_LABELS : MOST_LABELS + 8;
    if (*start == 'n' && member->null >= 0 && reader->labels >> (MOST_LABELS + 8) == 0)
        reader->labels |= (uint64_t)(member->null + 1) << room;
    else
        reader->is_odd = 1;
    return p;
}

/* An object of the shape, from its bracket on; NULL if it is not sound. */
static const byte *read_object(Reader *reader, Node *node, const byte *p, int depth)
{
    Member *member = NULL;
    int has_said = 0; /* a value, an object, or the null of a JSON leaf */
    p = skip_space(p + 1);
    if (*p == '}')
        goto done;
    for (;;) {
        int flags = 0;
        const byte *name = p + 1;
        if (*p != '"')
            return NULL;
        Member *found = next_member(node, member, name, reader->end);
        if (found != NULL) {
            p = name + found->size;
        } else {
            p = skip_string(name, reader->end, &flags);
            if (p == NULL)
                return NULL;
            found = flags & ESCAPED ? NULL : find_member(node, member, name, (size_t)(p - name));
        }
        size_t size = (size_t)(p - name);
        if (found != NULL)
            member = found;
        p = skip_space(p + 1);
        if (*p != ':')
            return NULL;
        p = skip_space(p + 1);
        if (found != NULL && !(reader->seen[found->id >> 6] >> (found->id & 63) & 1)) {
            reader->seen[found->id >> 6] |= (uint64_t)1 << (found->id & 63);
            has_said |= *p != 'n' || found->kind == JSON;
            p = read_member(reader, found, p, depth);
        } else {
            int is_new = found == NULL && !flags && !reader->is_odd && is_undeclared(&reader->extra, node, name, size);
            const byte *value = p;
            reader->is_unsure |= flags & ESCAPED || (found != NULL && found->judged >= 0);
            flags = 0;
            p = skip_value(p, reader->end, depth, &flags);
            reader->is_unsure |= flags & LONE;
            /* Where there is no memory for it, it is left to the readers in Python as well. */
            if (p == NULL || !is_new || flags & LONE ||
                !put_undeclared(&reader->extra, node, name, size, value, (size_t)(p - value)))
                reader->is_odd = 1;
        }
        if (p == NULL)
            return NULL;
        p = skip_space(p);
        if (*p == '}')
            break;
        if (*p != ',')
            return NULL;
        p = skip_space(p + 1);
    }
done:
    if (!has_said && node->label >= 0)
        reader->labels |= (uint64_t)1 << node->label;
    return p + 1;
}

#endif
