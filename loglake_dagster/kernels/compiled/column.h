/* One Arrow column under construction. */

#ifndef LOGLAKE_COLUMN_H
#define LOGLAKE_COLUMN_H

#include "json.h"

typedef enum { TEXT, JSON, FLAG, TIME, NUMBER, NODE } Kind;

typedef struct {
    Kind kind;
    int64_t filled; /* rows that have an offset, or a value, or its place */
    int64_t values; /* rows that are not null */
    Bytes valid, offsets, data;
} Column;

typedef struct {
    const byte *start;
    int64_t size; /* of the text; the value of other kinds */
    int column;
    int is_escaped;
} Value;

static int is_text(Kind kind)
{
    return kind == TEXT || kind == JSON;
}

static size_t width_of(Kind kind)
{
    return kind == FLAG ? 1 : 8;
}

/* Rows up to `row` that said nothing: null. */
static int fill(Column *column, int64_t row)
{
    int64_t missing = row - column->filled;
    if (missing <= 0)
        return 1;
    if (is_text(column->kind)) {
        if (!grow(&column->offsets, (size_t)missing * 4))
            return 0;
        int32_t *offsets = (int32_t *)(column->offsets.data + column->offsets.size);
        for (int64_t i = 0; i < missing; i++)
            offsets[i] = (int32_t)column->data.size;
        column->offsets.size += (size_t)missing * 4;
    } else {
        if (!append_zeros(&column->data, (size_t)missing * width_of(column->kind)))
            return 0;
    }
    column->filled = row;
    return 1;
}

static int set_valid(Column *column, int64_t row)
{
    size_t place = (size_t)(row >> 3);
    if (place >= column->valid.size && !append_zeros(&column->valid, place + 1 - column->valid.size))
        return 0;
    column->valid.data[place] |= (byte)(1u << (row & 7));
    column->values++;
    return 1;
}

static int put(Column *column, int64_t row, const Value *value)
{
    if (!fill(column, row) || !set_valid(column, row))
        return 0;
    column->filled = row + 1;
    if (is_text(column->kind)) {
        int32_t offset = (int32_t)column->data.size;
        if (!append(&column->offsets, &offset, sizeof offset) || !grow(&column->data, (size_t)value->size))
            return 0;
        if (value->is_escaped) {
            column->data.size += unescape(value->start, (size_t)value->size, column->data.data + column->data.size);
        } else {
            memcpy(column->data.data + column->data.size, value->start, (size_t)value->size);
            column->data.size += (size_t)value->size;
        }
        return 1;
    }
    if (column->kind == FLAG) {
        byte flag = (byte)value->size;
        return append(&column->data, &flag, 1);
    }
    return append(&column->data, &value->size, 8);
}

#endif
