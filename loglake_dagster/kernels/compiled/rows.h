/* Rows that were kept, as an object of Python: asked for columns once or more. */

#ifndef LOGLAKE_ROWS_H
#define LOGLAKE_ROWS_H

#include "kept.h"

typedef struct {
    PyObject_HEAD
    PyObject *memory_type;
    Kept kept;
    int column_count;
    Kind *kinds;
} Rows;

static void rows_free(Rows *self)
{
    let_go(&self->kept);
    free(self->kinds);
    Py_XDECREF(self->memory_type);
    free_object((PyObject *)self);
}

/* None for a column without a value, else (nulls, validity or None, values or offsets, texts or None). */
static PyObject *told_column(Rows *self, Column *column, int64_t count)
{
    if (column->values == 0)
        return Py_NewRef(Py_None);
    if (is_text(column->kind))
        close_texts(column, count);
    return Py_BuildValue("(LNNN)", (long long)(count - column->values),
                         column->values == count ? Py_NewRef(Py_None) : handed(self->memory_type, &column->valid),
                         handed(self->memory_type, &column->fixed),
                         is_text(column->kind) ? handed(self->memory_type, &column->texts) : Py_NewRef(Py_None));
}

PyDoc_STRVAR(columns_doc,
"columns(wanted, order) -> [column, ...]\n\n"
"The wanted columns, by number, as Arrow buffers, of the rows whose numbers `order` has (a buffer of int64; None: all\n"
"rows, as they were added): None where no row has a value, else (nulls, validity or None, values or offsets, texts or\n"
"None). Texts have int32 offsets; flags are a byte a row; times (milliseconds) and numbers int64.");

static PyObject *rows_columns(Rows *self, PyObject *args)
{
    PyObject *wanted, *asked, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO", &wanted, &asked))
        return NULL;
    Py_buffer order = {0};
    if (asked != Py_None && PyObject_GetBuffer(asked, &order, PyBUF_SIMPLE) < 0)
        return NULL;
    int64_t all = rows_of(&self->kept), count = asked == Py_None ? all : (int64_t)(order.len / 8);
    const int64_t *places = asked == Py_None ? NULL : order.buf;
    const Row *rows = (const Row *)self->kept.rows.data;
    Text *texts = (Text *)self->kept.texts.data;
    texts[0] = (Text){self->kept.copied.data, self->kept.copied.data + self->kept.copied.size};
    const Text extra = {self->kept.extra.data, self->kept.extra.data + self->kept.extra.size};
    const Said *said = (const Said *)self->kept.said.data;
    Column *columns = calloc((size_t)self->column_count, sizeof *columns);
    Py_ssize_t names = PyList_Check(wanted) ? PyList_Size(wanted) : -1;
    if (columns == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (names < 0 || count > all || order.len % 8 != 0) {
        PyErr_SetString(PyExc_ValueError, "expected a list of columns, and the number of no row twice");
        goto done;
    }
    for (Py_ssize_t i = 0; i < names; i++) {
        long number = PyLong_AsLong(PyList_GetItem(wanted, i));
        if (number < 0 || number >= self->column_count || columns[number].is_wanted) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a column that is not there, or twice");
            goto done;
        }
        Column *column = &columns[number];
        column->kind = self->kinds[number];
        column->is_wanted = self->kept.totals[number].values > 0 && count > 0;
        if (column->is_wanted && !make_room(column, &self->kept.totals[number], count)) {
            PyErr_NoMemory();
            goto done;
        }
    }
    byte *taken = calloc((size_t)all / 8 + 1, 1);
    if (taken == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    int is_right = 1;
    for (int64_t i = 0; i < count && is_right; i++) {
        int64_t place = places == NULL ? i : places[i];
        is_right = place >= 0 && place < all && !(taken[place >> 3] >> (place & 7) & 1);
        if (is_right) {
            taken[place >> 3] |= (byte)(1u << (place & 7));
            put_row(columns, said, &rows[place], &texts[rows[place].text], &extra, i);
        }
    }
    free(taken);
    if (!is_right) {
        PyErr_SetString(PyExc_ValueError, "a row that is not there, or twice");
        goto done;
    }
    result = PyList_New(names);
    for (Py_ssize_t i = 0; result != NULL && i < names; i++) {
        PyObject *one = told_column(self, &columns[PyLong_AsLong(PyList_GetItem(wanted, i))], count);
        if (one == NULL || PyList_SetItem(result, i, one) < 0)
            Py_CLEAR(result);
    }
done:
    for (int i = 0; columns != NULL && i < self->column_count; i++) {
        release(&columns[i].valid);
        release(&columns[i].fixed);
        release(&columns[i].texts);
    }
    free(columns);
    if (order.obj != NULL)
        PyBuffer_Release(&order);
    return result;
}

static PyMethodDef rows_methods[] = {
    {"columns", (PyCFunction)rows_columns, METH_VARARGS, columns_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot rows_slots[] = {
    {Py_tp_doc, "Rows that a Builder kept."},
    {Py_tp_dealloc, rows_free},
    {Py_tp_methods, rows_methods},
    {0, NULL},
};

static PyType_Spec rows_spec = {"loglake_dagster.kernels._columns.Rows", sizeof(Rows), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, rows_slots};

#endif
