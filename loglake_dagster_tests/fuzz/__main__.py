"""`make fuzz`: mutants by the thousand, within a time, on all cores.

    python -m loglake_dagster_tests.fuzz [--mutants 12000] [--seconds 170] [--seed N]
    python -m loglake_dagster_tests.fuzz --seed N --only NUMBER       one mutant again, with its traceback

The first mutants of every kind of failure are written to a folder, each beside the words and the command that repeat
it. Ends with 1 if a promise was broken, and with 2 if fewer mutants than asked for fitted into the time.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from loglake_dagster_tests.fuzz.properties import check
from loglake_dagster_tests.fuzz.run import COMMAND, report, shared_mutator


def main() -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description=str(__doc__).partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=12_000)
    parser.add_argument("--seconds", type=float, default=170)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", type=int, default=None, help="this mutant alone")
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz"), help="folder for mutants that fail")
    given = parser.parse_args()
    seed = secrets.randbelow(10**9) if given.seed is None else given.seed
    if given.only is not None:
        mutant = shared_mutator().mutant(seed, given.only)
        print(f"{mutant.source.name}, {len(mutant.data)} bytes, {mutant.recipe}")
        print(check(mutant, with_orc=True))
        return 0
    return report(seed, given.mutants, given.seconds, given.failures)


if __name__ == "__main__":
    sys.exit(main())
