"""Hostile text made safe to show. Log content is written by strangers: on a terminal an escape sequence acts, in
Markdown and HTML a tag does. What is stored stays verbatim; only what is shown passes here."""

from __future__ import annotations

import re
import unicodedata

CELL = 200
_ACTIVE = frozenset("&<>\"'|`*_[]()!#~\\")
_ADDRESS = re.compile(r"(https?:/|www)(?=[/.])", re.IGNORECASE)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def terminal_text(value: object, keep_lines: bool = False) -> str:
    """Text for a terminal: control and format characters (escape sequences, bidirectional overrides) as `\\x1b`;
    newline and tab stay where `keep_lines` is set."""
    text = "" if value is None else str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_shown(c, keep_lines) else _escaped(c) for c in text)


def _is_shown(character: str, keep_lines: bool) -> bool:
    return (keep_lines and character in "\n\t") or unicodedata.category(character) not in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def markdown_cell(value: object, limit: int = CELL) -> str:
    """Text for a cell of a Markdown table that a browser renders: no tag, column break or link to a site can begin in
    it. A bare address would become a link too, so that an invisible joiner stands in it."""
    text = terminal_text(value)
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    text = "".join(f"&#{ord(c)};" if c in _ACTIVE else c for c in text)  # in one go: no escape is escaped again
    return _ADDRESS.sub(r"\1&#8288;", text)


def markdown_table(header: tuple[str, ...], rows: list[tuple[object, ...]], limit: int = CELL) -> str:
    """A Markdown table whose values are cut to `limit`; the words of an empty one."""
    if not rows:
        return "none"
    lines = [" | ".join(header), " | ".join("---" for _name in header)]
    lines += [" | ".join(markdown_cell(value, limit) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
