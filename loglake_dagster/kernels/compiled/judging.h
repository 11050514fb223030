/* What the event rules say of a record: asked of Python once a kind of record, then remembered. */

#ifndef LOGLAKE_JUDGING_H
#define LOGLAKE_JUDGING_H

#include "reading.h"

enum { KEPT = 0, FAILED = -1, UNJUDGED = -2 };

/* The judged texts of a record, joined by a zero byte, into `key`; its size, 0 where they do not fit. */
static size_t key_of(const Reader *reader, char *key, size_t room)
{
    size_t size = 0;
    for (int i = 0; i < reader->builder->judged_count; i++) {
        const Value *value = &reader->values[reader->judged[i]];
        if (size + (size_t)value->size + 1 > room)
            return 0;
        memcpy(key + size, value->start, (size_t)value->size);
        size += (size_t)value->size;
        key[size++] = '\0';
    }
    return size;
}

/* Where the rule for texts like the record's is remembered. */
static Remembered *remembered_for(const Reader *reader)
{
    unsigned slot = 0;
    for (int i = 0; i < reader->builder->judged_count; i++) {
        const Value *value = &reader->values[reader->judged[i]];
        slot = slot * 5 + (value->size ? slot_of(value->start, (size_t)value->size) : 0);
    }
    return &reader->builder->remembered[slot & (REMEMBERED - 1)];
}

/* Whether what is remembered is of the record's own texts: compared where they stand. */
static int is_of(const Remembered *one, const Reader *reader)
{
    size_t at = 0;
    for (int i = 0; i < reader->builder->judged_count; i++) {
        const Value *value = &reader->values[reader->judged[i]];
        size_t size = (size_t)value->size;
        if (at + size + 1 > one->size || one->key[at + size] != '\0' || memcmp(one->key + at, value->start, size) != 0)
            return 0;
        at += size + 1;
    }
    return at == one->size;
}

/* The rule for a key: of what was asked before, else asked. Its number, 0 for kept; FAILED with an exception set. */
static long rule_of(const char *key, size_t size, PyObject *verdicts, PyObject *ask)
{
    PyObject *bytes = PyBytes_FromStringAndSize(key, (Py_ssize_t)size - 1);
    if (bytes == NULL)
        return FAILED;
    PyObject *verdict = PyDict_GetItemWithError(verdicts, bytes);
    Py_XINCREF(verdict);
    if (verdict == NULL && !PyErr_Occurred()) {
        verdict = PyObject_CallFunctionObjArgs(ask, bytes, NULL);
        if (verdict != NULL && PyDict_SetItem(verdicts, bytes, verdict) < 0)
            Py_CLEAR(verdict);
    }
    Py_DECREF(bytes);
    if (verdict == NULL)
        return FAILED;
    long rule = PyLong_AsLong(verdict);
    Py_DECREF(verdict);
    if (rule < 0 || rule > MOST_RULES) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a verdict is 0 for kept, or the number of a rule");
        return FAILED;
    }
    return rule;
}

/* What the event rules say of the record: KEPT, a rule's number from 1 on, UNJUDGED where it lacks a judged field, or
   FAILED with an exception set. */
static long judge(Reader *reader, PyObject *verdicts, PyObject *ask)
{
    char key[1024];
    int count = reader->builder->judged_count;
    if (reader->is_unsure || count == 0)
        return UNJUDGED;
    for (int i = 0; i < count; i++)
        if (reader->judged[i] < 0)
            return UNJUDGED;
    Remembered *last = remembered_for(reader);
    if (is_of(last, reader))
        return last->rule;
    size_t size = key_of(reader, key, sizeof key);
    if (size == 0)
        return UNJUDGED;
    long rule = rule_of(key, size, verdicts, ask);
    if (rule != FAILED && size <= sizeof last->key) {
        memcpy(last->key, key, size);
        last->size = size;
        last->rule = rule;
    }
    return rule;
}

#endif
