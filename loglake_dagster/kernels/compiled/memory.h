/* Memory that grows, and that Python gets without a copy. */

#ifndef LOGLAKE_MEMORY_H
#define LOGLAKE_MEMORY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t byte;

typedef struct {
    byte *data;
    size_t size, room;
} Bytes;

/* Makes room for `more` bytes at the end. 0 when there is no memory. */
static int grow(Bytes *bytes, size_t more)
{
    size_t wanted = bytes->size + more;
    if (wanted <= bytes->room)
        return 1;
    size_t room = bytes->room ? bytes->room * 2 : 1024;
    while (room < wanted)
        room *= 2;
    byte *data = realloc(bytes->data, room);
    if (data == NULL)
        return 0;
    bytes->data = data;
    bytes->room = room;
    return 1;
}

static int append(Bytes *bytes, const void *data, size_t size)
{
    if (!grow(bytes, size))
        return 0;
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return 1;
}

static int append_zeros(Bytes *bytes, size_t size)
{
    if (!grow(bytes, size))
        return 0;
    memset(bytes->data + bytes->size, 0, size);
    bytes->size += size;
    return 1;
}

static void release(Bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

typedef struct {
    PyObject *memory_type, *rows_type;
} State;

/* What was gathered, as an object with a buffer: handed on without a copy. */
typedef struct {
    PyObject_HEAD
    Bytes bytes;
} Memory;

static int memory_get(Memory *self, Py_buffer *view, int flags)
{
    void *data = self->bytes.data ? (void *)self->bytes.data : (void *)"";
    return PyBuffer_FillInfo(view, (PyObject *)self, data, (Py_ssize_t)self->bytes.size, 1, flags);
}

/* The end of an object of one of our types, whatever it had let go. */
static void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_it = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_it(self);
    Py_DECREF(type);
}

static void memory_free(Memory *self)
{
    release(&self->bytes);
    free_object((PyObject *)self);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_doc, "Bytes that the compiled code gathered."},
    {Py_tp_dealloc, memory_free},
    {Py_bf_getbuffer, memory_get},
    {0, NULL},
};

static PyType_Spec memory_spec = {"loglake_dagster.kernels._columns.Memory", sizeof(Memory), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, memory_slots};

/* The bytes as a Memory, which has them from now on. */
static PyObject *handed(PyObject *memory_type, Bytes *bytes)
{
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)memory_type, Py_tp_alloc);
    Memory *memory = (Memory *)make((PyTypeObject *)memory_type, 0);
    if (memory == NULL)
        return NULL;
    memory->bytes = *bytes;
    memset(bytes, 0, sizeof *bytes);
    return (PyObject *)memory;
}

#endif
