/* Rows as bytes, for hashing. */

#ifndef LOGLAKE_JOINING_H
#define LOGLAKE_JOINING_H

#include "memory.h"

typedef struct {
    Py_buffer valid, values, texts;
    int is_null, has_valid, has_texts, is_large;
    int64_t offset;
} Given;

static int is_null(const Given *column, int64_t row)
{
    int64_t bit = column->offset + row;
    return column->is_null || (column->has_valid && !(((const byte *)column->valid.buf)[bit >> 3] >> (bit & 7) & 1));
}

static int64_t start_of(const Given *column, int64_t row)
{
    int64_t place = column->offset + row;
    return column->is_large ? ((const int64_t *)column->values.buf)[place] : ((const int32_t *)column->values.buf)[place];
}

static void give_back(Given *columns, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (columns[i].valid.obj)
            PyBuffer_Release(&columns[i].valid);
        if (columns[i].values.obj)
            PyBuffer_Release(&columns[i].values);
        if (columns[i].texts.obj)
            PyBuffer_Release(&columns[i].texts);
    }
    free(columns);
}

/* A column from (is null in all rows, is of texts, offset, is large, validity or None, values or offsets, texts), whose
   buffers hold rows up to `end`. */
static int take_given(Given *column, PyObject *told, int64_t end)
{
    long long offset;
    PyObject *valid, *values, *texts;
    if (!PyArg_ParseTuple(told, "ppLpOOO", &column->is_null, &column->has_texts, &offset, &column->is_large, &valid,
                          &values, &texts))
        return 0;
    if (column->is_null)
        return 1;
    column->offset = offset;
    column->has_valid = valid != Py_None;
    if ((column->has_valid && PyObject_GetBuffer(valid, &column->valid, PyBUF_SIMPLE) < 0) ||
        PyObject_GetBuffer(values, &column->values, PyBUF_SIMPLE) < 0 ||
        (column->has_texts && PyObject_GetBuffer(texts, &column->texts, PyBUF_SIMPLE) < 0))
        return 0;
    int64_t last = offset + end;
    int64_t width = column->has_texts && !column->is_large ? 4 : 8;
    if (offset < 0 || column->values.len < (last + column->has_texts) * width ||
        (column->has_valid && column->valid.len < (last + 7) / 8) ||
        (column->has_texts && column->texts.len < start_of(column, end))) {
        PyErr_SetString(PyExc_ValueError, "a column's buffers are shorter than its rows");
        return 0;
    }
    return 1;
}

/* A text of a row, where it stands. */
typedef struct {
    const byte *start;
    size_t size;
} Piece;

/* A row as bytes: what each column says of it into `said`, then the texts after them, gathered in `pieces`. NULL with an
   exception set. */
static PyObject *joined_row(const Given *columns, Py_ssize_t count, int64_t row, int64_t *said, Piece *pieces)
{
    size_t size = (size_t)count * 8;
    Piece *piece = pieces;
    for (Py_ssize_t i = 0; i < count; i++) {
        const Given *column = &columns[i];
        if (column->is_null) /* said already */
            continue;
        if (is_null(column, row)) {
            said[i] = column->has_texts ? -1 : INT64_MIN;
        } else if (!column->has_texts) {
            said[i] = ((const int64_t *)column->values.buf)[column->offset + row];
        } else {
            int64_t first = start_of(column, row), length = start_of(column, row + 1) - first;
            if (length < 0 || first < 0 || first + length > column->texts.len) {
                PyErr_SetString(PyExc_ValueError, "a column's offsets do not ascend");
                return NULL;
            }
            said[i] = length;
            *piece++ = (Piece){(const byte *)column->texts.buf + first, (size_t)length};
            size += (size_t)length;
        }
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (joined == NULL)
        return NULL;
    byte *out = (byte *)PyBytes_AsString(joined);
    memcpy(out, said, (size_t)count * 8);
    out += count * 8;
    for (const Piece *one = pieces; one < piece; one++) {
        memcpy(out, one->start, one->size);
        out += one->size;
    }
    return joined;
}

PyDoc_STRVAR(join_doc,
"join_rows(start, end, columns) -> [bytes, ...]\n\n"
"The bytes of each of these rows: eight bytes a column, in order, with a text's length or a number's value, -1 and the\n"
"smallest number for null; then the texts. `columns` are of Arrow buffers: (is null in all rows, is of texts, offset,\n"
"is large, validity or None, values of 64 bits or offsets, texts or None).");

static PyObject *join_rows(PyObject *module, PyObject *args)
{
    (void)module;
    long long start, stop;
    PyObject *told, *rows = NULL;
    if (!PyArg_ParseTuple(args, "LLO", &start, &stop, &told))
        return NULL;
    Py_ssize_t count = PyList_Check(told) ? PyList_Size(told) : -1;
    if (count < 0 || start < 0 || stop < start) {
        PyErr_SetString(PyExc_ValueError, "expected rows from 0 on, and columns in a list");
        return NULL;
    }
    Given *columns = calloc((size_t)count + 1, sizeof *columns);
    int64_t *said = calloc((size_t)count + 1, sizeof *said);
    Piece *pieces = calloc((size_t)count + 1, sizeof *pieces);
    if (columns == NULL || said == NULL || pieces == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!take_given(&columns[i], PyList_GetItem(told, i), stop))
            goto done;
        said[i] = columns[i].has_texts ? -1 : INT64_MIN;
    }
    rows = PyList_New((Py_ssize_t)(stop - start));
    for (int64_t row = start; rows != NULL && row < stop; row++) {
        PyObject *one = joined_row(columns, count, row, said, pieces);
        if (one == NULL || PyList_SetItem(rows, (Py_ssize_t)(row - start), one) < 0)
            Py_CLEAR(rows);
    }
done:
    if (columns != NULL)
        give_back(columns, count);
    free(said);
    free(pieces);
    return rows;
}

#endif
