"""How a session's name is taken apart: `<owner>-<suffix>`, split at the last hyphen (docs/formats.md 3.2).

The owner may hold hyphens, dots and @; the suffix is opaque (17 hex digits, 26 letters and digits, a UUID's tail):
nothing is assumed of its length.
"""

from __future__ import annotations


def split_session_id(text: str) -> tuple[str, str]:
    """(owner, session id). A name without a hyphen has the empty owner."""
    owner, _hyphen, suffix = text.rpartition("-")
    return owner, suffix
