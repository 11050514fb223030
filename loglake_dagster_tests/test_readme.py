"""What the documents show is what the product does: commands run, printed lines found, samples and settings real,
links alive.

In a document `...` stands for anything. A console block's `loglake` commands are run one after the other in a demo
lake; of `make` targets it is tested that they exist (`make demo` prints what `loglake demo` does). A yaml block that
begins with `# name.yaml` is a settings file for the commands after it; any other is a part of one.
"""

import dataclasses
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from loglake_dagster.cli import cli
from loglake_dagster.config import load_settings
from loglake_dagster.errors import ConfigError
from loglake_dagster.lake.settings import EmrServerless, Glue, Launch
from loglake_dagster_tests.made import same_json

ROOT = Path(__file__).parents[1]
SAMPLE_DAY = "2023-07-10"
# A document's commands are processes that start one after the other; a busy machine needs minutes for them.
pytestmark = pytest.mark.timeout(600)
NOT_OURS = ("lake", "landing", "build", "dist")  # what commands make in the project's folder
PATHS = [
    *ROOT.glob("*.md"),
    *(p for d in ROOT.iterdir() if d.is_dir() and d.name[0] != "." and d.name not in NOT_OURS for p in d.rglob("*.md")),
]
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in PATHS)
LEAST = {
    "lake": "lake: ./lake",
    "feeds": "feeds:\n  - {source: cloudtrail, uri: ./landing/trail}\n"
    "  - {source: cloudwatch, uri: ./landing/firehose, log_groups: {session: [/aws/ssm/sessionlogs]}}\n"
    "  - {source: ssm_s3, uri: ./landing/uploads}",
}
# Settings of a feed that other sources' feeds have.
OF_OTHER_SOURCES = {
    "cloudtrail": {"log_groups", "account", "region"},
    "cloudwatch": {"account", "region"},
    "ssm_s3": {"log_groups"},
}


@dataclass(frozen=True)
class Step:
    """A command of a console block and the lines that are shown below it."""

    command: list[str]
    shown: list[str]


@dataclass(frozen=True)
class DemoLake:
    """A folder with the project's settings, the sample lake in it, and what building it printed."""

    folder: Path
    printed: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run([sys.executable, "-m", "loglake_dagster.cli", *arguments], self.folder)

    def rows(self, table: str) -> Any:
        return json.loads(self.run("query", "--format", "json", f"select * from {table}").stdout)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # What `make test` sets would choose another lake, and a make inside a make prints more.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "LOGLAKE_", "MAKE", "MFLAGS"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=110, check=False
    )


@pytest.fixture(scope="module")
def demo_lake(tmp_path_factory: pytest.TempPathFactory) -> DemoLake:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("loglake.yaml", "dagster.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    done = DemoLake(folder, "").run("demo")
    assert done.returncode == 0, done.stderr
    return DemoLake(folder, done.stdout)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks in the given languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text_of(document), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


def steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield Step(shlex.split(command, comments=True), shown)


def settings_name(block: str) -> str | None:
    found = re.match(r"# ([a-z-]+\.yaml)\n", block)
    return found[1] if found else None


def pattern(shown: str) -> str:
    return ".*".join(map(re.escape, shown.split("...")))


def not_printed(shown: list[str], printed: str) -> list[str]:
    """The shown lines that are not among the printed ones in that order, white space aside."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    wanted = [" ".join(line.split()) for line in shown]
    return [one for one in wanted if one != "..." and not any(re.fullmatch(pattern(one), line) for line in lines)]


def check_step(step: Step, lake: DemoLake) -> None:
    program, *arguments = step.command
    if program == "loglake":
        done = lake.run(*arguments)
        printed = done.stdout + done.stderr
        code = 2 if any(line.startswith("Error:") for line in step.shown) else int("FAILED:" in "\n".join(step.shown))
        assert done.returncode == code, printed
        assert "Traceback" not in printed
    elif program == "make" and arguments in ([], ["help"]):
        printed = run(step.command, ROOT).stdout
    elif program == "make":
        dry = run(["make", "-n", *arguments], ROOT)
        assert dry.returncode == 0, dry.stderr
        assert arguments != ["demo"] or dry.stdout.endswith("/loglake demo\n")
        printed = lake.printed if arguments == ["demo"] else ""
    else:
        return
    assert not not_printed(step.shown, printed), printed


# The pages of the tables are generated, all by one template: of their commands one page's are enough.
WITH_COMMANDS = [
    name
    for name in DOCUMENTS
    if blocks(name, "console") and (not name.startswith("docs/tables/") or name.endswith("sessions.md"))
]


@pytest.mark.cli
@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_commands_print_what_is_shown(document: str, demo_lake: DemoLake) -> None:
    for language, text in blocks(document, "console", "yaml"):
        if language == "console":
            for step in steps(text):
                check_step(step, demo_lake)
        elif name := settings_name(text):
            (demo_lake.folder / name).write_text(text, encoding="utf-8")


def test_every_command_and_target_is_in_the_documents() -> None:
    readme, everything = text_of("README.md"), "".join(map(text_of, DOCUMENTS))
    assert [name for name in cli.commands if f"| `loglake {name}" not in readme] == []
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"make ([a-z][a-z-]+)`", everything))
    assert named <= set(targets)
    assert {"demo", "up", "test", "check", "fix"} <= named


def is_part_of(shown: Any, value: Any) -> bool:
    """Whether a sample says nothing that the value does not: fields and list items may be left out, text by `...`."""
    if isinstance(shown, dict):
        return isinstance(value, dict) and all(k in value and is_part_of(v, value[k]) for k, v in shown.items())
    if isinstance(shown, list):
        return isinstance(value, list) and all(any(is_part_of(s, v) for v in value) for s in shown)
    if isinstance(shown, str) and isinstance(value, str):
        return re.fullmatch(pattern(shown), value, re.DOTALL) is not None
    return same_json(shown, value)


def raw_values(folder: Path) -> Iterator[Any]:
    """CloudTrail records and CloudWatch documents as they were delivered."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = gzip.decompress(path.read_bytes()).decode().rstrip()
        position = 0
        while position < len(text):
            value, position = json.JSONDecoder().raw_decode(text, position)
            yield from value.get("Records", [value])


@pytest.mark.cli
def test_samples_are_real(demo_lake: DemoLake) -> None:
    rejects = json.loads(demo_lake.run("status", "--day", SAMPLE_DAY, "--json").stdout)
    real = [*raw_values(demo_lake.folder / "landing"), *(reject for one in rejects for reject in one["rejects"])]
    for table in ("from_cloudtrail_readready", "from_cloudwatch_readready", "sessions"):
        real += demo_lake.rows(table)
    samples = [text for _language, text in blocks("README.md", "json")]
    assert len(samples) == 5
    for text in samples:
        assert any(is_part_of(json.loads(text), value) for value in real), text


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "yaml")])
def test_settings_are_accepted(document: str, tmp_path: Path) -> None:
    for _language, text in blocks(document, "yaml"):
        if settings_name(text) is None:
            missing = [lines for key, lines in LEAST.items() if key not in yaml.safe_load(text)]
            file = tmp_path / "loglake.yaml"
            file.write_text("\n".join([text, *missing]), encoding="utf-8")
            load_settings(file)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """A document's mappings, those inside others too."""
    if isinstance(value, dict):
        yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(below)


def test_every_setting_is_shown(tmp_path: Path) -> None:
    """A key that does not exist is answered with those that do: the document has them all."""
    _language, text = blocks("docs/running.md", "yaml")[0]
    document, file = yaml.safe_load(text), tmp_path / "loglake.yaml"
    for section in filter(None, mappings(document)):  # an empty one, engine.conf, has Spark's own keys
        section["no_such_key"] = None
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        with pytest.raises(ConfigError, match="unknown key; accepted here: ") as caught:
            load_settings(file)
        accepted = re.findall(r"[a-z_0-9]+", caught.value.message.rpartition("accepted here: ")[2])
        del section["no_such_key"]
        assert set(accepted) - set(section) <= OF_OTHER_SOURCES.get(section.get("source"), set())


def test_every_setting_of_a_launch_is_shown() -> None:
    sections: dict[str, set[str]] = {"launch": set(), "emr_serverless": set(), "glue": set()}
    for _language, text in blocks("deploy/spark/README.md", "yaml"):
        launch = yaml.safe_load(text)["engine"]["launch"]
        sections["launch"] |= set(launch)
        for name in set(launch) & set(sections):
            sections[name] |= set(launch[name])
    kinds = {"launch": Launch, "emr_serverless": EmrServerless, "glue": Glue}
    assert sections == {name: {field.name for field in dataclasses.fields(kind)} for name, kind in kinds.items()}


def test_settings_are_shown_with_their_defaults(tmp_path: Path) -> None:
    whole, least = tmp_path / "whole.yaml", tmp_path / "least.yaml"
    whole.write_text(blocks("docs/running.md", "yaml")[0][1], encoding="utf-8")
    least.write_text("\n".join(LEAST.values()), encoding="utf-8")
    assert dataclasses.replace(load_settings(whole), file=least) == load_settings(least)


def anchors(path: Path) -> set[str]:
    """The names that a Markdown file's headings can be linked by."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file, _hash, anchor = urllib.parse.unquote(target).partition("#")
        path = (ROOT / document).parent / file if file else ROOT / document
        is_web = target.startswith(("https://", "http://"))
        if not is_web and not (path.exists() and (not anchor or anchor in anchors(path))):
            dead.append(target)
    assert not dead
