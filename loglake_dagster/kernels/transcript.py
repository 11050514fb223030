"""A transcript as a reader would have seen it: terminal control sequences acted on, not printed.

`readable` plays the text on a terminal (terminal.py) that forgets nothing: clearing the screen or entering a
full-screen program starts a new page below, because a reviewer must see what was there before. A text that is long, or
that keeps the terminal busy, is stripped instead: sequences are taken out, backspaces and carriage returns resolved
line by line. The raw transcript is never replaced by either.

Of control characters only the newline is left; a tab is the spaces that it shows as. Characters that show as nothing or
turn the direction of writing (zero-width, bidirectional) are text and stay: a search finds them, and what shows text to
people makes them visible (safe_text.py).
"""

from __future__ import annotations

import re

from loglake_dagster.kernels.terminal import Paper, TerminalBusyError

# A longer text is stripped: a cell of the terminal takes many times a character's memory.
PLAYED_CHARS = 1 << 20

# Strings for the terminal (DCS, SOS, OSC, PM, APC) end on their line; what only begins like one is text.
_STRING = r"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\n\x1b\x80-\x9f]*+(?:\x07|\x1b\\|\x9c|(?=\x1b))"
_CSI = r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
_ESCAPE = r"\x1b[ -/]*+[0-~]?"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_SEQUENCE = re.compile(rf"{_STRING}|{_CSI}|{_ESCAPE}")
_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x8f\x91-\x97\x99\x9a\x9c]+)"
    rf"|(?:{_STRING})"
    r"|(?:\x1b\[|\x9b)(?P<mark>\??)(?P<numbers>[0-9;]*+)(?P<action>[@-~])"
    rf"|(?:{_CSI})"
    r"|\x1b(?P<set>\([0-~])"
    rf"|\x1b(?P<escape>[0-~])"
    rf"|(?:{_ESCAPE})"
    r"|."
)


def readable(text: str) -> str:
    """The text without control characters; one that has none is given back as it is, of any other the lines are
    without spaces at their ends."""
    if not _CONTROL.search(text):
        return text
    if len(text) <= PLAYED_CHARS:
        try:
            return _play(text)
        except TerminalBusyError:
            pass
    return strip_controls(text)


def strip_controls(text: str) -> str:
    """Sequences and control characters taken out; on each line backspaces and carriage returns overwrite."""
    return "\n".join(map(_stripped, _SEQUENCE.sub("", text).split("\n")))


def _stripped(line: str) -> str:
    if "\b" in line or "\r" in line:
        line = _overwritten(line)
    return _CONTROL.sub("", line.expandtabs()).rstrip(" ")


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
    return "".join(cells)


def _play(text: str) -> str:
    paper = Paper()
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        paper.spend(1)
        if kind == "text":
            paper.draw(token.group())
        elif kind == "control":
            paper.spend(len(token.group()))
            for control in token.group():
                paper.control(control)
        elif kind == "action":
            paper.act(token["mark"] + token["action"], token["numbers"])
        elif kind == "set":
            paper.draws_lines = token.group().endswith("0")
        elif kind == "escape":
            paper.escape(token["escape"])
    return paper.text()
