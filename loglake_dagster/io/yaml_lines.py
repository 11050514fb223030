"""A YAML text to its values and the line of each key, so that a mistake in a settings file can be pointed at.

No file is opened here, and nothing is known of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from loglake_dagster.errors import ConfigError, quote

MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """Leaves days as text: what is no day is then an error of its key, and not of YAML."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(path: Path, text: str) -> tuple[Any, Mapping[tuple[Any, ...], int]]:
    """(the document, line of each key). Keys given twice are an error: YAML would drop the first silently."""
    try:
        root = yaml.compose(text, _Loader)
        lines: dict[tuple[Any, ...], int] = {(): 1}
        if root is not None:
            _note_lines(path, root, (), lines)
        return yaml.load(text, _Loader), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}", file=str(path), line=line) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the latter from tags such as !!int x
        raise ConfigError(f"{path}: not YAML: {quote(str(error), 200)}", file=str(path)) from None


def _note_lines(path: Path, node: yaml.Node, place: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > MAX_DEPTH:
        raise wrong(path, lines[place], dotted(place[:3]), "too deep; does an alias hold itself?")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":merge")):
                raise wrong(path, line, dotted(place), f"expected text as a key, got {quote(_source_text(key))}")
            below = (*place, key.value)
            if below in lines:
                raise wrong(path, line, dotted(below), f"given twice (first in line {lines[below]})")
            lines[below] = line
            _note_lines(path, value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for place_in_list, value in enumerate(node.value):
            _note_lines(path, value, (*place, place_in_list), lines)


def _source_text(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else type(node).__name__


def wrong(path: Path, line: int, key: str, words: str) -> ConfigError:
    """The one shape of every mistake in the file."""
    return ConfigError(f"{path}:{line}: {key or 'file'}: {words}", file=str(path), line=line, key=key)


def dotted(place: tuple[Any, ...]) -> str:
    texts = [
        f"[{part}]" if isinstance(part, int) else f".{part if part.isprintable() else quote(part)}" for part in place
    ]
    return "".join(texts).removeprefix(".")
