/* JSON records to Arrow buffers, in one pass over their text.

   What is taken here is strict JSON (RFC 8259) of exactly the declared shape: every member known and given once, every
   leaf of its kind. Such a record becomes a row of the columns; of any other sound record only its place is told, and
   of a text that is not sound nothing is: those are for the readers in Python, which take anything. So this file has no
   say in what a log means, and nothing that it does not understand can be lost in it.

   The tests hold every row against what the readers in Python make of the same text. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef uint8_t byte;

/* ---- growing memory ------------------------------------------------------------------------------------------- */

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

/* ---- the shape ------------------------------------------------------------------------------------------------ */

typedef enum { TEXT, JSON, FLAG, TIME, NUMBER, NODE } Kind;

enum { MOST_MEMBERS = 256, MOST_LABELS = 63, MOST_JUDGED = 4, MOST_RULES = 8, DEEPEST = 200, SLOTS = 512 };

typedef struct Node Node;

typedef struct {
    char *name;      /* with its closing quote, and zeros up to a multiple of eight */
    uint64_t last;   /* which bits of its last eight bytes count */
    uint32_t size;   /* without the quote */
    uint32_t eights; /* before the last eight bytes */
    Kind kind;
    int column;   /* of a leaf */
    int label;    /* bit of "was null" of a JSON leaf */
    int judged;   /* place among the judged, or -1 */
    int id;       /* bit by which a second one is seen */
    int next;     /* the member that followed it last time: records of a log are alike */
    Node *node;   /* of a node */
} Member;

struct Node {
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

/* ---- columns -------------------------------------------------------------------------------------------------- */

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

/* The last verdicts, so that few are looked up: a log has few names. */
enum { REMEMBERED = 128 };

typedef struct {
    size_t size;
    long rule;
    char key[112];
} Remembered;

typedef struct {
    PyObject *memory_type;
} State;

typedef struct {
    PyObject_HEAD
    PyObject *memory_type;
    Node *root;
    int column_count, member_count, label_count, judged_count;
    int time_column;
    Column *columns;
    int64_t rows, text_bytes;
    Bytes places, ordinals, labels;
    Remembered remembered[REMEMBERED];
} Builder;

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

static int hex_of(byte c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 if they are none. What is read ends with a zero byte at the latest. */
static int hex4(const byte *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_of(p[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The text of a JSON string whose escapes were found sound: never longer than it. */
static size_t unescape(const byte *p, size_t size, byte *out)
{
    const byte *end = p + size;
    byte *start = out;
    while (p < end) {
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        byte c = p[1];
        p += 2;
        if (c != 'u') {
            *out++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
            continue;
        }
        uint32_t code = (uint32_t)hex4(p);
        p += 4;
        if (code >= 0xD800 && code < 0xDC00) {
            code = 0x10000 + ((code - 0xD800) << 10) + ((uint32_t)hex4(p + 2) - 0xDC00);
            p += 6;
        }
        if (code < 0x80) {
            *out++ = (byte)code;
        } else if (code < 0x800) {
            *out++ = (byte)(0xC0 | code >> 6);
            *out++ = (byte)(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            *out++ = (byte)(0xE0 | code >> 12);
            *out++ = (byte)(0x80 | (code >> 6 & 0x3F));
            *out++ = (byte)(0x80 | (code & 0x3F));
        } else {
            *out++ = (byte)(0xF0 | code >> 18);
            *out++ = (byte)(0x80 | (code >> 12 & 0x3F));
            *out++ = (byte)(0x80 | (code >> 6 & 0x3F));
            *out++ = (byte)(0x80 | (code & 0x3F));
        }
    }
    return (size_t)(out - start);
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

/* ---- reading JSON --------------------------------------------------------------------------------------------- */

enum { ESCAPED = 1, LONE = 2, BEYOND_ASCII = 4 };

typedef struct {
    const byte *end;
    Builder *builder;
    /* the record in hand */
    int is_odd, value_count;
    int flags; /* of the whole text */
    uint64_t labels, seen[MOST_MEMBERS / 64];
    int judged[MOST_JUDGED]; /* places in `values` */
    Value values[MOST_MEMBERS];
} Reader;

static const byte *skip_space(const byte *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

/* The closing quote of a string that begins at `p`; NULL for one that is not sound. The text ends with a zero byte,
   which no string may hold. */
static const byte *skip_string(const byte *p, const byte *end, int *flags)
{
    for (;;) {
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
        while (end - p >= 16) {
            __m128i piece = _mm_loadu_si128((const __m128i *)p);
            __m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(piece, quote), _mm_cmpeq_epi8(piece, slash)),
                                         _mm_cmpeq_epi8(_mm_min_epu8(piece, control), piece));
            int mask = _mm_movemask_epi8(found);
            *flags |= _mm_movemask_epi8(piece) ? BEYOND_ASCII : 0;
            if (mask) {
                p += __builtin_ctz((unsigned)mask);
                break;
            }
            p += 16;
        }
#endif
        while (*p != '"' && *p != '\\' && *p >= 0x20)
            *flags |= *p++ & 0x80 ? BEYOND_ASCII : 0;
        if (*p == '"')
            return p;
        if (*p != '\\')
            return NULL;
        *flags |= ESCAPED;
        switch (p[1]) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            p += 2;
            break;
        case 'u': {
            int code = hex4(p + 2);
            if (code < 0)
                return NULL;
            p += 6;
            if (code >= 0xD800 && code < 0xE000) {
                int low = code < 0xDC00 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : -1;
                if (low >= 0xDC00 && low < 0xE000)
                    p += 6;
                else
                    *flags |= LONE;
            }
            break;
        }
        default:
            return NULL;
        }
    }
}

static const byte *skip_digits(const byte *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

static const byte *skip_number(const byte *p)
{
    if (*p == '-')
        p++;
    if (*p == '0')
        p++;
    else if (*p >= '1' && *p <= '9')
        p = skip_digits(p);
    else
        return NULL;
    if (*p == '.') {
        if (p[1] < '0' || p[1] > '9')
            return NULL;
        p = skip_digits(p + 1);
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        if (*p < '0' || *p > '9')
            return NULL;
        p = skip_digits(p);
    }
    return p;
}

static const byte *skip_word(const byte *p, const char *word, size_t size)
{
    return strncmp((const char *)p, word, size) == 0 ? p + size : NULL;
}

/* The end of any value; NULL if it is not sound or too deep. */
static const byte *skip_value(const byte *p, const byte *end, int depth, int *flags)
{
    switch (*p) {
    case '"':
        p = skip_string(p + 1, end, flags);
        return p ? p + 1 : NULL;
    case '{':
    case '[': {
        int is_object = *p == '{';
        byte close = is_object ? '}' : ']';
        if (depth == 0)
            return NULL;
        p = skip_space(p + 1);
        if (*p == close)
            return p + 1;
        for (;;) {
            if (is_object) {
                if (*p != '"' || (p = skip_string(p + 1, end, flags)) == NULL)
                    return NULL;
                p = skip_space(p + 1);
                if (*p != ':')
                    return NULL;
                p = skip_space(p + 1);
            }
            p = skip_value(p, end, depth - 1, flags);
            if (p == NULL)
                return NULL;
            p = skip_space(p);
            if (*p == close)
                return p + 1;
            if (*p != ',')
                return NULL;
            p = skip_space(p + 1);
        }
    }
    case 't':
        return skip_word(p, "true", 4);
    case 'f':
        return skip_word(p, "false", 5);
    case 'n':
        return skip_word(p, "null", 4);
    default:
        return skip_number(p);
    }
}

static int two_digits(const byte *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ? (p[0] - '0') * 10 + p[1] - '0' : -1;
}

/* `2026-03-01T23:58:41Z` of the years 1970 to 2259 in milliseconds; -1 for any other text. */
static int64_t time_of(const byte *p, int64_t size)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (size != 20 || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':' || p[19] != 'Z')
        return -1;
    int century = two_digits(p), rest = two_digits(p + 2), month = two_digits(p + 5), day = two_digits(p + 8);
    int hour = two_digits(p + 11), minute = two_digits(p + 14), second = two_digits(p + 17);
    if (century < 0 || rest < 0 || month < 1 || month > 12 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59)
        return -1;
    int year = century * 100 + rest;
    if (year < 1970 || year > 2259)
        return -1;
    int is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (month == 2 && is_leap))
        return -1;
    /* days since 1970-03-01 of years that begin in March, then since 1970-01-01 */
    int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
    return ((days * 24 + hour) * 60 + minute) * 60000 + (int64_t)second * 1000;
}

/* Whether a name that begins at `p` is the member's, to its closing quote. */
static int is_name(const Member *member, const byte *p, const byte *end)
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
static Member *next_member(const Node *node, const Member *before, const byte *p, const byte *end)
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

static void note(Reader *reader, const Member *member, const byte *start, int64_t size, int is_escaped)
{
    if (member->judged >= 0)
        reader->judged[member->judged] = is_escaped ? -1 : reader->value_count;
    reader->values[reader->value_count++] = (Value){start, size, member->column, is_escaped};
}

static const byte *read_object(Reader *reader, Node *node, const byte *p, int depth);

/* The value of a known member: noted if it is as declared, else the record is odd. NULL if it is not sound. */
static const byte *read_member(Reader *reader, const Member *member, const byte *p, int depth)
{
    const byte *start = p;
    int flags = 0;
    switch (member->kind) {
    case TEXT:
    case TIME:
        if (*p != '"')
            break;
        p = skip_string(p + 1, reader->end, &flags);
        if (p == NULL)
            return NULL;
        reader->flags |= flags;
        if (flags & LONE) {
            reader->is_odd = 1;
        } else if (member->kind == TEXT) {
            note(reader, member, start + 1, p - start - 1, flags & ESCAPED);
        } else {
            int64_t time = time_of(start + 1, p - start - 1);
            if (time < 0)
                reader->is_odd = 1;
            else
                note(reader, member, NULL, time, 0);
        }
        return p + 1;
    case JSON:
        p = skip_value(p, reader->end, depth, &flags);
        if (p == NULL)
            return NULL;
        reader->flags |= flags;
        if (flags & LONE)
            reader->is_odd = 1;
        if (*start == 'n')
            reader->labels |= (uint64_t)1 << member->label;
        else
            note(reader, member, start, p - start, 0);
        return p;
    case FLAG:
        if (*p != 't' && *p != 'f')
            break;
        p = skip_value(p, reader->end, depth, &flags);
        if (p != NULL)
            note(reader, member, NULL, *start == 't', 0);
        return p;
    case NUMBER: {
        const byte *digits = p + (*p == '-');
        const byte *after = skip_digits(digits);
        if (after == digits || after - digits > 18 || (*digits == '0' && after - digits > 1) || *after == '.' ||
            *after == 'e' || *after == 'E')
            break;
        int64_t number = 0;
        for (const byte *q = digits; q < after; q++)
            number = number * 10 + (*q - '0');
        note(reader, member, NULL, *p == '-' ? -number : number, 0);
        return after;
    }
    case NODE:
        if (*p != '{')
            break;
        return read_object(reader, member->node, p, depth - 1);
    }
    reader->is_odd = 1;
    return skip_value(p, reader->end, depth, &reader->flags);
}

/* An object of the shape, from its bracket on; NULL if it is not sound. */
static const byte *read_object(Reader *reader, Node *node, const byte *p, int depth)
{
    Member *member = NULL;
    p = skip_space(p + 1);
    if (*p == '}') {
        if (node->label >= 0)
            reader->labels |= (uint64_t)1 << node->label;
        return p + 1;
    }
    for (;;) {
        int flags = 0;
        const byte *name = p + 1;
        if (*p != '"')
            return NULL;
        Member *found = next_member(node, member, name, reader->end);
        if (found != NULL) {
            p = name + found->size;
        } else {
            p = skip_string(name, reader->end, &flags);
            if (p == NULL)
                return NULL;
            reader->flags |= flags;
            found = flags ? NULL : find_member(node, member, name, (size_t)(p - name));
        }
        if (found != NULL)
            member = found;
        p = skip_space(p + 1);
        if (*p != ':')
            return NULL;
        p = skip_space(p + 1);
        if (found != NULL && !(reader->seen[found->id >> 6] >> (found->id & 63) & 1)) {
            reader->seen[found->id >> 6] |= (uint64_t)1 << (found->id & 63);
            p = read_member(reader, found, p, depth);
        } else {
            reader->is_odd = 1;
            p = skip_value(p, reader->end, depth, &reader->flags);
        }
        if (p == NULL)
            return NULL;
        p = skip_space(p);
        if (*p == '}')
            return p + 1;
        if (*p != ',')
            return NULL;
        p = skip_space(p + 1);
    }
}

/* ---- adding a text -------------------------------------------------------------------------------------------- */

enum { KEPT = 0, FAILED = -1, UNJUDGED = -2 };

/* What the event rules say of the record: KEPT, a rule's number from 1 on, UNJUDGED where it lacks a judged field, or
   FAILED with an exception set. */
static long judge(Reader *reader, PyObject *verdicts, PyObject *ask)
{
    char key[1024];
    size_t size = 0;
    int count = reader->builder->judged_count;
    for (int i = 0; i < count; i++) {
        if (reader->judged[i] < 0)
            return UNJUDGED;
        const Value *value = &reader->values[reader->judged[i]];
        if (size + (size_t)value->size + 1 > sizeof key)
            return UNJUDGED;
        memcpy(key + size, value->start, (size_t)value->size);
        size += (size_t)value->size;
        key[size++] = '\0';
    }
    Remembered *last = &reader->builder->remembered[slot_of((const byte *)key, size) & (REMEMBERED - 1)];
    if (last->size == size && memcmp(last->key, key, size) == 0)
        return last->rule;
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
    if (size <= sizeof last->key) {
        memcpy(last->key, key, size);
        last->size = size;
        last->rule = rule;
    }
    return rule;
}

static int add_row(Reader *reader, int32_t place, int64_t ordinal)
{
    Builder *self = reader->builder;
    for (int i = 0; i < reader->value_count; i++) {
        const Value *value = &reader->values[i];
        if (!put(&self->columns[value->column], self->rows, value))
            return 0;
    }
    self->rows++;
    return append(&self->places, &place, sizeof place) && append(&self->ordinals, &ordinal, sizeof ordinal) &&
           append(&self->labels, &reader->labels, sizeof reader->labels);
}

/* Takes back the rows from `rows` on. */
static void take_back(Builder *self, int64_t rows, const size_t *sizes)
{
    for (int i = 0; i < self->column_count; i++) {
        Column *column = &self->columns[i];
        for (int64_t row = rows; row < column->filled; row++) {
            size_t place = (size_t)(row >> 3);
            byte bit = (byte)(1u << (row & 7));
            if (place < column->valid.size && column->valid.data[place] & bit) {
                column->valid.data[place] &= (byte)~bit;
                column->values--;
            }
        }
        if (column->filled > rows) {
            column->filled = rows;
            if (is_text(column->kind)) {
                column->offsets.size = (size_t)rows * 4;
                column->data.size = sizes[i];
            } else {
                column->data.size = (size_t)rows * width_of(column->kind);
            }
        }
    }
    self->rows = rows;
    self->places.size = (size_t)rows * 4;
    self->ordinals.size = self->labels.size = (size_t)rows * 8;
}

typedef struct {
    int64_t found;
    int64_t dropped[MOST_RULES + 1];
    PyObject *odd;
} Told;

/* One record at `p`: a row, dropped by a rule, or told as odd. Its end; NULL if it is not sound (*is_error 0) or with
   an exception set (*is_error 1). */
static const byte *add_record(Reader *reader, const byte *text, const byte *p, int32_t place, int64_t first,
                              PyObject *verdicts, PyObject *ask, Told *told, int *is_error)
{
    Builder *self = reader->builder;
    const byte *start = p;
    reader->value_count = 0;
    reader->labels = 0;
    memset(reader->seen, 0, sizeof reader->seen);
    for (int i = 0; i < MOST_JUDGED; i++)
        reader->judged[i] = -1;
    reader->is_odd = *p != '{';
    p = reader->is_odd ? skip_value(p, reader->end, DEEPEST, &reader->flags) : read_object(reader, self->root, p, DEEPEST);
    if (p == NULL)
        return NULL;
    *is_error = 1;
    int64_t ordinal = first + told->found++;
    if (verdicts != NULL) {
        long rule = reader->is_odd && reader->value_count == 0 ? UNJUDGED : judge(reader, verdicts, ask);
        if (rule == FAILED)
            return NULL;
        if (rule > 0) {
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
        if (!add_row(reader, place, ordinal)) {
            PyErr_NoMemory();
            return NULL;
        }
    } else {
        PyObject *one = Py_BuildValue("(Lnn)", (long long)ordinal, (Py_ssize_t)(start - text), (Py_ssize_t)(p - text));
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
static int add_text(Reader *reader, const byte *text, const char *member, size_t member_size, int32_t place,
                    int64_t first, PyObject *verdicts, PyObject *ask, Py_ssize_t most_odd, Told *told)
{
    int flags = 0, is_error = 0;
    const byte *p = skip_space(text);
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
            p = add_record(reader, text, p, place, first, verdicts, ask, told, &is_error);
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
    size_t *sizes = malloc(sizeof(size_t) * (size_t)(self->column_count + 1));
    Reader *reader = malloc(sizeof *reader);
    Told told = {0, {0}, PyList_New(0)};
    PyObject *result = NULL;
    if (sizes == NULL || reader == NULL || told.odd == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (int i = 0; i < self->column_count; i++)
        sizes[i] = self->columns[i].data.size;
    int64_t rows = self->rows;
    reader->end = (const byte *)data + size;
    reader->builder = self;
    reader->flags = 0;
    int taken = add_text(reader, (const byte *)data, member, (size_t)member_size, place, first,
                         verdicts == Py_None ? NULL : verdicts, ask, most_odd, &told);
    if (taken > 0 && reader->flags & BEYOND_ASCII) {
        PyObject *sound = PyUnicode_DecodeUTF8(data, size, NULL);
        if (sound == NULL) {
            PyErr_Clear();
            taken = 0;
        }
        Py_XDECREF(sound);
    }
    if (taken <= 0) {
        take_back(self, rows, sizes);
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
    free(sizes);
    free(reader);
    return result;
}

/* ---- the columns ---------------------------------------------------------------------------------------------- */

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

static void memory_free(Memory *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    release(&self->bytes);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
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

static void empty(Builder *self)
{
    for (int i = 0; i < self->column_count; i++) {
        Column *column = &self->columns[i];
        release(&column->valid);
        release(&column->offsets);
        release(&column->data);
        column->filled = column->values = 0;
    }
    release(&self->places);
    release(&self->ordinals);
    release(&self->labels);
    self->rows = self->text_bytes = 0;
}

PyDoc_STRVAR(finish_doc,
"finish() -> (rows, places, ordinals, labels, columns)\n\n"
"What was added since the last time, as Arrow buffers: int32 places, int64 ordinals, uint64 bits of the labels, and\n"
"for each column None where no row has a value, else (nulls, validity or None, values, offsets or None): texts have\n"
"int32 offsets; flags are a byte a row; times (milliseconds) and numbers int64.");

static PyObject *builder_finish(Builder *self, PyObject *unused)
{
    (void)unused;
    PyObject *columns = PyList_New(self->column_count), *result = NULL;
    for (int i = 0; columns != NULL && i < self->column_count; i++) {
        Column *column = &self->columns[i];
        PyObject *one = NULL;
        if (column->values == 0) {
            one = Py_NewRef(Py_None);
        } else {
            size_t bits = (size_t)(self->rows + 7) / 8;
            int32_t last = (int32_t)column->data.size;
            int is_whole = fill(column, self->rows) &&
                           (!is_text(column->kind) || append(&column->offsets, &last, sizeof last)) &&
                           (column->valid.size >= bits || append_zeros(&column->valid, bits - column->valid.size));
            if (!is_whole) {
                PyErr_NoMemory();
                Py_CLEAR(columns);
                break;
            }
            one = Py_BuildValue("(LNNN)", (long long)(self->rows - column->values),
                                column->values == self->rows ? Py_NewRef(Py_None)
                                                             : handed(self->memory_type, &column->valid),
                                handed(self->memory_type, &column->data),
                                is_text(column->kind) ? handed(self->memory_type, &column->offsets)
                                                      : Py_NewRef(Py_None));
        }
        if (one == NULL || PyList_SetItem(columns, i, one) < 0)
            Py_CLEAR(columns);
    }
    if (columns != NULL)
        result = Py_BuildValue("(LNNNN)", (long long)self->rows, handed(self->memory_type, &self->places),
                               handed(self->memory_type, &self->ordinals), handed(self->memory_type, &self->labels),
                               columns);
    empty(self);
    return result;
}

/* ---- making and ending one ------------------------------------------------------------------------------------ */

static const char *const KINDS[] = {"text", "json", "flag", "time", "number", "node"};

static Node *read_shape(Builder *self, PyObject *members, int label);

/* A member from (name, kind, column, label, judged, members of a node). */
static int read_shape_member(Builder *self, Node *node, int place, PyObject *told)
{
    const char *name, *kind;
    Py_ssize_t size;
    int column, label, judged;
    PyObject *inside;
    if (!PyArg_ParseTuple(told, "s#siiiO", &name, &size, &kind, &column, &label, &judged, &inside))
        return 0;
    Member *member = &node->members[place];
    member->next = -1;
    member->kind = -1;
    for (int i = TEXT; i <= NODE; i++)
        if (strcmp(kind, KINDS[i]) == 0)
            member->kind = i;
    int is_node = (int)member->kind == NODE;
    if ((int)member->kind < 0 || size == 0 || self->member_count >= MOST_MEMBERS || label > MOST_LABELS ||
        judged >= MOST_JUDGED || (!is_node && (column < 0 || column >= self->column_count)) ||
        (member->kind == JSON && label < 0)) {
        PyErr_Format(PyExc_ValueError, "member %s: not a shape that columns can be made of", name);
        return 0;
    }
    member->id = self->member_count++;
    member->column = column;
    member->label = label;
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
    if (!is_node) {
        self->columns[column].kind = member->kind;
        return 1;
    }
    member->node = read_shape(self, inside, label);
    return member->node != NULL;
}

static Node *read_shape(Builder *self, PyObject *members, int label)
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
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->columns != NULL)
        empty(self);
    free(self->columns);
    free_node(self->root);
    Py_XDECREF(self->memory_type);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

static PyObject *builder_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    (void)names;
    int columns, time_column;
    PyObject *members;
    if (!PyArg_ParseTuple(args, "iiO", &columns, &time_column, &members))
        return NULL;
    if (columns < 1 || columns > MOST_MEMBERS) {
        PyErr_SetString(PyExc_ValueError, "columns: expected 1 to 256");
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Builder *self = (Builder *)make(type, 0);
    if (self == NULL)
        return NULL;
    self->memory_type = Py_NewRef(((State *)PyType_GetModuleState(type))->memory_type);
    self->column_count = columns;
    self->time_column = time_column;
    self->columns = calloc((size_t)columns, sizeof *self->columns);
    if (self->columns == NULL)
        PyErr_NoMemory();
    else
        self->root = read_shape(self, members, -1);
    if (self->root == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* ---- rows as bytes -------------------------------------------------------------------------------------------- */

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

static PyMethodDef module_methods[] = {
    {"join_rows", join_rows, METH_VARARGS, join_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef builder_methods[] = {
    {"add", (PyCFunction)builder_add, METH_VARARGS, add_doc},
    {"finish", (PyCFunction)builder_finish, METH_NOARGS, finish_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot builder_slots[] = {
    {Py_tp_doc, "Builder(columns, time_column, members)\n\nColumns under construction. `members` are those of a record:"
                " (name, kind, column, label, judged, members of a node), with -1 where there is none."},
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
    if (type == NULL)
        return -1;
    int done = PyModule_AddObjectRef(module, "Builder", type);
    Py_DECREF(type);
    return done;
}

static int clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if (state != NULL)
        Py_CLEAR(state->memory_type);
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
