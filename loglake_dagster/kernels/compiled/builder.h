/* What rows are kept of a run of texts, and how that is told from their shape. */

#ifndef LOGLAKE_BUILDER_H
#define LOGLAKE_BUILDER_H

#include "shape.h"

/* The last verdicts, so that few are looked up: a log has few names. */
enum { REMEMBERED = 128 };

typedef struct {
    size_t size;
    long rule;
    char key[112];
} Remembered;

typedef struct {
    PyObject_HEAD
    PyObject *memory_type, *rows_type;
    Node *root;
    int column_count, member_count, judged_count;
    int time_column, extra_column;
    Kind *kinds; /* of the columns */
    Kept kept;
    int64_t text_bytes;
    Remembered remembered[REMEMBERED];
} Builder;

static const char *const KINDS[] = {"text", "json", "flag", "time", "number", "node", "other"};

static Node *read_shape(Builder *self, PyObject *members, int label, const Node *parent, const Member *as);

/* A member from (name, kind, column, label, number of its null, judged, members of a node). */
static int read_shape_member(Builder *self, Node *node, int place, PyObject *told)
{
    const char *name, *kind;
    Py_ssize_t size;
    int column, label, null, judged;
    PyObject *inside;
    if (!PyArg_ParseTuple(told, "s#siiiiO", &name, &size, &kind, &column, &label, &null, &judged, &inside))
        return 0;
    Member *member = &node->members[place];
    member->next = -1;
    member->kind = -1;
    for (int i = TEXT; i <= OTHER; i++)
        if (strcmp(kind, KINDS[i]) == 0)
            member->kind = i;
    int is_node = (int)member->kind == NODE, is_leaf = !is_node && (int)member->kind != OTHER;
    if ((int)member->kind < 0 || size == 0 || self->member_count >= MOST_MEMBERS || label >= MOST_LABELS ||
        null >= MOST_NULLS || judged >= MOST_JUDGED ||
        (is_leaf && (column < 0 || column >= self->column_count || column == self->extra_column)) ||
        (member->kind == JSON && label < 0)) {
        PyErr_Format(PyExc_ValueError, "member %s: not a shape that columns can be made of", name);
        return 0;
    }
    member->id = self->member_count++;
    member->column = column;
    member->label = label;
    member->null = null;
    member->judged = judged;
    member->size = (uint32_t)size;
    member->name = calloc((size_t)size / 8 + 1, 8);
    if (member->name == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    memcpy(member->name, name, (size_t)size);
    member->name[size] = '"';
    member->eights = (uint32_t)size / 8;
    for (Py_ssize_t i = member->eights * 8; i <= size; i++)
        ((byte *)&member->last)[i % 8] = 0xFF;
    if (judged >= self->judged_count)
        self->judged_count = judged + 1;
    unsigned slot = slot_of((const byte *)name, (size_t)size);
    while (node->slots[slot] >= 0)
        slot = (slot + 1) & (SLOTS - 1);
    node->slots[slot] = (int16_t)place;
    if (is_leaf)
        self->kinds[column] = member->kind;
    if (!is_node)
        return 1;
    member->node = read_shape(self, inside, label, node, member);
    return member->node != NULL;
}

static Node *read_shape(Builder *self, PyObject *members, int label, const Node *parent, const Member *as)
{
    Py_ssize_t count = PyList_Check(members) ? PyList_Size(members) : -1;
    if (count < 0 || count > MOST_MEMBERS) {
        PyErr_SetString(PyExc_ValueError, "members: expected a list of at most 256");
        return NULL;
    }
    Node *node = calloc(1, sizeof *node);
    if (node == NULL || (node->members = calloc((size_t)count + 1, sizeof *node->members)) == NULL) {
        free(node);
        PyErr_NoMemory();
        return NULL;
    }
    node->first = -1;
    node->label = label;
    node->parent = parent;
    node->as = as;
    memset(node->slots, 0xFF, sizeof node->slots);
    for (int i = 0; i < count; i++) {
        node->count = i + 1;
        if (!read_shape_member(self, node, i, PyList_GetItem(members, i))) {
            free_node(node);
            return NULL;
        }
    }
    return node;
}

static void builder_free(Builder *self)
{
    let_go(&self->kept);
    free(self->kinds);
    free_node(self->root);
    Py_XDECREF(self->memory_type);
    Py_XDECREF(self->rows_type);
    free_object((PyObject *)self);
}

static PyObject *builder_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    (void)names;
    int columns, time_column, extra_column;
    PyObject *members;
    if (!PyArg_ParseTuple(args, "iiiO", &columns, &time_column, &extra_column, &members))
        return NULL;
    if (columns < 1 || columns > MOST_MEMBERS || extra_column < 0 || extra_column >= columns) {
        PyErr_SetString(PyExc_ValueError, "columns: expected 1 to 256, of which one is for what is undeclared");
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Builder *self = (Builder *)make(type, 0);
    if (self == NULL)
        return NULL;
    State *state = PyType_GetModuleState(type);
    self->memory_type = Py_NewRef(state->memory_type);
    self->rows_type = Py_NewRef(state->rows_type);
    self->column_count = columns;
    self->time_column = time_column;
    self->extra_column = extra_column;
    self->kinds = calloc((size_t)columns, sizeof *self->kinds);
    if (self->kinds == NULL)
        PyErr_NoMemory();
    else if (begin(&self->kept, columns))
        self->root = read_shape(self, members, -1, NULL, NULL);
    if (self->kinds != NULL)
        self->kinds[extra_column] = JSON;
    if (self->root == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

#endif
