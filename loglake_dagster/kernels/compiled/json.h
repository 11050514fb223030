/* Strict JSON (RFC 8259): where a value ends, what a string says. Texts end with a zero byte, which no value holds. */

#ifndef LOGLAKE_JSON_H
#define LOGLAKE_JSON_H

#include "memory.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ESCAPED = 1, LONE = 2 };

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

static const byte *skip_space(const byte *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

static int is_between(byte c, byte low, byte high)
{
    return c >= low && c <= high;
}

/* Whether a text is UTF-8 as Unicode has it: no longer forms than needed, no halves of pairs, nothing past U+10FFFF. */
static int is_utf8(const byte *p, const byte *end)
{
    while (p < end) {
        uint64_t eight = UINT64_MAX;
        if (end - p >= 8)
            memcpy(&eight, p, 8);
        if ((eight & 0x8080808080808080u) == 0) {
            p += 8;
        } else if (*p < 0x80) {
            p++;
        } else if (is_between(*p, 0xC2, 0xDF)) {
            if (!is_between(p[1], 0x80, 0xBF))
                return 0;
            p += 2;
        } else if (is_between(*p, 0xE0, 0xEF)) {
            if (!is_between(p[1], *p == 0xE0 ? 0xA0 : 0x80, *p == 0xED ? 0x9F : 0xBF) || !is_between(p[2], 0x80, 0xBF))
                return 0;
            p += 3;
        } else if (is_between(*p, 0xF0, 0xF4)) {
            if (!is_between(p[1], *p == 0xF0 ? 0x90 : 0x80, *p == 0xF4 ? 0x8F : 0xBF) ||
                !is_between(p[2], 0x80, 0xBF) || !is_between(p[3], 0x80, 0xBF))
                return 0;
            p += 4;
        } else {
            return 0;
        }
    }
    return 1;
}

/* The end of an escape sequence; NULL for one that is not sound. */
static const byte *skip_escape(const byte *p, int *flags)
{
    *flags |= ESCAPED;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u': {
        int code = hex4(p + 2);
        if (code < 0)
            return NULL;
        p += 6;
        if (code >= 0xD800 && code < 0xE000) {
            int low = code < 0xDC00 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : -1;
            if (low >= 0xDC00 && low < 0xE000)
                return p + 6;
            *flags |= LONE;
        }
        return p;
    }
    default:
        return NULL;
    }
}

/* The closing quote of a string that begins at `p`; NULL for one that is not sound JSON or not UTF-8. The text ends with
   a zero byte, which no string may hold. */
static inline const byte *skip_string(const byte *p, const byte *end, int *flags)
{
    const byte *start = p;
    int beyond = 0;
    for (;;) {
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
        while (end - p >= 16) {
            __m128i piece = _mm_loadu_si128((const __m128i *)p);
            __m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(piece, quote), _mm_cmpeq_epi8(piece, slash)),
                                         _mm_cmpeq_epi8(_mm_min_epu8(piece, control), piece));
            unsigned mask = (unsigned)_mm_movemask_epi8(found);
            unsigned high = (unsigned)_mm_movemask_epi8(piece);
            if (mask) {
                beyond |= (int)(high & (mask ^ (mask - 1)));
                p += __builtin_ctz(mask);
                break;
            }
            beyond |= (int)high;
            p += 16;
        }
#endif
        while (*p != '"' && *p != '\\' && *p >= 0x20)
            beyond |= *p++ & 0x80;
        if (*p == '"')
            return beyond == 0 || is_utf8(start, p) ? p : NULL;
        if (*p != '\\' || (p = skip_escape(p, flags)) == NULL)
            return NULL;
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
        return p[1] == 'r' && p[2] == 'u' && p[3] == 'e' ? p + 4 : NULL;
    case 'f':
        return p[1] == 'a' && p[2] == 'l' && p[3] == 's' && p[4] == 'e' ? p + 5 : NULL;
    case 'n':
        return p[1] == 'u' && p[2] == 'l' && p[3] == 'l' ? p + 4 : NULL;
    default:
        return skip_number(p);
    }
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

#endif
