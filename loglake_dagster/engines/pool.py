"""Worker processes of one machine that never outlive their parent, even when it is killed."""

from __future__ import annotations

import atexit
import ctypes
import importlib.abc
import mmap
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from loglake_dagster.errors import LogLakeError

# ORC's writer takes half a gigabyte for each part, uses a tenth of it and gives all back: out of the gaps that decoding
# has left, so that a worker would in the course of some parts grow by all of it. What is beyond this goes back to the
# system; if it went after each part, making its pages anew would take a twentieth of the time (adr/0018).
MOST_KEPT = 400 << 20
T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Runs functions on items, in worker processes or, for one worker, right here."""

    def __init__(self, executor: ProcessPoolExecutor | None, threads: int = 1) -> None:
        self._executor = executor
        self._threads = threads

    def unordered(self, function: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R]]:
        """(place of the item, result) as they are done. LogLakeError if a worker died."""
        if self._executor is None:
            for place, item in enumerate(items):
                yield place, function(*item)
            return
        futures = {self._executor.submit(_worked, function, *item): place for place, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise LogLakeError(
                "a worker process was ended from outside, as systems do when memory runs out; run again with fewer "
                "workers (engine.workers) or smaller parts (engine.part_bytes)"
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def ordered(self, function: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> list[R]:
        """The results in the order of the items."""
        results = dict(self.unordered(function, items))
        return [results[place] for place in range(len(items))]

    def side_by_side(self, function: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> list[R]:
        """`ordered` for work that mostly runs outside of Python's lock, as reading and packing ORC: where there are no
        worker processes, threads do it."""
        if self._executor is not None or self._threads <= 1 or len(items) <= 1:
            return self.ordered(function, items)
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(lambda item: function(*item), items))


def _worked(function: Callable[..., R], *item: Any) -> R:
    """In a worker: a function's result. Much memory that it left free is the system's again."""
    result = function(*item)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's: so this is Linux, and there is a /proc
    if trim is not None and resident_bytes() > MOST_KEPT:
        trim(0)
    return result


def resident_bytes() -> int:
    """What this process has of the machine's memory."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * mmap.PAGESIZE


@contextmanager
def open_workers(count: int, threads: int = 1) -> Iterator[Workers]:
    """`count` worker processes; 1 or less runs in this process, which for a small day is sooner done than started, with
    so many threads at most."""
    if count <= 1:
        yield Workers(None, threads)
        return
    # spawn: the parent has threads (Dagster's, Arrow's, obstore's), and a forked copy of their locks can hang. A server
    # that forks workers is a tenth of a second faster, and has the path, environment and output of its first hour.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=start_worker)
    is_done = False
    try:
        with _without_main():
            for _ in range(count):
                executor.submit(int)  # a process starts with each
        yield Workers(executor)
        is_done = True
    finally:
        # Idle workers end by themselves; one that is at work is waited for, because its folder is about to go.
        executor.shutdown(wait=not is_done, cancel_futures=True)


_starting = threading.Lock()


@contextmanager
def _without_main() -> Iterator[None]:
    """While processes are started: spawn imports the parent's main module in each of them (Dagster's takes a second),
    and nothing that they run is of it."""
    with _starting:
        main = sys.modules["__main__"]
        spec, file = main.__spec__, main.__dict__.pop("__file__", None)
        main.__spec__ = None
        try:
            yield
        finally:
            main.__spec__ = spec
            if file is not None:
                main.__file__ = file


def start_worker() -> None:
    """What a worker process begins with."""
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    # Arrow's own pool gives memory back after each run, and the next one's pages cost a tenth of the time.
    pa.set_memory_pool(pa.system_memory_pool())
    # Taking the interpreter down piece by piece takes as long as a small run.
    atexit.register(os._exit, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


class _NoPandas(importlib.abc.MetaPathFinder):
    """pyarrow asks of each numpy array whether it is a pandas series, and for that imports pandas where it is
    installed: nearly half a second, for what no worker has."""

    def find_spec(self, fullname: str, *_given: Any) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas: not used in worker processes", name=fullname)


def _end_with_parent() -> None:
    """A worker holds both ends of its own queue, so that it would wait for ever for a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
