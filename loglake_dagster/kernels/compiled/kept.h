/* Rows that were kept: what each says, still where it stands in its text, and the Arrow columns that are made of them.

   Columns are made when the rows that are wanted, and their order, are known: each value is then copied once. */

#ifndef LOGLAKE_KEPT_H
#define LOGLAKE_KEPT_H

#include "json.h"

/* A member of kind OTHER is known and not declared: a record that has it is for the readers in Python. */
typedef enum { TEXT, JSON, FLAG, TIME, NUMBER, NODE, OTHER } Kind;

/* How a text is to be had: as it stands in the row's text, or there with escapes, or put together of what is undeclared. */
typedef enum { AS_IT_STANDS, WITH_ESCAPES, PUT_TOGETHER } Form;

/* What is read past a short text, and written past a column's end: copies of a fixed size need no call. */
enum { SLACK = 32 };

typedef struct {
    union {
        struct {
            uint32_t start, size;
        } text;
        int64_t number;
    };
    uint16_t column, form;
} Said;

typedef struct {
    uint64_t first; /* of its values */
    uint32_t count, text;
    uint32_t start, size; /* of the record in its text */
} Row;

typedef struct {
    const byte *start, *end;
} Text;

/* Of all rows: how many have a value, and how long the texts are at most. */
typedef struct {
    int64_t values, size;
} Total;

/* The first text is made of records that were copied out of theirs; the others are held. `extra` has what was put
   together. */
typedef struct {
    Bytes said, rows, texts, copied, extra;
    PyObject *held;
    Total *totals;
    Bytes places, ordinals, labels;
} Kept;

static int is_text(Kind kind)
{
    return kind == TEXT || kind == JSON;
}

static size_t width_of(Kind kind)
{
    return is_text(kind) ? 4 : kind == FLAG ? 1 : 8;
}

static int64_t rows_of(const Kept *kept)
{
    return (int64_t)(kept->rows.size / sizeof(Row));
}

static void let_go(Kept *kept)
{
    release(&kept->said);
    release(&kept->rows);
    release(&kept->texts);
    release(&kept->copied);
    release(&kept->extra);
    release(&kept->places);
    release(&kept->ordinals);
    release(&kept->labels);
    free(kept->totals);
    kept->totals = NULL;
    Py_CLEAR(kept->held);
}

/* Makes it ready for rows. 0 with an exception set. */
static int begin(Kept *kept, int column_count)
{
    memset(kept, 0, sizeof *kept);
    kept->held = PyList_New(0);
    kept->totals = calloc((size_t)column_count + 1, sizeof *kept->totals);
    int is_ready = kept->totals != NULL && append_zeros(&kept->texts, sizeof(Text));
    if (kept->held != NULL && !is_ready)
        PyErr_NoMemory();
    return kept->held != NULL && is_ready;
}

/* What the rows from `rows` on have of their text: it is held, or they are copied out of it where they are the lesser
   part, so that its memory is used again while it is near. 0 with an exception set. */
static int keep_text(Kept *kept, int64_t rows, PyObject *text, const Text *bounds, const Kind *kinds)
{
    Row *row = (Row *)kept->rows.data + rows, *last = (Row *)kept->rows.data + rows_of(kept);
    size_t size = 0;
    for (Row *one = row; one < last; one++)
        size += one->size;
    if (2 * size >= (size_t)(bounds->end - bounds->start)) {
        if (!append(&kept->texts, bounds, sizeof *bounds)) {
            PyErr_NoMemory();
            return 0;
        }
        if (PyList_Append(kept->held, text) == 0)
            return 1;
        kept->texts.size -= sizeof *bounds;
        return 0;
    }
    if (!grow(&kept->copied, size)) {
        PyErr_NoMemory();
        return 0;
    }
    for (; row < last; row++) {
        uint32_t moved = (uint32_t)kept->copied.size - row->start; /* modulo 2^32: also back */
        append(&kept->copied, bounds->start + row->start, row->size);
        Said *said = (Said *)kept->said.data + row->first;
        for (uint32_t i = 0; i < row->count; i++)
            if (is_text(kinds[said[i].column]) && said[i].form != PUT_TOGETHER)
                said[i].text.start += moved;
        row->text = 0;
    }
    return 1;
}

/* A column that is being made: of texts its offsets, of others its values. */
typedef struct {
    Kind kind;
    int is_wanted;
    int64_t values;
    size_t used; /* of the texts */
    Bytes valid, fixed, texts;
} Column;

static void copy_short(byte *out, const byte *in, size_t size, const byte *end)
{
    if (size <= SLACK && end - in >= SLACK)
        memcpy(out, in, SLACK);
    else
        memcpy(out, in, size);
}

/* The values of a row, which becomes the `place`th. */
static void put_row(Column *columns, const Said *said, const Row *row, const Text *text, const Text *extra, int64_t place)
{
    for (const Said *one = said + row->first, *last = one + row->count; one < last; one++) {
        Column *column = &columns[one->column];
        if (!column->is_wanted)
            continue;
        column->values++;
        column->valid.data[place >> 3] |= (byte)(1u << (place & 7));
        if (is_text(column->kind)) {
            const Text *of = one->form == PUT_TOGETHER ? extra : text;
            const byte *in = of->start + one->text.start;
            byte *out = column->texts.data + column->used;
            size_t size = one->text.size;
            if (one->form == WITH_ESCAPES)
                size = unescape(in, size, out);
            else
                copy_short(out, in, size, of->end);
            column->used += size;
            ((int32_t *)column->fixed.data)[place + 1] = (int32_t)size;
        } else if (column->kind == FLAG) {
            column->fixed.data[place] = (byte)one->number;
        } else {
            ((int64_t *)column->fixed.data)[place] = one->number;
        }
    }
}

/* Room for `count` rows of a wanted column, all null. 0 when there is no memory. */
static int make_room(Column *column, const Total *total, int64_t count)
{
    size_t offsets = is_text(column->kind) ? (size_t)count + 1 : (size_t)count;
    return append_zeros(&column->valid, ((size_t)count + 7) / 8 + 1) &&
           append_zeros(&column->fixed, offsets * width_of(column->kind) + 1) &&
           (!is_text(column->kind) || grow(&column->texts, (size_t)total->size + SLACK));
}

/* Lengths become offsets, and what was not used of the room for texts is given back. */
static void close_texts(Column *column, int64_t count)
{
    int32_t *offsets = (int32_t *)column->fixed.data;
    for (int64_t i = 0; i < count; i++)
        offsets[i + 1] += offsets[i];
    column->texts.size = column->used;
    byte *less = realloc(column->texts.data, column->used + 1);
    if (less != NULL)
        column->texts.data = less;
}

#endif
