"""A transcript as a reader would have seen it: terminal control sequences acted on, not printed.

`readable` plays the text on a terminal (pyte) that is as tall as the text is long. What a real terminal forgets is
kept: clearing the screen or entering a full-screen program starts a new page below, because a reviewer must see what
was there before. A text that is long, or that keeps the terminal busy, is stripped instead: sequences are taken out,
backspaces and carriage returns resolved line by line. The raw transcript is never replaced by either.
"""

from __future__ import annotations

import re
from typing import Any

import pyte
from pyte import modes

# pyte plays about half a megabyte a second.
PLAYED_CHARS = 1 << 16
MAX_COLUMNS = 1 << 12
# Rows of a page that can be jumped to: programs ask a terminal's size by going to row 999.
MAX_ROWS = 100
# Cells and lines that erasing, inserting and deleting may touch before the text is stripped instead.
MAX_WORK = 2_000_000

_BODY = r"[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|\Z)"
# Strings for the terminal (DCS, SOS, OSC, PM, APC) and colours with colons: pyte prints what is inside them.
_UNKNOWN_TO_PYTE = re.compile(rf"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f]){_BODY}|\x1b\[[0-9;]*:[0-9;:]*m")
_SEQUENCE = re.compile(
    rf"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f]){_BODY}|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
)
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_FULL_SCREEN = frozenset({47, 1047, 1049})
_COLUMN_MODE = 3


def readable(text: str) -> str:
    """The text without control characters, lines without trailing space, joined by newlines."""
    if text.isprintable() or (not _CONTROL.search(text.replace("\t", "")) and "\b" not in text and "\r" not in text):
        return text
    if len(text) <= PLAYED_CHARS:
        try:
            return _play(_UNKNOWN_TO_PYTE.sub("", text))
        except Exception:  # pyte raises what it likes (TypeError, IndexError) at sequences that nobody means
            pass
    return strip_controls(text)


def strip_controls(text: str) -> str:
    """Sequences and control characters taken out; on each line backspaces and carriage returns overwrite."""
    text = _SEQUENCE.sub("", text)
    lines = (_overwritten(line) if "\b" in line or "\r" in line else line for line in text.split("\n"))
    return "\n".join(_CONTROL.sub("", line) for line in lines)


def _overwritten(line: str) -> str:
    cells: list[str] = []
    column = 0
    for character in line.rstrip("\r"):
        if character == "\b":
            column = max(0, column - 1)
        elif character == "\r":
            column = 0
        else:
            cells[column : column + 1] = [character]
            column += 1
    return "".join(cells).rstrip()


class _TooBusyError(Exception):
    """The text keeps the terminal busier than a transcript does."""


class _Paper(pyte.Screen):
    """A screen that loses no line: pages follow each other downwards, and nothing scrolls away."""

    def __init__(self, columns: int, rows: int) -> None:
        self.page = self.work = 0
        super().__init__(columns, rows)
        self.set_mode(modes.LNM)

    def _busy(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise _TooBusyError

    def _new_page(self) -> None:
        self._busy(len(self.buffer))
        self.page = max(self.page, 1 + max((y for y, line in self.buffer.items() if line), default=-1))
        self.cursor.y, self.cursor.x = self.page, 0
        self._make_room()

    def _make_room(self) -> None:
        self.lines = max(self.lines, self.cursor.y + 2)

    def index(self) -> None:
        self._make_room()
        super().index()

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        self.lines = max(self.lines, self.page + min(line or 1, MAX_ROWS) + 1)
        super().cursor_position(self.page + min(line or 1, MAX_ROWS), column)

    def cursor_to_line(self, line: int | None = None) -> None:
        self.cursor_position(line, self.cursor.x + 1)

    def erase_in_display(self, how: int = 0, *_args: Any, **_kwargs: Any) -> None:
        is_home = (self.cursor.x, self.cursor.y) == (0, self.page)
        if how in (2, 3) or (how == 0 and is_home):
            self._new_page()
            return
        self._busy(len(self.buffer) + self.columns)
        for y in [y for y in self.buffer if (y > self.cursor.y if how == 0 else self.page <= y < self.cursor.y)]:
            del self.buffer[y]
        self.erase_in_line(how)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        self._busy(self.columns)
        super().erase_in_line(how, private)

    def insert_characters(self, count: int | None = None) -> None:
        self._busy(self.columns)
        super().insert_characters(count)

    def delete_characters(self, count: int | None = None) -> None:
        self._busy(self.columns)
        super().delete_characters(count)

    def erase_characters(self, count: int | None = None) -> None:
        self._busy(self.columns)
        super().erase_characters(count)

    def set_mode(self, *given: int, **kwargs: Any) -> None:
        self._change_mode(super().set_mode, given, kwargs)

    def reset_mode(self, *given: int, **kwargs: Any) -> None:
        self._change_mode(super().reset_mode, given, kwargs)

    def _change_mode(self, change: Any, given: tuple[int, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("private") and _FULL_SCREEN.intersection(given):
            self._new_page()
        change(*(mode for mode in given if mode not in _FULL_SCREEN and mode != _COLUMN_MODE), **kwargs)

    def reset(self) -> None:
        """A terminal's reset (ESC c) is a new page here; the first one sets the screen up."""
        if not hasattr(self, "cursor"):
            super().reset()
        else:
            self._new_page()

    def _ignored(self, *_args: Any, **_kwargs: Any) -> None:
        """What moves whole lines about would move what was seen."""

    insert_lines = delete_lines = set_margins = reverse_index = alignment_display = _ignored


def _play(text: str) -> str:
    widest = max(map(len, text.split("\n")))
    screen = _Paper(min(max(80, widest + 1), MAX_COLUMNS), text.count("\n") + 2)
    pyte.Stream(screen).feed(text)
    lines = [_line_text(screen.buffer.get(y)) for y in range(1 + max(screen.buffer, default=-1))]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)


def _line_text(line: Any) -> str:
    return "".join(line[x].data for x in range(1 + max(line))).rstrip() if line else ""
