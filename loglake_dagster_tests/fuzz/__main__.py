"""`make fuzz`: mutants by the thousand, within a time, on all cores.

    python -m loglake_dagster_tests.fuzz [--mutants 12000] [--seconds 170] [--seed N]
    python -m loglake_dagster_tests.fuzz --seed N --only NUMBER       one mutant again, with its traceback

The first mutants of every kind of failure are written to a folder, each beside the words and the command that repeat
it. Ends with 1 if a promise was broken, and with 2 if fewer mutants than asked for fitted into the time.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loglake_dagster_tests.fuzz.mutants import Mutator
from loglake_dagster_tests.fuzz.properties import Broken, check

LEAST, BATCH, EACH_ORC = 10_000, 50, 10
KEPT_OF_A_KIND = 3


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
        return f"python -m loglake_dagster_tests.fuzz --seed {self.seed} --only {self.number}"

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
    mutator = _mutator()
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


def _mutator() -> Mutator:
    """One a process: reading the samples takes longer than a batch."""
    if not _MUTATORS:
        _MUTATORS.append(Mutator())
    return _MUTATORS[0]


def fuzz(seed: int, mutants: int, seconds: float) -> Iterator[tuple[Counter[str], list[Failure]]]:
    """Batches until all mutants are done or the time is over."""
    until = time.monotonic() + seconds
    batches = iter(range(0, mutants, BATCH))
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        running = [pool.submit(run_batch, seed, range(s, min(s + BATCH, mutants))) for s in _take(batches, 2 * workers)]
        while running:
            yield running.pop(0).result()
            if time.monotonic() < until:
                running += [pool.submit(run_batch, seed, range(s, min(s + BATCH, mutants))) for s in _take(batches, 1)]


def _take(batches: Iterator[int], count: int) -> list[int]:
    return [start for _n, start in zip(range(count), batches, strict=False)]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loglake_dagster_tests.fuzz", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--mutants", type=int, default=12_000)
    parser.add_argument("--seconds", type=float, default=170)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", type=int, default=None, help="this mutant alone")
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz"), help="folder for mutants that fail")
    given = parser.parse_args()
    seed = secrets.randbelow(10**9) if given.seed is None else given.seed
    if given.only is not None:
        mutant = _mutator().mutant(seed, given.only)
        print(f"{mutant.source.name}, {len(mutant.data)} bytes, {mutant.recipe}")
        print(check(mutant, with_orc=True))
        return 0
    return report(seed, given.mutants, given.seconds, given.failures)


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
    return 0 if done >= min(mutants, LEAST) else 2


if __name__ == "__main__":
    sys.exit(main())
