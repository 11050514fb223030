"""Makes the folder that EMR Serverless and Glue are given: wheel, entry script, environment, Glue's job.

    python -m deploy.spark.package OUT --uri s3://bucket/loglake [--environment]

OUT/loglake_dagster-*.whl    Log Lake, built from this checkout
OUT/loglake_day.py           the entry script
OUT/requirements.txt         what the wheel needs there, pinned
OUT/glue_job.json            for `aws glue create-job --cli-input-json`
OUT/environment.tar.gz       for EMR Serverless, with --environment: all of it installed, an environment of Python's

Upload OUT to the URI. The libraries come from the package index, as pip is set up; nothing else needs a network.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
ENTRY = Path(__file__).parent / "loglake_day.py"
# All that the entry script imports, and what that needs in turn: neither Dagster nor what reads the settings.
BOTO = ("boto3", "botocore", "jmespath", "s3transfer", "urllib3")
LIBRARIES = (
    "dagster-pipes",
    "deflate",
    "duckdb",
    "isal",
    "msgspec",
    "numpy",
    "obstore",
    "pandas",
    "protobuf",
    "pyarrow",
    "python-dateutil",
    "pytz",
    "six",
    "typing_extensions",
    "tzdata",
    "xxhash",
    "zstandard",
)
# Folders of the checkout that are no part of a wheel, and large or changing.
NOT_BUILT = ("build", "dist", "lake", "landing", "examples", "loglake_dagster_tests")
# The glibc of Amazon Linux 2023 and older.
GLIBC = ("2_34", "2_31", "2_28", "2_27", "2_24", "2_17")
BUILDS_WHEELS = 71


class PackageError(Exception):
    """One sentence: what could not be made, and why."""


@dataclass(frozen=True)
class Target:
    """The Python of the workers: its place there, its version as 3.11, its processor as x86_64 or aarch64."""

    python: str = "/usr/bin/python3.11"
    version: str = "3.11"
    arch: str = "x86_64"

    @property
    def tags(self) -> list[str]:
        """pip's words for which wheels run there."""
        platforms = [*(f"manylinux_{one}_{self.arch}" for one in GLIBC), f"manylinux2014_{self.arch}"]
        chosen = [f"--platform={one}" for one in [*platforms, f"linux_{self.arch}"]]
        return ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.version}", *chosen]


def build_wheel(out: Path) -> Path:
    """Log Lake's wheel, from a copy of the checkout: a build leaves its traces in the tree that it is made from."""
    with tempfile.TemporaryDirectory(prefix="loglake-") as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(TREE, tree, ignore=_not_built)
        # With a setuptools that can do it, nothing is downloaded.
        is_here = int(version("setuptools").partition(".")[0]) >= BUILDS_WHEELS
        _pip("wheel", "--no-deps", *(["--no-build-isolation"] if is_here else []), "--wheel-dir", str(out), str(tree))
    # Its name says for which machines it is, where it holds compiled code.
    (wheel,) = out.glob("loglake_dagster-*.whl")
    return wheel


def _not_built(folder: str, names: list[str]) -> list[str]:
    """What is left out of the copy; `lake` is a package, too, further down."""
    is_top = Path(folder) == TREE
    made = {name for name in names if name.startswith(".") or name.endswith(".egg-info") or name == "__pycache__"}
    return [*made, *(name for name in names if is_top and name in NOT_BUILT)]


def requirements(names: Sequence[str] = (*BOTO, *LIBRARIES)) -> list[str]:
    """The libraries in the versions that are tested, of constraints.txt."""
    lines = (TREE / "constraints.txt").read_text().splitlines()
    pins = {_plain(line.partition("==")[0]): line for line in lines if "==" in line}
    missing = [name for name in names if _plain(name) not in pins]
    if missing:
        raise PackageError(f"constraints.txt names no version of {', '.join(missing)}; make constraints, then package")
    return [pins[_plain(name)] for name in names]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def build_environment(wheel: Path, needed: Sequence[str], target: Target, out: Path) -> Path:
    """An environment of Python's for the workers, packed: `bin/python` leads to the Python that is there."""
    archive = out / "environment.tar.gz"
    with tempfile.TemporaryDirectory(prefix="loglake-") as scratch:
        root = Path(scratch)
        libraries = root / "lib" / f"python{target.version}" / "site-packages"
        install = ["install", "--quiet", "--no-deps", "--no-compile", *target.tags, "--target", str(libraries)]
        _pip(*install, str(wheel), *needed)
        shutil.rmtree(libraries / "bin", ignore_errors=True)
        (root / "bin").mkdir()
        (root / "bin" / "python").symlink_to(target.python)
        home = str(Path(target.python).parent)
        (root / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
        with tarfile.open(archive, "w:gz") as packed:
            for one in sorted(root.iterdir()):
                packed.add(one, one.name)
    return archive


def glue_job(wheel: str, uri: str, needed: Sequence[str]) -> dict[str, object]:
    """CreateJob of Glue, but for the role. The list of modules is whole, and Glue has a boto3 of its own."""
    return {
        "Name": "loglake",
        "Command": {"Name": "glueetl", "ScriptLocation": f"{uri}/{ENTRY.name}", "PythonVersion": "3"},
        "GlueVersion": "5.0",
        "WorkerType": "G.1X",
        "NumberOfWorkers": 10,
        "MaxRetries": 0,
        "ExecutionProperty": {"MaxConcurrentRuns": 10},
        "DefaultArguments": {
            "--additional-python-modules": ",".join([f"{uri}/{wheel}", *needed]),
            "--python-modules-installer-option": "--no-deps",
        },
    }


def make_package(out: Path, uri: str, target: Target, with_environment: bool) -> list[Path]:
    """The files of the package; PackageError if one cannot be made."""
    if not re.fullmatch(r"s3://[^/]+(/.*)?", uri):
        raise PackageError(f"--uri: expected s3://bucket/prefix, where the folder will lie, got {uri!r}")
    if out.exists() and any(out.iterdir()):
        raise PackageError(f"{out}: expected an empty folder or none; a package is never mixed with an older one")
    out.mkdir(parents=True, exist_ok=True)
    wheel, entry, pins, job = build_wheel(out), out / ENTRY.name, out / "requirements.txt", out / "glue_job.json"
    shutil.copyfile(ENTRY, entry)
    pins.write_text("\n".join(requirements()) + "\n")
    job.write_text(json.dumps(glue_job(wheel.name, uri, requirements(LIBRARIES)), indent=1) + "\n")
    made = [wheel, entry, pins, job]
    return [*made, build_environment(wheel, requirements(), target, out)] if with_environment else made


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        wrong = [line for line in lines if "error:" in line.lower()] or lines or [f"exit code {done.returncode}"]
        raise PackageError(f"pip {arguments[0]}: {wrong[-1].strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 made, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m deploy.spark.package", description="Packages Log Lake for Spark.")
    parser.add_argument("out", type=Path, help="an empty folder, or one that is not there")
    parser.add_argument("--uri", required=True, help="where the folder will lie, as s3://bucket/loglake")
    parser.add_argument("--environment", action="store_true", help="also environment.tar.gz, for EMR Serverless")
    parser.add_argument("--python", default=Target.python, help="of the workers (default: %(default)s)")
    parser.add_argument("--python-version", default=Target.version, help="its version (default: %(default)s)")
    parser.add_argument("--arch", default=Target.arch, choices=("x86_64", "aarch64"), help="(default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        target = Target(given.python, given.python_version, given.arch)
        for path in make_package(given.out, given.uri.rstrip("/"), target, given.environment):
            print(f"{path} ({path.stat().st_size:,} bytes)")
    except (PackageError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
