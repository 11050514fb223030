"""`loglake` as people start it: a process with a pipe, or with a terminal of a given width."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

from loglake_dagster_tests.assets.sample import LANDING, PROJECT, SETTINGS

LOGLAKE = Path(sys.executable).with_name("loglake")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Result:
    """What a command came to. `cpu_seconds` covers the processes that it started and waited for."""

    code: int
    out: str
    err: str
    cpu_seconds: float = 0.0

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True)
class Folder:
    """A project folder that commands are run in, with no setting from outside."""

    path: Path

    def loglake(self, *arguments: str, **environment: str) -> Result:
        """Runs a command in a pipe."""
        before = os.times()
        done = subprocess.run(
            [LOGLAKE, *arguments],
            cwd=self.path,
            env=clean_environment() | environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode(), used)

    def terminal(self, *arguments: str, columns: int = 80) -> Result:
        """Runs a command on a terminal, where output and errors are one stream."""
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            [LOGLAKE, *arguments],
            cwd=self.path,
            env=clean_environment() | {"TERM": "xterm"},
            stdin=side,
            stdout=side,
            stderr=side,
        )
        os.close(side)
        data = b""
        try:
            while chunk := os.read(main, 1 << 16):
                data += chunk
        except OSError:  # how a terminal says that nobody writes to it any more
            pass
        os.close(main)
        return Result(process.wait(), data.decode().replace("\r\n", "\n"), "")


def clean_environment() -> dict[str, str]:
    """This process's environment without what steers the command; and no UTC machine, so that a slip shows."""
    steering = ("LOGLAKE_", "DAGSTER_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "PYTHON", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return kept | {"TZ": "America/New_York"}


def demo_folder(path: Path) -> Folder:
    """A folder as it is after a checkout: the project's settings files and nothing else."""
    for name in ("loglake.yaml", "dagster.yaml"):
        shutil.copy(PROJECT / name, path / name)
    return Folder(path)


def sample_folder(path: Path, added: str = "") -> Folder:
    """The sample day delivered, nothing materialised, one worker."""
    shutil.copytree(LANDING, path / "landing")
    (path / "loglake.yaml").write_text(SETTINGS + added)
    return Folder(path)


def plain(text: str) -> str:
    """What stands on the screen: without the colours that the command itself sets."""
    return STYLE.sub("", text)
