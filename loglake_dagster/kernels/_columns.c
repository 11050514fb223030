/* JSON records to Arrow buffers.

   What is taken here is strict JSON (RFC 8259) of the declared shape: every member given once, every leaf of its kind,
   no member that no column is of named like a declared one in other letters. Such a record becomes a row of the
   columns; of any other sound record only its place is told, and of a text that is not sound nothing is: those are for
   the readers in Python, which take anything. So this file has no say in what a log means, and nothing that it does not
   understand can be lost in it.

   The tests hold every row against what the readers in Python make of the same text. */

#include "compiled/judging.h"
#include "compiled/joining.h"

static int add_row(Reader *reader, const byte *start, const byte *end, int32_t place, int64_t ordinal)
{
    Kept *kept = &reader->builder->kept;
    size_t count = (size_t)reader->value_count, all = count + (reader->extra.count > 0);
    Row row = {kept->said.size / sizeof(Said), (uint32_t)all, (uint32_t)(kept->texts.size / sizeof(Text)),
               (uint32_t)(start - reader->text), (uint32_t)(end - start)};
    if (!grow(&kept->said, all * sizeof(Said)))
        return 0;
    Said *said = (Said *)(kept->said.data + kept->said.size);
    for (size_t i = 0; i < count; i++) {
        const Value *value = &reader->values[i];
        Total *total = &kept->totals[value->column];
        said[i].column = (uint16_t)value->column;
        said[i].form = value->is_escaped ? WITH_ESCAPES : AS_IT_STANDS;
        total->values++;
        if (value->start == NULL) {
            said[i].number = value->size;
        } else {
            said[i].text.start = (uint32_t)(value->start - reader->text);
            said[i].text.size = (uint32_t)value->size;
            total->size += value->size;
        }
    }
    if (all > count) {
        uint32_t first = (uint32_t)reader->extra.start, size = (uint32_t)(kept->extra.size - reader->extra.start);
        Total *total = &kept->totals[reader->builder->extra_column];
        said[count] = (Said){
            .text = {first, size}, .column = (uint16_t)reader->builder->extra_column, .form = PUT_TOGETHER};
        total->values++;
        total->size += size;
    }
    kept->said.size += all * sizeof(Said);
    return append(&kept->rows, &row, sizeof row) && append(&kept->places, &place, sizeof place) &&
           append(&kept->ordinals, &ordinal, sizeof ordinal) &&
           append(&kept->labels, &reader->labels, sizeof reader->labels);
}

/* Takes back the rows from `rows` on; `totals` and `extra_size` are those of the rows before. */
static void take_back(Kept *kept, int64_t rows, const Total *totals, int column_count, size_t extra_size)
{
    kept->extra.size = extra_size;
    if (rows < rows_of(kept))
        kept->said.size = ((Row *)kept->rows.data)[rows].first * sizeof(Said);
    kept->rows.size = (size_t)rows * sizeof(Row);
    kept->places.size = (size_t)rows * 4;
    kept->ordinals.size = kept->labels.size = (size_t)rows * 8;
    memcpy(kept->totals, totals, (size_t)column_count * sizeof *totals);
}

typedef struct {
    int64_t found;
    int64_t dropped[MOST_RULES + 1];
    PyObject *odd;
} Told;

/* One record at `p`: a row, dropped by a rule, or told as odd. Its end; NULL if it is not sound (*is_error 0) or with
   an exception set (*is_error 1). */
static const byte *add_record(Reader *reader, const byte *p, int32_t place, int64_t first, PyObject *verdicts,
                              PyObject *ask, Told *told, int *is_error)
{
    const Builder *self = reader->builder;
    const byte *start = p;
    reader->value_count = reader->is_unsure = 0;
    reader->labels = 0;
    memset(reader->seen, 0, sizeof reader->seen);
    for (int i = 0; i < MOST_JUDGED; i++)
        reader->judged[i] = -1;
    begin_extra(&reader->extra, &reader->builder->kept.extra);
    reader->is_odd = *p != '{';
    int flags = 0;
    p = reader->is_odd ? skip_value(p, reader->end, DEEPEST, &flags) : read_object(reader, self->root, p, DEEPEST);
    if (p == NULL)
        return NULL;
    *is_error = 1;
    int64_t ordinal = first + told->found++;
    if (verdicts != NULL) {
        long rule = reader->is_odd && reader->value_count == 0 ? UNJUDGED : judge(reader, verdicts, ask);
        if (rule == FAILED)
            return NULL;
        if (rule > 0) {
            drop_extra(&reader->extra);
            told->dropped[rule]++;
            *is_error = 0;
            return p;
        }
        reader->is_odd |= rule == UNJUDGED;
    }
    int has_time = 0;
    for (int i = 0; i < reader->value_count && !has_time; i++)
        has_time = reader->values[i].column == self->time_column;
    if (!reader->is_odd && has_time) {
        if (!close_extra(&reader->extra) || !add_row(reader, start, p, place, ordinal)) {
            PyErr_NoMemory();
            return NULL;
        }
    } else {
        drop_extra(&reader->extra);
        PyObject *one = Py_BuildValue("(Lnn)", (long long)ordinal, (Py_ssize_t)(start - reader->text),
                                      (Py_ssize_t)(p - reader->text));
        if (one == NULL || PyList_Append(told->odd, one) < 0) {
            Py_XDECREF(one);
            return NULL;
        }
        Py_DECREF(one);
    }
    *is_error = 0;
    return p;
}

/* `{"<member>": [record, ...]}` and nothing else. 1 when it was taken, 0 when it is another text, -1 with an exception. */
static int add_text(Reader *reader, const char *member, size_t member_size, int32_t place, int64_t first,
                    PyObject *verdicts, PyObject *ask, Py_ssize_t most_odd, Told *told)
{
    int flags = 0, is_error = 0;
    const byte *p = skip_space(reader->text);
    if (*p != '{')
        return 0;
    p = skip_space(p + 1);
    const byte *name = p + 1;
    if (*p != '"' || (p = skip_string(name, reader->end, &flags)) == NULL || flags ||
        (size_t)(p - name) != member_size || memcmp(name, member, member_size) != 0)
        return 0;
    p = skip_space(p + 1);
    if (*p != ':')
        return 0;
    p = skip_space(p + 1);
    if (*p != '[')
        return 0;
    p = skip_space(p + 1);
    if (*p == ']') {
        p++;
    } else {
        for (;;) {
            p = add_record(reader, p, place, first, verdicts, ask, told, &is_error);
            if (p == NULL)
                return is_error ? -1 : 0;
            if (PyList_Size(told->odd) > most_odd)
                return 0;
            p = skip_space(p);
            if (*p == ']') {
                p++;
                break;
            }
            if (*p != ',')
                return 0;
            p = skip_space(p + 1);
        }
    }
    p = skip_space(p);
    if (*p != '}')
        return 0;
    return skip_space(p + 1) == reader->end;
}

PyDoc_STRVAR(add_doc,
"add(text, member, place, first, most_odd, verdicts, ask) -> (found, dropped, odd) or None\n\n"
"Adds the rows of a text `{\"<member>\": [record, ...]}` of the object at `place`, whose records have the\n"
"ordinals from `first` on. `odd` has (ordinal, start, end) of the sound records that have another shape than the\n"
"declared one; `dropped` how many records each rule denied, by its number. None, and nothing added, for any other\n"
"text, for one that is not UTF-8, and for one of more than `most_odd` odd records.\n\n"
"`verdicts` (None: all are kept) maps a record's judged texts, joined by a zero byte, to 0 for kept or a rule's number\n"
"from 1 on; what is not in it is asked of `ask` and remembered there. Both are the same for all texts of a builder.");

static PyObject *builder_add(Builder *self, PyObject *args)
{
    PyObject *text, *verdicts, *ask;
    const char *member;
    Py_ssize_t member_size, most_odd;
    int place;
    long long first;
    if (!PyArg_ParseTuple(args, "Ss#iLnOO", &text, &member, &member_size, &place, &first, &most_odd, &verdicts, &ask))
        return NULL;
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(text, &data, &size) < 0)
        return NULL;
    if (self->text_bytes + size > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "columns of texts hold less than 2 GiB: finish them before adding more");
        return NULL;
    }
    Kept *kept = &self->kept;
    Total *totals = malloc(sizeof(Total) * (size_t)self->column_count);
    Reader *reader = malloc(sizeof *reader);
    Told told = {0, {0}, PyList_New(0)};
    PyObject *result = NULL;
    if (totals == NULL || reader == NULL || told.odd == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(totals, kept->totals, sizeof(Total) * (size_t)self->column_count);
    int64_t rows = rows_of(kept);
    size_t extra_size = kept->extra.size;
    reader->text = (const byte *)data;
    reader->end = (const byte *)data + size;
    reader->builder = self;
    int taken = add_text(reader, member, (size_t)member_size, place, first, verdicts == Py_None ? NULL : verdicts, ask,
                         most_odd, &told);
    if (taken > 0 && !keep_text(kept, rows, text, &(Text){reader->text, reader->end}, self->kinds))
        taken = -1;
    if (taken <= 0) {
        take_back(kept, rows, totals, self->column_count, extra_size);
        if (taken == 0)
            result = Py_NewRef(Py_None);
        goto done;
    }
    self->text_bytes += size;
    PyObject *dropped = PyDict_New();
    for (int rule = 1; dropped != NULL && rule <= MOST_RULES; rule++) {
        if (told.dropped[rule] == 0)
            continue;
        PyObject *key = PyLong_FromLong(rule), *count = PyLong_FromLongLong(told.dropped[rule]);
        if (key == NULL || count == NULL || PyDict_SetItem(dropped, key, count) < 0)
            Py_CLEAR(dropped);
        Py_XDECREF(key);
        Py_XDECREF(count);
    }
    if (dropped != NULL)
        result = Py_BuildValue("(LNO)", (long long)told.found, dropped, told.odd);
done:
    Py_XDECREF(told.odd);
    free(totals);
    free(reader);
    return result;
}

PyDoc_STRVAR(finish_doc,
"finish() -> (rows, count, places, ordinals, labels)\n\n"
"The rows that were kept since the last time, how many they are, and for each an int32 place, an int64 ordinal and the\n"
"uint64 bits of its labels.");

static PyObject *builder_finish(Builder *self, PyObject *unused)
{
    (void)unused;
    Kept next;
    if (!begin(&next, self->column_count)) {
        let_go(&next);
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)self->rows_type, Py_tp_alloc);
    Rows *rows = (Rows *)make((PyTypeObject *)self->rows_type, 0);
    Kind *kinds = malloc(sizeof *kinds * (size_t)self->column_count);
    if (rows == NULL || kinds == NULL) {
        if (rows != NULL)
            PyErr_NoMemory();
        Py_XDECREF((PyObject *)rows);
        free(kinds);
        let_go(&next);
        return NULL;
    }
    memcpy(kinds, self->kinds, sizeof *kinds * (size_t)self->column_count);
    rows->memory_type = Py_NewRef(self->memory_type);
    rows->column_count = self->column_count;
    rows->kinds = kinds;
    rows->kept = self->kept;
    self->kept = next;
    self->text_bytes = 0;
    Kept *kept = &rows->kept;
    return Py_BuildValue("(NLNNN)", rows, (long long)rows_of(kept), handed(self->memory_type, &kept->places),
                         handed(self->memory_type, &kept->ordinals), handed(self->memory_type, &kept->labels));
}

PyDoc_STRVAR(holds_doc,
"holds(buffer, text) -> bool\n\n"
"Whether the text stands anywhere in the buffer. The C library's search is five times as fast as Python's, which is\n"
"held up by every quote.");

static PyObject *holds(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer buffer, text;
    if (!PyArg_ParseTuple(args, "y*y*", &buffer, &text))
        return NULL;
    int is_there = memmem(buffer.buf, (size_t)buffer.len, text.buf, (size_t)text.len) != NULL;
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&text);
    return PyBool_FromLong(is_there);
}

static PyMethodDef module_methods[] = {
    {"holds", holds, METH_VARARGS, holds_doc},
    {"join_rows", join_rows, METH_VARARGS, join_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef builder_methods[] = {
    {"add", (PyCFunction)builder_add, METH_VARARGS, add_doc},
    {"finish", (PyCFunction)builder_finish, METH_NOARGS, finish_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot builder_slots[] = {
    {Py_tp_doc, "Builder(columns, time_column, extra_column, members)\n\nColumns under construction. `members` are those of"
                " a record: (name, kind, column, label, number of its null, judged, members of a node), with -1 where"
                " there is none. Of undeclared ones is made the extra column."},
    {Py_tp_new, builder_new},
    {Py_tp_dealloc, builder_free},
    {Py_tp_methods, builder_methods},
    {0, NULL},
};

static PyType_Spec builder_spec = {"loglake_dagster.kernels._columns.Builder", sizeof(Builder), 0, Py_TPFLAGS_DEFAULT,
                                   builder_slots};

static int fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->memory_type = PyType_FromModuleAndSpec(module, &memory_spec, NULL);
    PyObject *type = state->memory_type ? PyType_FromModuleAndSpec(module, &builder_spec, NULL) : NULL;
    state->rows_type = type ? PyType_FromModuleAndSpec(module, &rows_spec, NULL) : NULL;
    if (state->rows_type == NULL) {
        Py_XDECREF(type);
        return -1;
    }
    int done = PyModule_AddObjectRef(module, "Builder", type);
    Py_DECREF(type);
    return done;
}

static int clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if (state != NULL)
        Py_CLEAR(state->memory_type);
    if (state != NULL)
        Py_CLEAR(state->rows_type);
    return 0;
}

static void free_module(void *module)
{
    clear_module(module);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_columns", NULL, sizeof(State), module_methods, module_slots, NULL, clear_module, free_module,
};

PyMODINIT_FUNC PyInit__columns(void)
{
    return PyModuleDef_Init(&module);
}
