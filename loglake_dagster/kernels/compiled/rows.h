/* Rows as bytes, for hashing. */

#ifndef LOGLAKE_ROWS_H
#define LOGLAKE_ROWS_H

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

PyDoc_STRVAR(join_doc,
"join_rows(start, end, columns) -> (joined, ends)\n\n"
"The bytes of each of these rows, one after the other, and where each ends (int64): eight bytes a column, in order, with a text's\n"
"length or a number's value, -1 and the smallest number for null; then the texts. `columns` are of Arrow buffers:\n"
"(is null in all rows, is of texts, offset, is large, validity or None, values of 64 bits or offsets, texts or None).");

static PyObject *join_rows(PyObject *module, PyObject *args)
{
    long long start, stop;
    PyObject *told, *result = NULL;
    if (!PyArg_ParseTuple(args, "LLO", &start, &stop, &told))
        return NULL;
    Py_ssize_t count = PyList_Check(told) ? PyList_Size(told) : -1;
    Given *columns = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *columns);
    Bytes joined = {0}, ends = {0};
    if (columns == NULL || start < 0) {
        PyErr_SetString(PyExc_ValueError, "expected rows from 0 on, and columns in a list");
        free(columns);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!take_given(&columns[i], PyList_GetItem(told, i), stop))
            goto done;
    for (int64_t row = start; row < stop; row++) {
        size_t header = joined.size;
        if (!grow(&joined, (size_t)count * 8))
            goto no_memory;
        joined.size += (size_t)count * 8;
        for (Py_ssize_t i = 0; i < count; i++) {
            const Given *column = &columns[i];
            int null = is_null(column, row);
            int64_t said = column->has_texts ? -1 : INT64_MIN;
            if (!null && !column->has_texts) {
                said = ((const int64_t *)column->values.buf)[column->offset + row];
            } else if (!null) {
                int64_t first = start_of(column, row);
                said = start_of(column, row + 1) - first;
                if (said < 0 || first < 0 || first + said > column->texts.len) {
                    PyErr_SetString(PyExc_ValueError, "a column's offsets do not ascend");
                    goto done;
                }
                if (!append(&joined, (const byte *)column->texts.buf + first, (size_t)said))
                    goto no_memory;
            }
            memcpy(joined.data + header + (size_t)i * 8, &said, 8);
        }
        int64_t end = (int64_t)joined.size;
        if (!append(&ends, &end, sizeof end))
            goto no_memory;
    }
    PyObject *memory_type = ((State *)PyModule_GetState(module))->memory_type;
    result = Py_BuildValue("(NN)", handed(memory_type, &joined), handed(memory_type, &ends));
    goto done;
no_memory:
    PyErr_NoMemory();
done:
    give_back(columns, count);
    release(&joined);
    release(&ends);
    return result;
}

#endif
