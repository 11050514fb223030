"""The processes that do one machine's work: this one, and others that never outlive it, even when it is killed."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib.abc
import mmap
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.worker import begin_worker
from loglake_dagster.kernels.arrow import use_plain_memory

# ORC's writer takes some 400 MB for each part, uses a seventh of it and gives all back: out of the gaps that decoding
# has left, so that a worker would in the course of some parts grow by all of it. What is beyond this goes back to the
# system; if it went after each part, making its pages anew would take a twentieth of the time (adr/0018).
MOST_KEPT = 475 << 20
# A worker's oom_score_adj: it counts as if it used half the machine's memory more, so that when memory runs out the
# system ends it, and not the process that can say so.
ENDED_FIRST = 500
# In the place of an item's: the process was started.
_STARTED = -1
# Its place among the items, and what a function is given.
_Item = tuple[int, tuple[Any, ...]]
T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Runs functions on items: in this process, and beside it in the executor's, of which each is there when its future
    in `started` is done."""

    def __init__(
        self, executor: ProcessPoolExecutor | None = None, started: Sequence[Future[Any]] = (), threads: int = 1
    ) -> None:
        self._executor = executor
        self._started = started
        self._threads = threads

    def unordered(self, function: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R]]:
        """(place of the item, result) as they are done; the first items are begun first. LogLakeError if a worker
        died."""
        if self._executor is None:
            for place, item in enumerate(items):
                yield place, _worked(function, *item)
            return
        waiting = deque(enumerate(items))
        done: queue.SimpleQueue[tuple[int, Future[R]]] = queue.SimpleQueue()
        try:
            # No process has more than the item it is at, so that all end with one item's time between them. One that
            # is still on its way takes its first when it has come.
            def go_on(place: int, future: Future[Any]) -> None:
                if _is_sound(future):
                    self._give(function, waiting, go_on)
                if place != _STARTED or not _is_sound(future):
                    done.put((place, future))

            for one in self._started:
                one.add_done_callback(partial(go_on, _STARTED))
            left = len(items)
            while left:
                if (own := _next_of(waiting) if done.empty() else None) is not None:
                    place, result = own[0], _worked(function, *own[1])
                else:
                    place, future = done.get()
                    result = future.result()
                left -= 1
                yield place, result
        except BrokenProcessPool as error:
            raise LogLakeError(
                "a worker process was ended from outside, as systems do when memory runs out; run again with fewer "
                "workers (engine.workers) or smaller parts (engine.part_bytes)"
            ) from error
        finally:
            waiting.clear()

    def _give(
        self,
        function: Callable[..., R],
        waiting: deque[_Item],
        go_on: Callable[[int, Future[R]], None],
    ) -> None:
        """Has a process do the next item that waits, and tells `go_on` when it is done."""
        assert self._executor is not None
        if (item := _next_of(waiting)) is None:
            return
        try:
            future = self._executor.submit(_worked, function, *item[1])
        except Exception as error:  # a process died, or another cannot be started: a callback's own would be lost
            future = Future()
            future.set_exception(error)
        future.add_done_callback(partial(go_on, item[0]))

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


def _next_of(waiting: deque[_Item]) -> _Item | None:
    """Takes the next item, if there is one: threads take from here side by side."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _is_sound(future: Future[Any]) -> bool:
    """Whether there is a result. Where there is none the executor may be breaking, and must be asked for nothing: it
    tells of that with its lock held."""
    return not future.cancelled() and future.exception() is None


def _worked(function: Callable[..., R], *item: Any) -> R:
    """A function's result. Much memory that it left free is the system's again."""
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
    """`count` processes, of which this is one. Where it is the only one, some work is done by so many threads.

    A process takes half a second of a core to start: this one works meanwhile, and a small day is sooner done alone.
    """
    use_plain_memory()
    if count <= 1:
        yield Workers(threads=threads)
        return
    # spawn: the parent has threads (Dagster's, Arrow's, obstore's), and a forked copy of their locks can hang. A server
    # that forks workers is a tenth of a second faster, and has the path, environment and output of its first hour.
    context = multiprocessing.get_context("spawn")
    start = (pickle.dumps(start_worker),)
    executor = ProcessPoolExecutor(count - 1, mp_context=context, initializer=begin_worker, initargs=start)
    is_done = False
    try:
        with _without_main():
            started = [executor.submit(int) for _ in range(count - 1)]  # a process starts with each
        yield Workers(executor, started)
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
    sys.meta_path.insert(0, _NoPandas())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    use_plain_memory()
    with suppress(OSError):
        score = Path("/proc/self/oom_score_adj")
        score.write_text(str(max(int(score.read_text()), ENDED_FIRST)))
    # Taking the interpreter down piece by piece takes as long as a small run.
    atexit.register(os._exit, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The collector of cycles need not look through what was imported again and again: a twentieth of decoding.
    gc.freeze()


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
