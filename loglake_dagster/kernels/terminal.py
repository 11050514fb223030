"""A terminal for reading afterwards: as long and as wide as what is written on it, and nothing scrolls away.

Belongs here: what characters and control functions do to the paper. Stays out: where a sequence begins and ends
(transcript.py). Only what moves the cursor, writes or erases counts; colours, titles and reports do not show. What
moves whole lines about (scrolling regions, inserted and deleted lines) is left out: it would move what was seen. The
source of truth is xterm's "Control Sequences"; the size of the real terminal is not known.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

# How far a program can jump on a page: it asks a terminal's size by going to row and column 999.
MAX_ROWS = 100
MAX_COLUMNS = 500
TAB = 8
# Runs of text, functions, and cells that they move: below a second's work.
MAX_WORK = 200_000
_FULL_SCREEN = frozenset({47, 1047, 1049})
_INSERT_MODE = 4
# DEC's line drawing: what the letters from ` to ~ show as.
_LINES = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


class TerminalBusyError(Exception):
    """The text keeps the terminal busier than a transcript does."""


class Paper:
    """What was written so far, and where the cursor stands. A row is a list of cells: a character with the marks that
    show on it; the second cell of a wide one is empty."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []
        self._x = self._y = self._page = self._work = 0
        self._saved = (0, 0)
        self._last = ""
        self._inserts = False
        self.draws_lines = False

    def text(self) -> str:
        """The rows, without spaces at their ends and without empty rows at the end."""
        return "\n".join("".join(row).rstrip(" ") for row in self._rows).rstrip("\n")

    def draw(self, text: str) -> None:
        """Writes text without control characters."""
        if self.draws_lines:
            text = text.translate(_LINES)
        if text.isascii():
            self._put(list(text))
        else:
            for character in text:
                self._draw_wide(character)
        self._last = text[-1]

    def _draw_wide(self, character: str) -> None:
        width = _width(character)
        if width == 0 and 0 < self._x <= len(row := self._row()):
            place = self._x - 1 if row[self._x - 1] or self._x == 1 else self._x - 2
            self.spend(len(row[place]))
            row[place] += character
        else:
            self._put([character, ""] if width == 2 else [character])

    def _put(self, cells: list[str]) -> None:
        row = self._row()
        if self._x > len(row):
            self.spend(self._x - len(row))
            row.extend(" " * (self._x - len(row)))
        end = self._x if self._inserts else min(self._x + len(cells), len(row))
        self.spend(len(row) - end)
        self._cut_wide(row, self._x)
        self._cut_wide(row, end)
        row[self._x : end] = cells
        self._x += len(cells)

    def _cut_wide(self, row: list[str], place: int) -> None:
        """A wide character of which one half is overwritten is gone: spaces in its place."""
        if 0 < place < len(row) and not row[place]:
            row[place - 1 : place + 1] = "  "

    def _row(self) -> list[str]:
        missing = self._y + 1 - len(self._rows)
        if missing > 0:
            self.spend(missing)
            self._rows.extend([] for _ in range(missing))
        return self._rows[self._y]

    def spend(self, work: int) -> None:
        """Counts work; TerminalBusyError when it is more than a transcript makes."""
        self._work += work
        if self._work > MAX_WORK:
            raise TerminalBusyError

    def control(self, character: str) -> None:
        """A control character of one byte, or one of eight bits."""
        if character in "\n\v\f\x85":
            self._y, self._x = self._y + 1, 0
        elif character == "\r":
            self._x = 0
        elif character == "\b":
            self._x = max(0, self._x - 1)
        elif character == "\t":
            self._x += TAB - self._x % TAB
        elif character in "\x84\x8d":
            self.escape(chr(ord(character) - 0x40))

    def escape(self, final: str) -> None:
        """ESC and one character."""
        if final == "D":
            self._y += 1
        elif final == "E":
            self.control("\n")
        elif final == "M":
            self._up(1)
        elif final == "7":
            self._saved = self._y, self._x
        elif final == "8":
            self._y, self._x = max(self._top(), self._saved[0]), self._saved[1]
        elif final == "c":
            self._new_page()

    def act(self, action: str, numbers: str) -> None:
        """A control sequence: its final character, after `?` for a private one; numbers as they stand before it."""
        given = [_number(number) for number in numbers.split(";")]
        if action in _MOVES:
            _MOVES[action](self, max(1, given[0]))
        elif action in ("H", "f"):
            self._go_to(max(1, given[0]), max(1, given[1]) if len(given) > 1 else 1)
        elif action in ("J", "?J"):
            self._erase_display(given[0])
        elif action in ("K", "?K"):
            self._erase_line(given[0])
        elif action in ("?h", "?l") and _FULL_SCREEN.intersection(given):
            self._new_page()
        elif action in ("h", "l") and _INSERT_MODE in given:
            self._inserts = action == "h"
        elif action in ("s", "u"):
            self.escape("7" if action == "s" else "8")

    def _top(self) -> int:
        """The first row that can be reached: what is further up has scrolled away on a real terminal."""
        return max(self._page, len(self._rows) - MAX_ROWS)

    def _new_page(self) -> None:
        self._page = self._y = len(self._rows)
        self._x = 0

    def _up(self, count: int) -> None:
        self._y = max(min(self._y, self._top()), self._y - count)

    def _down(self, count: int) -> None:
        self._y = max(self._y, min(self._y + count, self._top() + MAX_ROWS - 1))

    def _to_column(self, column: int) -> None:
        self._x = min(column - 1, max(MAX_COLUMNS - 1, self._x))

    def _forward(self, count: int) -> None:
        self._to_column(self._x + count + 1)

    def _back(self, count: int) -> None:
        self._x = max(0, self._x - count)

    def _next_line(self, count: int) -> None:
        self._down(count)
        self._x = 0

    def _previous_line(self, count: int) -> None:
        self._up(count)
        self._x = 0

    def _go_to(self, row: int, column: int) -> None:
        """On a page that is longer than a screen nobody knows what row 1 was: a new page."""
        if len(self._rows) - self._page > MAX_ROWS:
            self._new_page()
        self._y = self._page + min(row, MAX_ROWS) - 1
        self._to_column(column)

    def _to_row(self, row: int) -> None:
        self._go_to(row, self._x + 1)

    def _erase_display(self, how: int) -> None:
        """All of it, or from its first cell on, is a new page: what was seen stays."""
        if how >= 2 or (how == 0 and (self._y, self._x) == (self._page, 0)):
            self._new_page()
            return
        others = range(self._y + 1, len(self._rows)) if how == 0 else range(self._top(), min(self._y, len(self._rows)))
        for y in others:
            self.spend(1)
            self._rows[y].clear()
        self._erase_line(how)

    def _erase_line(self, how: int) -> None:
        row = self._row()
        if how == 0:
            self._cut_wide(row, self._x)
            del row[self._x :]
        elif how == 1:
            self._blank(row, 0, self._x + 1)
        else:
            row.clear()

    def _blank(self, row: list[str], start: int, end: int) -> None:
        end = min(end, len(row))
        if start < end:
            self.spend(end - start)
            self._cut_wide(row, start)
            self._cut_wide(row, end)
            row[start:end] = " " * (end - start)

    def _erase_characters(self, count: int) -> None:
        self._blank(self._row(), self._x, self._x + count)

    def _delete_characters(self, count: int) -> None:
        row = self._row()
        self.spend(len(row))
        self._blank(row, self._x, self._x + count)
        del row[self._x : self._x + count]

    def _insert_characters(self, count: int) -> None:
        row = self._row()
        if self._x < len(row):
            self.spend(len(row) + count)
            self._cut_wide(row, self._x)
            row[self._x : self._x] = " " * min(count, MAX_COLUMNS)

    def _repeat(self, count: int) -> None:
        count = min(count, MAX_COLUMNS) if self._last else 0
        self.spend(count)
        for _ in range(count):
            self._draw_wide(self._last)


_MOVES: dict[str, Callable[[Paper, int], None]] = {
    "A": Paper._up,
    "B": Paper._down,
    "C": Paper._forward,
    "D": Paper._back,
    "E": Paper._next_line,
    "F": Paper._previous_line,
    "G": Paper._to_column,
    "P": Paper._delete_characters,
    "X": Paper._erase_characters,
    "@": Paper._insert_characters,
    "`": Paper._to_column,
    "a": Paper._forward,
    "b": Paper._repeat,
    "d": Paper._to_row,
    "e": Paper._down,
}


def _number(text: str) -> int:
    return int(text[-9:]) if text else 0


def _width(character: str) -> int:
    """Cells that a character takes: none for marks on the one before it and for what does not show."""
    if unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
