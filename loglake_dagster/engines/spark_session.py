"""Spark as the engines use it: a session, opened late; tasks; and errors in one sentence.

The only module that imports pyspark. A JVM starts with the first day that Spark writes, never with a query or a status.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa

from loglake_dagster import errors
from loglake_dagster.engines.spark_tasks import Batches
from loglake_dagster.errors import LogLakeError, StoreError, quote
from loglake_dagster.lake.settings import EngineSettings

NEEDED = ("pyspark", "pandas")
DEFAULTS = {"spark.app.name": "loglake", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_SPARK_TYPES = {
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.bool_(): "boolean",
}
# How an error of ours crosses Spark, which hands on texts alone.
_MARK = re.compile(r"loglake-error:([A-Za-z0-9+/=]+):")


class Spark:
    """A Spark session, which is opened when it is first needed and lives as long as this process."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._session: Any = None

    @property
    def session(self) -> Any:
        """The pyspark session. LogLakeError if there is no pyspark, no Java, or no such master."""
        if self._session is None:
            self._session = _open_session(self._settings)
        return self._session

    @property
    def cores(self) -> int:
        """Tasks that run at once."""
        return int(self.session.sparkContext.defaultParallelism)

    def frame(self, rows: Sequence[tuple[Any, ...]], schema: str) -> Any:
        """A DataFrame of which every row is a partition, and so a task, of its own."""
        context = self.session.sparkContext
        return self.session.createDataFrame(context.parallelize(rows, max(1, len(rows))), schema)

    def told(self, value: object) -> Any:
        """A value that every executor is sent once; `.value` has it there."""
        return self.session.sparkContext.broadcast(value)


def spark_schema(schema: pa.Schema) -> str:
    """Spark's words for an Arrow schema."""
    return ", ".join(f"`{field.name}` {_SPARK_TYPES[field.type]}" for field in schema)


def mapped(frame: Any, schema: pa.Schema, function: Callable[..., Batches], *arguments: Any, told: Any = None) -> Any:
    """The DataFrame after a function of spark_tasks.py; it is given `told`'s value first, where there is one, the
    arguments, and the batches of a partition."""

    def run(batches: Batches) -> Batches:
        pa.set_cpu_count(1)  # Spark runs a task a core
        given = arguments if told is None else (told.value, *arguments)
        try:
            yield from function(*given, batches)
        except LogLakeError as error:
            raise RuntimeError(f"loglake-error:{_as_text(error)}: {error}") from error

    return frame.mapInArrow(run, spark_schema(schema))


def kept(frame: Any, held: ExitStack) -> Any:
    """The DataFrame, made once and kept on the executors' disks until `held` lets go; what a dead executor kept is made
    again."""
    from pyspark import StorageLevel

    frame = frame.persist(StorageLevel.DISK_ONLY)
    held.callback(frame.unpersist)
    return frame


@contextmanager
def plain_errors() -> Iterator[None]:
    """What fails in Spark, in our words: an error of ours that a task raised as itself, any other in a sentence."""
    try:
        yield
    except LogLakeError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise _told(error) from error


def _as_text(error: LogLakeError) -> str:
    """An error of ours, to be found again in the text of Spark's. As JSON: what a log or a key holds may be in an
    error's text too, and must not become code."""
    facts = {name: fact for name, fact in error.facts.items() if isinstance(fact, (str, int, float))}
    return base64.b64encode(json.dumps([type(error).__name__, str(error), facts]).encode()).decode()


def _of_text(text: str) -> LogLakeError:
    """The error again: of its class, if that is raised with a message and facts."""
    name, message, facts = json.loads(base64.b64decode(text))
    kind: Any = getattr(errors, name, None)
    if kind not in (StoreError, errors.AuditError, errors.ConfigError, errors.CatalogError):
        kind = LogLakeError
    ours: LogLakeError = kind(message, **facts)
    return ours


def _told(error: Exception) -> LogLakeError:
    text = str(error)
    if (found := _MARK.search(text)) is not None:
        return _of_text(found[1])
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "File"))
    ]
    return LogLakeError(f"Spark could not finish: {quote(lines[-1] if lines else type(error).__name__, 300)}")


def _open_session(settings: EngineSettings) -> Any:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LogLakeError(
            f"engine.type spark: {' and '.join(missing)} not installed; run pip install 'loglake-dagster[spark]', or "
            "set engine.type to embedded"
        )
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    conf = {**DEFAULTS, **settings.conf}
    builder = SparkSession.builder
    if settings.master is not None:
        builder = builder.master(settings.master)
    for name, value in conf.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise _not_started(error, settings) from error
    context = session.sparkContext
    if "spark.log.level" not in settings.conf:
        context.setLogLevel("FATAL")  # what fails is told by our errors
    # Without PYSPARK_PYTHON executors would run whatever is called python3 there.
    if context.pythonExec == "python3":
        context.pythonExec = conf.get("spark.pyspark.python", sys.executable)
    return session


def _not_started(error: Exception, settings: EngineSettings) -> LogLakeError:
    text = str(error)
    if "JAVA_GATEWAY_EXITED" in text:
        return LogLakeError(
            "engine.type spark: Java did not start; install Java 17 or newer (on Debian: apt-get install "
            "default-jre-headless) and have it on PATH or in JAVA_HOME, or set engine.type to embedded. Where Java is, "
            f"Spark has said above what is wrong with engine.master {quote(settings.master)} or engine.conf"
        )
    why = next((line.strip(" :") for line in text.splitlines() if ": " in line), text)
    master = quote(settings.master) if settings.master else "the master of spark-submit"
    return LogLakeError(f"engine.type spark: no session on {master}: {quote(why, 300)}")
