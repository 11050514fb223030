"""Batches of mutants on all cores: what became of them, and which broke a promise."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from loglake_dagster_tests.fuzz.mutants import Mutator
from loglake_dagster_tests.fuzz.properties import Broken, check

LEAST, BATCH, EACH_ORC = 10_000, 50, 25
KEPT_OF_A_KIND = 3
COMMAND = "python -m loglake_dagster_tests.fuzz"


@dataclass(frozen=True)
class Failure:
    """A mutant that broke a promise."""

    seed: int
    number: int
    source: str
    recipe: str
    words: str
    data: bytes

    @property
    def command(self) -> str:
        """What makes and checks it again."""
        return f"{COMMAND} --seed {self.seed} --only {self.number}"

    @property
    def kind(self) -> str:
        """Failures of one kind are likely one mistake."""
        return f"{self.source}: {re.sub(r'[0-9]+', 'N', self.words)[:60]!a}"

    def write(self, folder: Path) -> Path:
        """Writes the mutant, and beside it what is wrong with it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.source}-{self.seed}-{self.number}.bin"
        path.write_bytes(self.data)
        path.with_suffix(".txt").write_text(f"{self.words!a}\n{self.recipe}\n{self.command}\n")
        return path


def run_batch(seed: int, numbers: range) -> tuple[Counter[str], list[Failure]]:
    """What became of the mutants of these numbers, and those that broke a promise."""
    mutator = shared_mutator()
    outcomes: Counter[str] = Counter()
    failures: list[Failure] = []
    for number in numbers:
        mutant = mutator.mutant(seed, number)
        try:
            outcomes[check(mutant, with_orc=number % EACH_ORC == 0)] += 1
        except Broken as broken:
            failures.append(Failure(seed, number, mutant.source.name, mutant.recipe, str(broken), mutant.data))
    return outcomes, failures


_MUTATORS: list[Mutator] = []


def shared_mutator() -> Mutator:
    """One a process: reading the samples takes longer than a batch."""
    if not _MUTATORS:
        _MUTATORS.append(Mutator())
    return _MUTATORS[0]


def fuzz(seed: int, mutants: int, seconds: float) -> Iterator[tuple[Counter[str], list[Failure]]]:
    """Batches until all mutants are done or the time is over."""
    until = time.monotonic() + seconds
    batches = iter([range(start, min(start + BATCH, mutants)) for start in range(0, mutants, BATCH)])
    workers = os.cpu_count() or 1
    # One thread a process: the mutants are small, and there is a process a core.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=pa.set_cpu_count, initargs=(1,)) as pool:
        running = [pool.submit(run_batch, seed, one) for one in itertools.islice(batches, 2 * workers)]
        while running:
            yield running.pop(0).result()
            if time.monotonic() < until:
                running += [pool.submit(run_batch, seed, one) for one in itertools.islice(batches, 1)]


def report(seed: int, mutants: int, seconds: float, folder: Path) -> int:
    """Fuzzes and says what came of it; the exit code."""
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    print(f"seed {seed}", flush=True)
    for found, failures in fuzz(seed, mutants, seconds):
        outcomes += found
        for failure in failures:
            kinds[failure.kind] += 1
            if kinds[failure.kind] <= KEPT_OF_A_KIND:
                print(f"BROKEN {failure.source} {failure.recipe}: {failure.words!a}\n  {failure.write(folder)}")
                print(f"  {failure.command}", flush=True)
    done = outcomes.total() + kinds.total()
    print(f"{done:,} mutants in {time.monotonic() - started:.0f} s, {kinds.total():,} broke a promise")
    for word, count in [*outcomes.most_common(), *kinds.most_common()]:
        print(f"  {count:>7,}  {word}")
    if kinds:
        return 1
    if done < min(mutants, LEAST):
        print(f"only {done:,} of at least {min(mutants, LEAST):,} fitted into {seconds:g} s: is the machine busy?")
        return 2
    return 0
