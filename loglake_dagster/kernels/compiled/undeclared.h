/* Undeclared members of a record, as the JSON of its column `extra`: laid out like the record, values as they came,
   `{"new":1,"userIdentity":{"also":[2]}}`.

   A name that may be a declared one to readers that know every spelling, or that comes twice, is for those. */

#ifndef LOGLAKE_UNDECLARED_H
#define LOGLAKE_UNDECLARED_H

#include "shape.h"

enum { MOST_UNDECLARED = 16 };

typedef struct {
    const Node *node;
    const byte *name;
    size_t size;
} Undeclared;

/* Those of the record in hand. What is put together of them stands in `out` from `start` on, but for the brackets that
   close it: the object of `open` is the innermost that is open. */
typedef struct {
    Bytes *out;
    size_t start;
    const Node *open;
    int count;
    Undeclared members[MOST_UNDECLARED];
} Extra;

static void begin_extra(Extra *extra, Bytes *out)
{
    extra->out = out;
    extra->start = out->size;
    extra->open = NULL;
    extra->count = 0;
}

static void drop_extra(Extra *extra)
{
    extra->out->size = extra->start;
    extra->open = NULL;
    extra->count = 0;
}

/* Whether two names are one but for the case of letters of ASCII. */
static int is_spelling(const char *one, const byte *other, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        byte a = (byte)one[i], b = other[i];
        if (a != b && ((a ^ b) != 0x20 || !is_between(a | 0x20, 'a', 'z')))
            return 0;
    }
    return 1;
}

/* Whether the member of this name, which has no escapes, is undeclared beyond doubt. */
static int is_undeclared(const Extra *extra, const Node *node, const byte *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (name[i] >= 0x80) /* may be a letter of ASCII in lower case, as U+212A is */
            return 0;
    for (int i = 0; i < node->count; i++)
        if (node->members[i].size == size && is_spelling(node->members[i].name, name, size))
            return 0;
    for (int i = 0; i < extra->count; i++) {
        const Undeclared *one = &extra->members[i];
        if (one->node == node && one->size == size && memcmp(one->name, name, size) == 0)
            return 0;
    }
    return extra->count < MOST_UNDECLARED;
}

static int put_name(Bytes *out, const void *name, size_t size)
{
    int is_first = out->data[out->size - 1] == '{';
    return (is_first || append(out, ",", 1)) && append(out, "\"", 1) && append(out, name, size) && append(out, "\":", 2);
}

static int is_inside(const Node *node, const Node *outer)
{
    while (node != NULL && node != outer)
        node = node->parent;
    return node == outer;
}

static int open_object(Extra *extra, const Node *node)
{
    if (node == extra->open)
        return 1;
    if (node->parent != NULL &&
        !(open_object(extra, node->parent) && put_name(extra->out, node->as->name, node->as->size)))
        return 0;
    extra->open = node;
    return append(extra->out, "{", 1);
}

/* Adds a member of `node`. Members come in the order in which they stand, so that an object is opened once. 0 when
   there is no memory. */
static int put_undeclared(Extra *extra, const Node *node, const byte *name, size_t size, const byte *value,
                          size_t value_size)
{
    for (; extra->open != NULL && !is_inside(node, extra->open); extra->open = extra->open->parent)
        if (!append(extra->out, "}", 1))
            return 0;
    extra->members[extra->count++] = (Undeclared){node, name, size};
    return open_object(extra, node) && put_name(extra->out, name, size) && append(extra->out, value, value_size);
}

/* Closes what is open. 0 when there is no memory. */
static int close_extra(Extra *extra)
{
    for (; extra->open != NULL; extra->open = extra->open->parent)
        if (!append(extra->out, "}", 1))
            return 0;
    return 1;
}

#endif
