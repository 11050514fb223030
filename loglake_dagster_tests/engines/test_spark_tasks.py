"""What Spark's tasks do when they run twice, and which engine a day goes to; no Java is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loglake_dagster.engines import (
    BaseVersion,
    Engine,
    PlannedObject,
    ReadreadyJob,
    SessionsJob,
    Written,
    open_engine,
    spark_session,
)
from loglake_dagster.engines.lake import utc_now
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.spark import EngineBySize, refuse_strays
from loglake_dagster.engines.spark_tasks import CHUNKS, Day, NewPart, Ranks, digest_of, parts_of, write_once
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.store import LocalStore
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Part
from loglake_dagster.lake.settings import EngineSettings, OrcSettings, S3Settings
from loglake_dagster.sources.cloudtrail import SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, published, trail_of
from loglake_dagster_tests.made import DAY

ABOVE = EngineSettings(type="spark", master="local[1]", spark_above=1 << 40)


# -- twice ----------------------------------------------------------------------------------------------


def test_what_a_task_writes_again_must_be_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write_once(store, "v/part.orc", b"rows")
    write_once(store, "v/part.orc", b"rows")
    with pytest.raises(LogLakeError) as caught:
        write_once(store, "v/part.orc", b"other rows")
    assert str(caught.value) == (
        "v/part.orc: was made twice, because an executor died, and came out differently the second time: an object was "
        "changed, or could not be read, meanwhile; run again"
    )
    assert store.read("v/part.orc") == b"rows"


def day_of(folder: Path, parts: dict[str, NewPart]) -> Day:
    target = VersionFolder(LocalStore(folder), TABLE.name, DAY, "v1")
    return Day(SOURCE.name, TABLE, OrcSettings(), target, None, parts, Ranks({}))


def chunks(*rows: tuple[str, bytes]) -> Any:
    return iter([pa.RecordBatch.from_pylist([{"run": 0, "name": n, "chunk": c} for n, c in rows], CHUNKS)])


def new_part(name: str, data: bytes, place: int = 0) -> NewPart:
    return NewPart(place, Part(name=name, rows=1, bytes=len(data), content_hash="0"), digest_of(data))


def test_a_part_is_put_together_from_its_chunks_and_only_if_it_is_the_one_that_was_told_of(tmp_path: Path) -> None:
    day = day_of(tmp_path, {"a": new_part("a", b"12", 3), "b": new_part("b", b"3", 4)})
    assert list(parts_of(day, chunks(("a", b"1"), ("a", b"2"), ("b", b"3"), ("", b"facts")))) == [
        (3, "a", b"12"),
        (4, "b", b"3"),
    ]
    for odd in (("a", b"1"), ("c", b"3")):
        with pytest.raises(LogLakeError, match=f"^{odd[0]}: was made twice, because an executor died, and came out"):
            list(parts_of(day, chunks(odd)))


def test_a_part_that_nobody_asked_for_again_is_no_part_of_the_day(tmp_path: Path) -> None:
    """Athena takes every file of a version's folder for rows of the day."""
    target = VersionFolder(LocalStore(tmp_path), TABLE.name, DAY, "v1")
    for name in ("part-00000-v1.orc", "_rejects/x.jsonl", ".half.tmp", "part-00000-v1-1.orc"):
        target.store.write(target.key(name), b"")
    parts = [Part(name=f"part-00000-v1{end}.orc", rows=1, bytes=0, content_hash="0") for end in ("", "-1")]
    refuse_strays(target, parts)
    with pytest.raises(LogLakeError, match=r"/v%3Dv1/: holds part-00000-v1-1.orc, which is no part of the version: an"):
        refuse_strays(target, parts[:1])


def test_ranks_are_found_by_uri() -> None:
    ranks = {f"s3://b/{n}": (n * 7) % 1000 for n in range(1000)} | {"file:///%ED%A0%80": 5}
    asked = ["s3://b/999", "file:///%ED%A0%80", "s3://b/0"]
    assert Ranks(ranks).of(asked).tolist() == [ranks[uri] for uri in asked]
    assert Ranks({}).of([]).dtype == np.int64


# -- which engine ---------------------------------------------------------------------------------------


@dataclass
class NotedEngine(Engine):
    """Writes nothing, and notes what it was asked."""

    name: str
    asked: list[str] = field(default_factory=list)

    def write_readready(self, job: ReadreadyJob, progress: Any = None) -> Written:
        self.asked.append(self.name)
        return Written(parts=(), engine=self.name)

    def write_sessions(self, job: SessionsJob) -> Written:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("sizes", "held", "engine"),
    [
        ((), (), "small"),
        ((60, 40), (), "small"),
        ((60, 41), (), "large"),
        ((1,), (1, 99), "small"),
        ((1,), (1, 100), "large"),
    ],
)
def test_a_day_goes_to_spark_when_it_is_larger_than_the_settings_say(
    tmp_path: Path, sizes: tuple[int, ...], held: tuple[int, ...], engine: str
) -> None:
    """With what is there already: its first object is here read again."""
    entries, old = (
        [ObjectEntry(uri=f"u{n}", feed="f", size=size, etag="", delivery_day=DAY) for n, size in enumerate(given)]
        for given in (sizes, held)
    )
    folder = VersionFolder(LocalStore(tmp_path), TABLE.name, DAY, "v0")
    manifest = Manifest(
        table=TABLE.name, day=DAY, version="v0", base=None, created=utc_now(), recipe="", engine="", parts=()
    )
    job = ReadreadyJob(
        source=SOURCE.name,
        table=TABLE,
        day=DAY,
        target=VersionFolder(LocalStore(tmp_path), TABLE.name, DAY, "v1"),
        objects=[PlannedObject(entry, entry.uri) for entry in entries],
        feeds={},
        base=BaseVersion(folder, manifest, old) if old else None,
        orc=OrcSettings(),
    )
    both = EngineBySize(NotedEngine("small"), NotedEngine("large"), 100)
    assert both.write_readready(job).engine == engine


def test_a_small_day_needs_no_java_where_spark_is_for_large_ones(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), events(4))
    lake = made_lake(tmp_path, engine=ABOVE)
    materialize_readready(lake, SOURCE, DAY).raise_if_refused()
    assert published(lake, DAY)[0].engine == "embedded"


def test_what_is_not_installed_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_session, "NEEDED", ("pyarrow", "no_such_package", "no_other"))
    engine = open_engine(EngineSettings(type="spark"), S3Settings())
    trail_file(trail_of(tmp_path), events(4))
    lake = made_lake(tmp_path)
    with pytest.raises(LogLakeError) as caught:
        materialize_readready(type(lake)(lake.settings, lake.store, lake.catalog, engine, lake.now), SOURCE, DAY)
    assert str(caught.value) == (
        "engine.type spark: no_such_package and no_other not installed; run pip install 'loglake-dagster[spark]', or "
        "set engine.type to embedded"
    )
