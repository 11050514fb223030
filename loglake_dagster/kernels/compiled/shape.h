/* The declared shape of a record: its members, and how they are found by name. */

#ifndef LOGLAKE_SHAPE_H
#define LOGLAKE_SHAPE_H

#include "rows.h"

enum { MOST_MEMBERS = 256, MOST_LABELS = 48, MOST_NULLS = 255, MOST_JUDGED = 4, MOST_RULES = 8, DEEPEST = 200, SLOTS = 512 };

typedef struct Node Node;

typedef struct {
    char *name;      /* with its closing quote, and zeros up to a multiple of eight */
    uint64_t last;   /* which bits of its last eight bytes count */
    uint32_t size;   /* without the quote */
    uint32_t eights; /* before the last eight bytes */
    Kind kind;
    int column;   /* of a leaf */
    int label;    /* bit of "was null" of a JSON leaf */
    int null;     /* number of "was null" of another leaf, or of a node; -1 where it may not be */
    int judged;   /* place among the judged, or -1 */
    int id;       /* bit by which a second one is seen */
    int next;     /* the member that followed it last time: records of a log are alike */
    Node *node;   /* of a node */
} Member;

struct Node {
    const Node *parent; /* NULL of a record itself */
    const Member *as;   /* of its parent */
    Member *members;
    int count;
    int first;
    int label; /* bit of "was {}" */
    int16_t slots[SLOTS];
};

static unsigned slot_of(const byte *name, size_t size)
{
    unsigned hash = (unsigned)size * 31u + name[0] * 7u + name[size / 2] * 13u + name[size - 1] * 101u;
    return (hash ^ (hash >> 9)) & (SLOTS - 1);
}

static void free_node(Node *node)
{
    if (node == NULL)
        return;
    for (int i = 0; i < node->count; i++) {
        free(node->members[i].name);
        free_node(node->members[i].node);
    }
    free(node->members);
    free(node);
}

/* Whether a name that begins at `p` is the member's, to its closing quote. */
static inline int is_name(const Member *member, const byte *p, const byte *end)
{
    if (end - p < (ptrdiff_t)member->size + 8)
        return end - p > (ptrdiff_t)member->size && memcmp(p, member->name, member->size + 1) == 0;
    uint64_t given, wanted, different = 0;
    uint32_t i;
    for (i = 0; i < member->eights; i++) {
        memcpy(&given, p + i * 8, 8);
        memcpy(&wanted, member->name + i * 8, 8);
        different |= given ^ wanted;
    }
    memcpy(&given, p + i * 8, 8);
    memcpy(&wanted, member->name + i * 8, 8);
    return (different | ((given ^ wanted) & member->last)) == 0;
}

/* The member that most likely follows, if its name begins at `p`: the one that followed last time. */
static inline Member *next_member(const Node *node, const Member *before, const byte *p, const byte *end)
{
    int next = before ? before->next : node->first;
    return next >= 0 && is_name(&node->members[next], p, end) ? &node->members[next] : NULL;
}

static Member *find_member(Node *node, Member *before, const byte *name, size_t size)
{
    if (size == 0)
        return NULL;
    for (unsigned slot = slot_of(name, size); node->slots[slot] >= 0; slot = (slot + 1) & (SLOTS - 1)) {
        Member *member = &node->members[node->slots[slot]];
        if (member->size == size && memcmp(member->name, name, size) == 0) {
            if (before)
                before->next = node->slots[slot];
            else
                node->first = node->slots[slot];
            return member;
        }
    }
    return NULL;
}

#endif
