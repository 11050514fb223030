"""loglake.yaml to settings: the only reader of the environment, and the only place that knows the file's keys.

Every mistake in the file is one ConfigError that names file, line, key, value and what is accepted. Relative paths
are relative to the file. The file is read again at every run: an emergency deny needs no deploy.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from loglake_dagster.errors import ConfigError, quote
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.settings import EngineSettings, Feed, OrcSettings, Quality, S3Settings, Settings
from loglake_dagster.sources import SOURCES

FILE_NAME = "loglake.yaml"
VARIABLE = "LOGLAKE_CONFIG"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def _span(value: Any) -> dt.timedelta:
    match = re.fullmatch(r"(\d+)\s*([smhd])", str(value))
    if match is None:
        raise ValueError("expected a time span such as 90m, 2h or 1d")
    return dt.timedelta(seconds=int(match[1]) * _UNITS_S[match[2]])


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d+)\s*([KMGT]?B?)", str(value).upper())
    if match is None or isinstance(value, bool):
        raise ValueError("expected a size such as 512MB or 2GB")
    unit = match[2] if match[2].endswith("B") or not match[2] else match[2] + "B"
    return int(match[1]) * _SIZES["" if unit == "B" else unit]


Span = Annotated[dt.timedelta, BeforeValidator(_span)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Globs = tuple[Annotated[str, Field(min_length=1, strict=True)], ...]


def _source(value: Any) -> str:
    names = [source.name for source in SOURCES]
    if value not in names:
        raise ValueError(f"expected {' or '.join(repr(name) for name in names)}")
    return str(value)


SourceName = Annotated[str, BeforeValidator(_source)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_Section):
    allow: Globs = ()
    deny: Globs = ()


class _Controls(_Section):
    accounts: _Rule = _Rule()
    regions: _Rule = _Rule()
    keys: _Rule = _Rule()
    event_sources: _Rule = _Rule()
    event_names: _Rule = _Rule()
    log_groups: _Rule = _Rule()


class _LogGroups(_Section):
    session: Globs = ()


class _Feed(_Section):
    source: SourceName
    uri: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] | None = None
    log_groups: _LogGroups | None = None


class _Catalog(_Section):
    type: Literal["sqlite"] = "sqlite"
    path: str | None = None


class _Engine(_Section):
    type: Literal["embedded"] = "embedded"
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_limit: Size = 1 << 30
    max_object_bytes: Size = 1 << 30
    part_bytes: Size = 6 << 20


class _Quality(_Section):
    coverage: Annotated[float, Field(ge=0, le=1)] = 0.90
    captured: Annotated[float, Field(ge=0, le=1)] = 0.90
    lateness: Span = dt.timedelta(hours=2)
    sla_minutes: Annotated[int, Field(ge=0, le=1440)] = 90
    recount_objects: Annotated[int, Field(ge=0, le=10_000)] = 20


class _Orc(_Section):
    compression: Literal["zlib", "zstd"] = "zlib"


class _S3(_Section):
    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False


class _Partitions(_Section):
    start: dt.date = dt.date(2023, 1, 1)


class _File(_Section):
    lake: Annotated[str, Field(min_length=1)]
    catalog: _Catalog = _Catalog()
    engine: _Engine = _Engine()
    feeds: Annotated[tuple[_Feed, ...], Field(min_length=1)]
    controls: _Controls = _Controls()
    quality: _Quality = _Quality()
    partitions: _Partitions = _Partitions()
    orc: _Orc = _Orc()
    s3: _S3 = _S3()


def config_path(given: str | os.PathLike[str] | None = None) -> Path:
    """The settings file: the one given, else the one that LOGLAKE_CONFIG names, else loglake.yaml in this folder."""
    return Path(given or os.environ.get(VARIABLE) or FILE_NAME).absolute()


def dagster_home(config: Path) -> Path:
    """Dagster's folder: DAGSTER_HOME, else `.dagster_home` beside the settings file."""
    given = os.environ.get("DAGSTER_HOME")
    return Path(given) if given else config.parent / ".dagster_home"


def use_for_children(config: Path, home: Path) -> None:
    """Makes this process and those it starts use the settings file and Dagster's folder."""
    os.environ[VARIABLE] = str(config)
    os.environ["DAGSTER_HOME"] = str(home)


def load_settings(given: str | os.PathLike[str] | None = None) -> Settings:
    """The settings of a file; ConfigError if there is none or it is wrong."""
    path = config_path(given)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such settings file; write one (see the commented loglake.yaml of the project), name one with "
            f"--config FILE or set {VARIABLE}",
            file=str(path),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}", file=str(path)) from error
    document, lines = _parse(path, text)
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise _explain(path, lines, error) from None
    return _settings(path, parsed, lines)


def _parse(path: Path, text: str) -> tuple[Any, Mapping[tuple[Any, ...], int]]:
    """(the document, line of each key). Keys given twice are an error: YAML would drop the first silently."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        lines: dict[tuple[Any, ...], int] = {(): 1}
        if root is not None:
            _note_lines(path, root, (), lines)
        return yaml.safe_load(text), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}", file=str(path), line=line) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {quote(str(error), 200)}", file=str(path)) from None


def _note_lines(path: Path, node: yaml.Node, place: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below, line = (*place, key.value), key.start_mark.line + 1
            if below in lines:
                raise ConfigError(
                    f"{path}:{line}: {_dotted(below)}: given twice (first in line {lines[below]})", line=line
                )
            lines[below] = line
            _note_lines(path, value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for place_in_list, value in enumerate(node.value):
            _note_lines(path, value, (*place, place_in_list), lines)


def _explain(path: Path, lines: Mapping[tuple[Any, ...], int], error: ValidationError) -> ConfigError:
    """The first mistake in the file's order, in our words."""
    mistakes = []
    for one in error.errors(include_url=False):
        place = tuple(part for part in one["loc"] if part != "function-before[_span(), timedelta]")
        known = place
        while known not in lines:
            known = known[:-1]
        mistakes.append((lines[known], _dotted(place), one))
    line, key, one = min(mistakes, key=lambda mistake: mistake[0])
    others = f" ({len(mistakes) - 1} more after it)" if len(mistakes) > 1 else ""
    return ConfigError(
        f"{path}:{line}: {key or 'file'}: {_words(one, key)}{others}", file=str(path), line=line, key=key
    )


def _words(one: Any, key: str) -> str:
    kind, context, got = one["type"], one.get("ctx", {}), quote(one["input"])
    if kind == "extra_forbidden":
        return f"unknown key; accepted here: {', '.join(_accepted(key))}"
    if kind == "missing":
        return "expected a value, got nothing (missing)"
    if kind == "literal_error":
        return f"expected {context['expected']}, got {got}"
    if kind == "value_error":
        return f"{context['error']}, got {got}"
    if kind == "string_type":
        return f"expected text, got {got} ({type(one['input']).__name__}); put it in quotes"
    if kind.startswith("date"):
        return f"expected a day such as 2026-11-01, got {got}"
    bounds = {
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
        "greater_than": "more than {gt}",
    }
    if kind in bounds:
        return f"expected {bounds[kind].format(**context)}, got {got}"
    if kind in ("model_type", "model_attributes_type"):
        return f"expected keys with values, got {got}"
    return f"{one['msg'].replace('Input should be', 'expected')}, got {got}"


def _accepted(key: str) -> list[str]:
    """The keys that are accepted beside an unknown one."""
    model: Any = _File
    for part in key.split(".")[:-1]:
        name = part.partition("[")[0]
        annotation = model.model_fields[name].annotation
        arguments = getattr(annotation, "__args__", None)
        model = arguments[0] if arguments else annotation
    return list(model.model_fields)


def _dotted(place: tuple[Any, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _settings(path: Path, parsed: _File, lines: Mapping[tuple[Any, ...], int]) -> Settings:
    lake = _uri(path, parsed.lake)
    if lake.startswith("s3://") and parsed.catalog.path is None:
        raise ConfigError(
            f"{path}:{lines[('lake',)]}: catalog.path: expected a path for the sqlite catalog of a lake on s3, got "
            "nothing (missing)",
            file=str(path),
            key="catalog.path",
        )
    catalog = _uri(path, parsed.catalog.path) if parsed.catalog.path else f"{lake}/catalog.db"
    feeds = _feeds(path, parsed, lines)
    _refuse_shared_folders(path, lake, feeds, lines)
    controls = {f.name: Rule(**getattr(parsed.controls, f.name).model_dump()) for f in fields(Controls)}
    return Settings(
        file=path,
        lake=lake,
        catalog_path=Path(catalog.removeprefix("file://")),
        feeds=feeds,
        controls=Controls(**controls),
        quality=Quality(**parsed.quality.model_dump()),
        engine=EngineSettings(**parsed.engine.model_dump()),
        orc=OrcSettings(**parsed.orc.model_dump()),
        s3=S3Settings(**parsed.s3.model_dump()),
        start=parsed.partitions.start,
    )


def _feeds(path: Path, parsed: _File, lines: Mapping[tuple[Any, ...], int]) -> tuple[Feed, ...]:
    feeds: dict[str, Feed] = {}
    for place, feed in enumerate(parsed.feeds):
        line = lines[("feeds", place)]
        same = sum(other.source == feed.source for other in parsed.feeds[:place])
        name = feed.name or (f"{feed.source}-{same + 1}" if same else feed.source)
        if name in feeds:
            raise ConfigError(
                f"{path}:{line}: feeds[{place}].name: expected a name of its own, got {quote(name)} twice", line=line
            )
        if feed.log_groups is not None and feed.source != "cloudwatch":
            raise ConfigError(
                f"{path}:{line}: feeds[{place}].log_groups: only a cloudwatch feed has log groups", line=line
            )
        roles = feed.log_groups.model_dump() if feed.log_groups else {}
        feeds[name] = Feed(name, feed.source, _uri(path, feed.uri), roles)
    return tuple(feeds.values())


def _refuse_shared_folders(
    path: Path, lake: str, feeds: tuple[Feed, ...], lines: Mapping[tuple[Any, ...], int]
) -> None:
    """Raw and readready never share a folder: a lake inside a feed would be read as its own source."""
    for place, feed in enumerate(feeds):
        one, other = f"{lake.removeprefix('file://')}/", f"{feed.uri.removeprefix('file://')}/"
        if one.startswith(other) or other.startswith(one):
            raise ConfigError(
                f"{path}:{lines['feeds', place]}: feeds[{place}].uri: expected a place outside the lake, got "
                f"{feed.uri} (the lake is {lake})",
                file=str(path),
                key=f"feeds[{place}].uri",
            )


def _uri(path: Path, given: str) -> str:
    """A URI as it is; a path made absolute, from the folder of the settings file."""
    if given.startswith(("s3://", "file://")):
        return given.rstrip("/")
    if "://" in given:
        raise ConfigError(f"{path}: {quote(given)}: expected a path, file:// or s3://", file=str(path))
    return str((path.parent / Path(given).expanduser()).resolve())
