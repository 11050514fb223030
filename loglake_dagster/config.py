"""loglake.yaml to settings: the only reader of the environment, and the only place that knows the file's keys.

Every mistake in the file is one ConfigError that names file, line, key, value and what is accepted. Relative paths
are relative to the file. The file is read again at every run: an emergency deny needs no deploy.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from loglake_dagster.config_launch import LaunchSection, launch_settings
from loglake_dagster.config_values import Day, Share, Size, Span, Text
from loglake_dagster.config_values import Section as _Section
from loglake_dagster.errors import ConfigError, quote
from loglake_dagster.io.yaml_lines import dotted, parse_yaml, wrong
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.settings import EngineSettings, Feed, OrcSettings, Quality, S3Settings, Settings
from loglake_dagster.sources import SOURCES, source_named

FILE_NAME = "loglake.yaml"
VARIABLE = "LOGLAKE_CONFIG"

# A list of the file. Its length is not judged here: pydantic would count only sound entries and hide the mistake.
T = TypeVar("T")
Listed = Annotated[tuple[T, ...], Field(strict=False)]
Globs = Listed[Text]


def _source(value: Any) -> str:
    names = [source.name for source in SOURCES]
    if value not in names:
        raise ValueError(f"expected {_one_of(list(map(repr, names)))}")
    return str(value)


def _one_of(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _account(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{12}", value):
        raise ValueError('expected 12 digits in quotes, as "111122223333"')
    return value


def _conf(value: Any) -> dict[str, str]:
    """Spark's own settings, which are all texts there; YAML reads some as numbers and truths."""
    is_flat = isinstance(value, dict) and all(isinstance(one, (str, int, float)) for one in value.values())
    if not is_flat or not all(isinstance(name, str) for name in value):
        raise ValueError("expected Spark's settings, as {spark.executor.memory: 2g}")
    return {name: str(one).lower() if isinstance(one, bool) else str(one) for name, one in value.items()}


SourceName = Annotated[str, BeforeValidator(_source)]


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
    uri: Text
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] | None = None
    log_groups: _LogGroups | None = None
    account: Annotated[str, BeforeValidator(_account)] | None = None
    region: Text | None = None


class _Catalog(_Section):
    type: Literal["sqlite"] = "sqlite"
    path: Text | None = None


class _Engine(_Section):
    type: Literal["embedded", "spark"] = "embedded"
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_limit: Size = 1 << 30
    # An array of texts holds less than 2 GiB, and a text may be a whole object but for its brackets.
    max_object_bytes: Annotated[Size, Field(le=1 << 31)] = 1 << 30
    part_bytes: Size = 10 << 20
    step_objects: Annotated[int, Field(ge=1)] = 50_000
    step_bytes: Size = 512 << 20
    master: Text | None = "local[*]"
    conf: Annotated[dict[str, str], BeforeValidator(_conf)] = Field(default_factory=dict)
    spark_above: Size | None = None
    launch: LaunchSection | None = None


class _Quality(_Section):
    coverage: Share = 0.90
    captured: Share = 0.90
    lateness: Span = dt.timedelta(hours=2)
    horizon: Span = dt.timedelta(days=35)
    sla_minutes: Annotated[int, Field(ge=0, le=1440)] = 90
    recount_objects: Annotated[int, Field(ge=0, le=10_000)] = 20


class _Orc(_Section):
    compression: Literal["zlib", "zlib_small", "zstd", "zstd_small"] = "zlib"


class _Columns(_Section):
    """A field for each source that has a lean set."""

    cloudtrail: Literal["all", "lean"] = "all"


class _S3(_Section):
    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False


class _Partitions(_Section):
    start: Day = dt.date(2023, 1, 1)


class _File(_Section):
    lake: Text
    catalog: _Catalog = _Catalog()
    engine: _Engine = _Engine()
    feeds: Listed[_Feed]
    controls: _Controls = _Controls()
    quality: _Quality = _Quality()
    partitions: _Partitions = _Partitions()
    orc: _Orc = _Orc()
    columns: _Columns = _Columns()
    s3: _S3 = _S3()


def config_path(given: str | os.PathLike[str] | None = None) -> Path:
    """The settings file: the one given, else the one that LOGLAKE_CONFIG names, else loglake.yaml in this folder."""
    return Path(given or os.environ.get(VARIABLE) or FILE_NAME).absolute()


def dagster_home(config: Path) -> Path:
    """Dagster's folder: DAGSTER_HOME, else `.dagster_home` beside the settings file. Dagster wants it absolute."""
    given = os.environ.get("DAGSTER_HOME")
    return Path(given).absolute() if given else config.parent / ".dagster_home"


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
    document, lines = parse_yaml(path, text)
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise _explain(path, lines, error) from None
    return _settings(path, parsed, lines)


def _explain(path: Path, lines: Mapping[tuple[Any, ...], int], error: ValidationError) -> ConfigError:
    """The first mistake in the file's order, in our words."""
    mistakes = []
    for one in error.errors(include_url=False):
        known = one["loc"]
        while known not in lines:
            known = known[:-1]
        mistakes.append((lines[known], one))
    # Of one line an unknown key first: `url: x` also means that `uri` is missing.
    line, one = min(mistakes, key=lambda mistake: (mistake[0], mistake[1]["type"] != "extra_forbidden"))
    others = f" ({len(mistakes) - 1} more after it)" if len(mistakes) > 1 else ""
    return wrong(path, line, dotted(one["loc"]), f"{_words(one)}{others}")


_EXPECTED = {
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "greater_than": "more than {gt:g}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list, as [a, b]",
    "model_type": "keys with values",
    "string_too_short": "some text",
    "string_pattern_mismatch": "lower case letters, digits, - and _, a letter first",
}


def _words(one: Any) -> str:
    kind, context, value = one["type"], one.get("ctx", {}), one["input"]
    got = "nothing" if value is None else quote(value)
    if kind == "extra_forbidden":
        return f"unknown key; accepted here: {', '.join(_accepted(one['loc']))}"
    if kind == "missing":
        return "expected a value, got nothing (missing)"
    if kind == "value_error":
        return f"{context['error']}, got {got}"
    if kind == "string_type":
        is_plain = isinstance(value, (int, float))
        return f"expected text, got {got}" + (f" ({type(value).__name__}); put it in quotes" if is_plain else "")
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**context)}, got {got}"
    return f"{one['msg']}, got {got}"


def _accepted(place: tuple[Any, ...]) -> list[str]:
    """The keys that are accepted beside an unknown one."""
    model: Any = _File
    for part in place[:-1]:
        if isinstance(part, str):
            model = model.model_fields[part].annotation
        while arguments := getattr(model, "__args__", None):
            model = arguments[0]
    return list(model.model_fields)


def _settings(path: Path, parsed: _File, lines: Mapping[tuple[Any, ...], int]) -> Settings:
    lake = _uri(path, ("lake",), parsed.lake, lines)
    feeds = _feeds(path, parsed, lines)
    _refuse_shared_folders(path, lake, feeds, lines)
    controls = {f.name: Rule(**getattr(parsed.controls, f.name).model_dump()) for f in fields(Controls)}
    return Settings(
        file=path,
        lake=lake,
        catalog_path=_catalog_path(path, lake, parsed.catalog, lines),
        feeds=feeds,
        controls=Controls(**controls),
        quality=Quality(**parsed.quality.model_dump()),
        engine=_engine(path, parsed.engine, lines, lake, feeds),
        orc=OrcSettings(**parsed.orc.model_dump()),
        lean=frozenset(name for name, columns in parsed.columns if columns == "lean"),
        s3=S3Settings(**parsed.s3.model_dump()),
        start=parsed.partitions.start,
    )


def _engine(
    path: Path, engine: _Engine, lines: Mapping[tuple[Any, ...], int], lake: str, feeds: Sequence[Feed]
) -> EngineSettings:
    for name in ("master", "conf", "spark_above", "launch"):
        if engine.type != "spark" and getattr(engine, name) != getattr(_Engine(), name):
            raise wrong(path, lines["engine", name], f"engine.{name}", "only for engine.type spark")
    given = engine.model_dump()
    if engine.launch is not None:
        uris, is_local = [feed.uri for feed in feeds], ("engine", "master") in lines
        given["master"] = None
        given["launch"] = launch_settings(
            engine.launch,
            is_local,
            lake,
            uris,
            engine.conf,
            lambda key, words: wrong(path, lines[key], dotted(key), words),
        )
    return EngineSettings(**given)


def _catalog_path(path: Path, lake: str, catalog: _Catalog, lines: Mapping[tuple[Any, ...], int]) -> Path:
    """The sqlite file: a file of this machine, since SQLite cannot live in an object store."""
    key = ("catalog", "path")
    if catalog.path is None:
        if not lake.startswith("s3://"):
            return Path(lake) / "catalog.db"
        words = "expected a path for the sqlite catalog of a lake on s3, got nothing (missing)"
        raise wrong(path, lines[("lake",)], dotted(key), words)
    given = _uri(path, key, catalog.path, lines)
    if given.startswith("s3://"):
        words = f"expected a path on this machine for the sqlite catalog, got {quote(catalog.path)}"
        raise wrong(path, lines[key], dotted(key), words)
    return Path(given)


def _feeds(path: Path, parsed: _File, lines: Mapping[tuple[Any, ...], int]) -> tuple[Feed, ...]:
    if not parsed.feeds:
        raise wrong(path, lines[("feeds",)], "feeds", "expected at least one feed, got an empty list")
    feeds: dict[str, Feed] = {}
    for place, feed in enumerate(parsed.feeds):
        line = lines["feeds", place]
        same = sum(other.source == feed.source for other in parsed.feeds[:place])
        name = feed.name or (f"{feed.source}-{same + 1}" if same else feed.source)
        if name in feeds:
            raise wrong(path, line, f"feeds[{place}].name", f"expected a name of its own, got {quote(name)} twice")
        if feed.log_groups is not None and not source_named(feed.source).log_group_roles:
            names = _one_of([source.name for source in SOURCES if source.log_group_roles])
            raise wrong(path, line, f"feeds[{place}].log_groups", f"only a {names} feed has log groups")
        if (feed.account or feed.region) and not source_named(feed.source).is_placed_by_feed:
            names = _one_of([source.name for source in SOURCES if source.is_placed_by_feed])
            key, words = "account" if feed.account else "region", "the others' keys or records say it"
            raise wrong(path, line, f"feeds[{place}].{key}", f"only for feeds of {names}: {words}")
        roles = feed.log_groups.model_dump() if feed.log_groups else {}
        uri = _uri(path, ("feeds", place, "uri"), feed.uri, lines)
        feeds[name] = Feed(name, feed.source, uri, roles, feed.account, feed.region)
    return tuple(feeds.values())


def _overlap(uri: str, other: str) -> bool:
    """Whether one place is the other, or lies in it."""
    one, two = f"{uri.rstrip('/')}/", f"{other.rstrip('/')}/"
    return one.startswith(two) or two.startswith(one)


def _share_objects(one: Feed, other: Feed) -> bool:
    """Whether two feeds of a source see the same objects."""
    outer, inner = sorted((one.uri.rstrip("/"), other.uri.rstrip("/")), key=len)
    if not _overlap(outer, inner):
        return False
    below = inner.removeprefix(outer).lstrip("/")
    descend = source_named(one.source).descend
    return not (below and descend(f"{below}/", frozenset(), Controls()).ignored)


def _refuse_shared_folders(
    path: Path, lake: str, feeds: tuple[Feed, ...], lines: Mapping[tuple[Any, ...], int]
) -> None:
    """Raw and readready never share a folder: a lake inside a feed would be read as its own source. An object belongs
    to one feed of its source: of two that see it, one would have its settings passed over. A folder that a feed passes
    over (Firehose's error output) may be a feed's own."""
    for place, feed in enumerate(feeds):
        words = ""
        if _overlap(lake, feed.uri):
            words = f"expected a place outside the lake, got {feed.uri} (the lake is {lake})"
        for other in feeds[:place]:
            if not words and feed.source == other.source and _share_objects(feed, other):
                words = f"expected a place that no other {feed.source} feed reads, got {feed.uri} "
                words += f"(feed {other.name} reads {other.uri})"
        if words:
            raise wrong(path, lines["feeds", place], f"feeds[{place}].uri", words)


def _uri(path: Path, key: tuple[Any, ...], given: str, lines: Mapping[tuple[Any, ...], int]) -> str:
    """s3://bucket/prefix as it is, or an absolute path: relative ones start in the folder of the settings file."""
    parts = urllib.parse.urlsplit(given) if "://" in given else None
    if parts is not None and parts.scheme == "s3" and parts.netloc:
        return given.rstrip("/")
    plain = given
    if parts is not None and parts.scheme == "file" and not parts.netloc:
        plain = urllib.parse.unquote(parts.path)
    elif parts is not None:
        raise wrong(path, lines[key], dotted(key), f"expected a path, file:///path or s3://bucket, got {quote(given)}")
    try:
        return str((path.parent / Path(plain).expanduser()).resolve())
    except (ValueError, RuntimeError, OSError) as error:
        raise wrong(path, lines[key], dotted(key), f"expected a path, got {quote(given)} ({error})") from None
