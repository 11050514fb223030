"""Worker processes: results in order, errors whole; and whose scratch folders are removed."""

import ctypes
import fcntl
import multiprocessing
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from loglake_dagster.engines import pool
from loglake_dagster.engines.pool import ENDED_FIRST, MOST_KEPT, Workers, open_workers, resident_bytes
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import LogLakeError, RecordError
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY


def squared(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise RecordError(f"$.n{number}", "a number", "none")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    with open_workers(count) as workers:
        assert workers.ordered(squared, [(n,) for n in range(20)]) == [n * n for n in range(20)]
        assert workers.ordered(squared, []) == []
        assert dict(workers.unordered(squared, [(7,), (8,)])) == {0: 49, 1: 64}
        with pytest.raises(RecordError) as caught:
            workers.ordered(refuse, [(3,)])
    assert str(caught.value) == "$.n3: expected a number, got none"
    assert (caught.value.path, caught.value.expected, caught.value.got) == ("$.n3", "a number", "none")


def end(begun: Path) -> None:
    """Ends a worker; the process that has the workers waits until one has begun."""
    if multiprocessing.parent_process() is not None:
        begun.touch()
        os._exit(9)
    wait_for(begun.parent, begun.name)


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def process_of(folder: Path, number: int) -> int:
    """Meets another process that does the same."""
    (folder / str(number)).touch()
    wait_for(folder, str(1 - number))
    return os.getpid()


def test_this_process_is_one_of_the_workers(tmp_path: Path) -> None:
    with open_workers(2) as workers:
        processes = workers.ordered(process_of, [(tmp_path, 0), (tmp_path, 1)])
    assert os.getpid() in processes
    assert len(set(processes)) == 2


def test_what_waits_is_not_begun_after_an_error(tmp_path: Path) -> None:
    """Also where the other process has the error, and this one is at work."""
    with open_workers(2) as workers:
        with pytest.raises(RecordError):
            workers.ordered(refuse_elsewhere, [(tmp_path, n) for n in range(50)])
        assert workers.ordered(squared, [(3,)]) == [9]
    assert len(list(tmp_path.iterdir())) == 2


def step_outside(number: int) -> int:
    return [0][number]


@pytest.mark.parametrize("count", [1, 2])
def test_no_error_of_an_item_is_taken_for_the_end_of_the_items(count: int) -> None:
    with open_workers(count) as workers, pytest.raises(IndexError):
        workers.ordered(step_outside, [(1,)] * 5)


def fail_to_start() -> None:
    raise OSError("no more processes")


def slow(number: int) -> int:
    time.sleep(0.2)
    return number


def test_a_worker_that_cannot_start_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "start_worker", fail_to_start)
    with open_workers(2) as workers, pytest.raises(LogLakeError, match="a worker process was ended"):
        workers.ordered(slow, [(n,) for n in range(100)])


def threads_for_matrices(folder: Path, number: int) -> int:
    """Writes down what OpenBLAS is told in this process's environment, which os.environ does not show."""
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_char_p
    (folder / str(os.getpid())).write_bytes(library.getenv(b"OPENBLAS_NUM_THREADS") or b"")
    return slow(number)


def test_workers_start_no_threads_for_matrices_and_their_parent_keeps_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with open_workers(2) as workers:
        workers.ordered(threads_for_matrices, [(tmp_path, n) for n in range(12)])
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert told.pop(str(os.getpid())) == ""
    assert list(told.values()) == ["1"]


class FullMachine(ProcessPoolExecutor):
    """Cannot start a process when it is given an item."""

    def submit(self, *_given: object) -> Future[object]:
        raise OSError("no more processes")


def test_an_item_that_cannot_be_given_to_a_worker_is_an_error_and_not_lost() -> None:
    started: Future[int] = Future()
    started.set_result(0)
    with FullMachine(1) as executor, pytest.raises(OSError, match="no more processes"):
        Workers(executor, [started]).ordered(squared, [(n,) for n in range(5)])


def test_items_may_be_left_undone(tmp_path: Path) -> None:
    with open_workers(2) as workers:
        place, _result = next(workers.unordered(process_of_one, [(tmp_path, n) for n in range(50)]))
        assert place < 2
        assert workers.ordered(squared, [(n,) for n in range(5)]) == [0, 1, 4, 9, 16]
    assert len(list(tmp_path.iterdir())) <= 3


def process_of_one(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    return os.getpid()


def refuse_elsewhere(folder: Path, number: int) -> None:
    """Refuses in a worker; the process that has the workers waits until one has begun, and for what it begins then."""
    if multiprocessing.parent_process() is not None:
        (folder / f"refused {number}").touch()
        refuse(number)
    (folder / "begun").touch()
    wait_for(folder, "refused *")
    time.sleep(0.5)


@pytest.mark.parametrize("items", [2, 50])
def test_a_worker_that_was_ended_is_an_error_in_words(tmp_path: Path, items: int) -> None:
    with open_workers(2) as workers, pytest.raises(LogLakeError) as caught:
        workers.ordered(end, [(tmp_path / "begun",)] * items)
    assert str(caught.value) == (
        "a worker process was ended from outside, as systems do when memory runs out; run again with fewer workers "
        "(engine.workers) or smaller parts (engine.part_bytes)"
    )


def fragmented(folder: Path, number: int, count: int) -> tuple[int, int]:
    """Meets another process that does the same; takes memory in small blocks, frees all but a few. What process this
    is, and what it has then."""
    process_of(folder, number)
    blocks = [bytes(50_000) for _ in range(count)]
    KEPT.extend(blocks[::100])
    del blocks
    return os.getpid(), resident_bytes()


KEPT: list[bytes] = []


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked for memory back")
def test_a_worker_gives_back_what_it_left_free(tmp_path: Path) -> None:
    """A block that stays at the end of a heap keeps all of it, until it is asked for."""
    rounds = []
    with open_workers(2) as workers:
        for name, count in (("many", 12_000), ("one", 1)):
            (tmp_path / name).mkdir()
            rounds.append(dict(workers.ordered(fragmented, [(tmp_path / name, n, count) for n in (0, 1)])))
    KEPT.clear()
    (worker,) = rounds[0].keys() - {os.getpid()}
    left, after = (one[worker] for one in rounds)
    assert left > MOST_KEPT
    assert after < left // 2


def score_of(folder: Path, number: int) -> tuple[int, int]:
    """Meets another process that does the same; what process this is, and its oom_score_adj."""
    process_of(folder, number)
    return os.getpid(), int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told whom to end first")
def test_when_memory_runs_out_a_worker_is_ended_first(tmp_path: Path) -> None:
    before = int(Path("/proc/self/oom_score_adj").read_text())
    with open_workers(2) as workers:
        scores = dict(workers.ordered(score_of, [(tmp_path, 0), (tmp_path, 1)]))
    assert scores.pop(os.getpid()) == before
    assert list(scores.values()) == [max(before, ENDED_FIRST)]


# -- scratch --------------------------------------------------------------------------------------------


def test_scratch_of_the_dead_is_removed_and_that_of_the_living_is_not(tmp_path: Path) -> None:
    """A lock tells them apart, not a process id: those of another container mean nothing here."""
    trail_file(trail_of(tmp_path), events(4))
    scratch = tmp_path / "lake" / ".scratch"
    dead, living = scratch / "1-dead", scratch / "999999999-living"
    for folder in (dead, living):
        folder.mkdir(parents=True)
        (folder / "part-00000-x.orc").write_bytes(b"half a part")
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        materialize_readready(made_lake(tmp_path), SOURCE, DAY).raise_if_refused()
        assert [one.name for one in scratch.iterdir()] == [living.name]
        assert (living / "part-00000-x.orc").exists()
    finally:
        os.close(held)
    trail_file(trail_of(tmp_path), events(4, 10), nonce="NEW")
    materialize_readready(made_lake(tmp_path), SOURCE, DAY)
    assert list(scratch.iterdir()) == []
