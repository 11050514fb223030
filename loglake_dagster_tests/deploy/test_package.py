"""The package for EMR Serverless and Glue: built from this checkout without a network, looked into, and run from a
folder that knows nothing of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from deploy.spark import package
from deploy.spark.package import BOTO, LIBRARIES, TREE, PackageError, Target, glue_job, requirements
from loglake_dagster.engines.handover import JOB, Answer, Handover, program_name
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.remote import RemoteEngine
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.store import open_store
from loglake_dagster.lake.settings import S3Settings
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import events, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY

HERE = Target(python=str(Path(sys.executable).resolve()), version=f"{sys.version_info[0]}.{sys.version_info[1]}")
URI = "s3://bucket/loglake"
SITE = [path for path in sys.path if path.endswith("site-packages")]
# Blocks what is installed here and not there, and does a job as the entry script does, but for Spark.
THERE = """
import importlib.abc, sys
allowed = set(sys.argv[2].split(","))

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in set(sys.argv[3].split(",")) - allowed:
            raise ModuleNotFoundError(name + " is not installed there", name=name)

sys.meta_path.insert(0, Blocked())
import loglake_dagster.spark_job
from loglake_dagster.engines.embedded import EmbeddedEngine
from loglake_dagster.engines.handover import program_name
from loglake_dagster.engines.remote import do_job
from loglake_dagster.lake.settings import S3Settings
answer = do_job(sys.argv[1], S3Settings(), EmbeddedEngine, print)
print(answer.problem, sum(part.rows for part in answer.parts), program_name(), loglake_dagster.__file__)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with an environment that lacks the libraries."""
    folder = tmp_path_factory.mktemp("package") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        wheel, *_others = package.make_package(folder, URI, HERE, with_environment=False)
        package.build_environment(wheel, [], HERE, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(made: Path) -> Path:
    (one,) = made.glob("*.whl")
    return one


def run(folder: Path, *command: str, path: list[Path] | None = None) -> subprocess.CompletedProcess[str]:
    """A process in a folder of its own, which finds libraries here, and Log Lake only where it is told to."""
    found = os.pathsep.join([*map(str, path or []), *SITE])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "LOGLAKE"))}
    environment["PYTHONPATH"] = found
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


class Nowhere:
    """A service that refuses every job."""

    def run(self, job_uri: str) -> None:
        raise LogLakeError(f"refused {job_uri}")


def handed_job(folder: Path) -> str:
    """The URI of a job that waits in a lake in the folder."""
    trail_file(trail_of(folder), events(7))
    lake = made_lake(folder)
    lake = replace(lake, engine=RemoteEngine(lake.settings.engine, lake.settings.s3, Nowhere()))
    with pytest.raises(LogLakeError) as caught:
        materialize_readready(lake, SOURCE, DAY)
    return str(caught.value).removeprefix("refused ")


def answer_of(uri: str) -> Answer:
    """The answer that was left beside a job."""
    answer = Handover(open_store(uri.removesuffix(f"/{JOB}"), S3Settings())).read_answer()
    assert answer is not None
    return answer


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    tree = {str(path.relative_to(TREE)) for path in (TREE / "loglake_dagster").rglob("*.py")}
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert {name for name in names if name.endswith(".py")} == tree
        assert all(name.startswith("loglake_dagster/") for name in names)
        for name in tree:
            assert packed.read(name) == (TREE / name).read_bytes()


def test_the_tree_is_left_as_it_was(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir())[:2] == ["environment.tar.gz", "glue_job.json"]
    assert not (TREE / "build" / "lib").exists()
    assert (made / "loglake_day.py").read_bytes() == (TREE / "deploy/spark/loglake_day.py").read_bytes()


def test_a_job_is_done_with_only_the_wheel_and_what_the_package_lists(tmp_path: Path, wheel: Path) -> None:
    """Neither Dagster nor the settings' readers are there; the program is the one that planned the job."""
    uri = handed_job(tmp_path)
    provided = {_plain(name) for name in (*BOTO, *LIBRARIES)}
    roots = {root: {_plain(name) for name in names} for root, names in packages_distributions().items()}
    allowed = [root for root, names in roots.items() if names & provided or "loglake-dagster" in names]
    there = tmp_path / "there"
    there.mkdir()
    blocked = [root for root in roots if root not in allowed]
    assert {"dagster", "pydantic", "yaml", "click", "rich", "pyspark"} <= {*blocked, "pyspark"}
    command = [sys.executable, "-c", THERE, uri, ",".join(allowed), ",".join(blocked)]
    done = run(there, *command, path=[wheel])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"None 7 {program_name()} {wheel}/loglake_dagster/__init__.py"
    answer = answer_of(uri)
    assert sum(entry.landed for entry in answer.entries) == 7


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.spark
def test_the_list_of_libraries_is_whole() -> None:
    """Glue installs it without looking for what its members need in turn. pandas is there with Spark alone."""
    listed = {_plain(name) for name in (*BOTO, *LIBRARIES)}
    needed = set()
    for name in listed:
        wanted = [one for one in distribution(name).requires or [] if "extra ==" not in one]
        needed |= {_plain(re.split(r"[ ;<>=!~(\[]", one, maxsplit=1)[0]) for one in wanted}
    assert needed <= listed
    assert len(requirements()) == len(listed)
    assert all("==" in one for one in requirements())


def test_the_entry_script_says_what_is_wrong_in_a_sentence(tmp_path: Path, made: Path, wheel: Path) -> None:
    script = str(made / "loglake_day.py")
    there = tmp_path / "there"
    there.mkdir()
    gone = run(there, sys.executable, script, "--loglake-job", f"{tmp_path.as_uri()}/{JOB}", path=[wheel])
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr == f"Error: {tmp_path.as_uri()}/{JOB}: not found\n"
    bare = run(there, sys.executable, script, path=[wheel])
    assert bare.returncode == 2
    assert "the following arguments are required: --loglake-job" in bare.stderr


def test_a_job_that_fails_leaves_its_words_and_a_code(tmp_path: Path, made: Path, wheel: Path) -> None:
    """Here because there is no Spark: pyspark is the service's, and not in the package. Glue's own arguments are passed
    over."""
    uri = handed_job(tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    block = "import sys; sys.modules['pandas'] = None\n" + (made / "loglake_day.py").read_text()
    (there / "day.py").write_text(block)
    arguments = ["--JOB_NAME", "loglake", "--loglake-job", uri, "--s3-allow-http", "true"]
    done = run(there, sys.executable, "day.py", *arguments, path=[wheel])
    assert done.returncode == 1, done.stderr
    assert done.stdout == f"{SOURCE.readready_name} {DAY}: 1 objects to read\n"
    assert re.fullmatch(r"Error: engine.type spark: .*pandas not installed; run pip install .*\n", done.stderr)
    answer = answer_of(uri)
    assert answer.problem is not None
    assert f"Error: {answer.problem.message}\n" == done.stderr


def test_the_environment_runs_wherever_it_is_unpacked(tmp_path: Path, made: Path) -> None:
    with tarfile.open(made / "environment.tar.gz") as packed:
        packed.extractall(tmp_path / "environment", filter="fully_trusted")
    told = "import loglake_dagster.spark_job as one, sys; print(one.__file__, sys.prefix)"
    done = run(tmp_path, "./environment/bin/python", "-c", told)
    assert done.returncode == 0, done.stderr
    file, prefix = done.stdout.split()
    site = tmp_path / "environment" / "lib" / f"python{HERE.version}" / "site-packages"
    assert file == str(site / "loglake_dagster" / "spark_job.py")
    assert Path(prefix) == tmp_path / "environment"


def test_glues_job_and_emrs_application_are_what_the_services_take(made: Path) -> None:
    """By the services' own models. The role is added when they are made."""
    role = "arn:aws:iam::111122223333:role/loglake-jobs"
    job = json.loads((made / "glue_job.json").read_text())
    assert problems("glue", "CreateJob", {**job, "Role": role}) == ""
    modules = job["DefaultArguments"]["--additional-python-modules"].split(",")
    (wheel,) = made.glob("*.whl")
    assert modules == [f"{URI}/{wheel.name}", *requirements(LIBRARIES)]
    assert job == glue_job(wheel.name, URI, requirements(LIBRARIES))
    application = json.loads((TREE / "deploy/spark/emr_application.json").read_text())
    assert problems("emr-serverless", "CreateApplication", {**application, "clientToken": "t"}) == ""


def problems(service: str, operation: str, request: dict[str, object]) -> str:
    """What a service's model has against a request."""
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    report: str = ParamValidator().validate(request, model.input_shape).generate_report()
    return report


def test_a_package_is_never_mixed_with_an_older_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loglake_dagster-0.0.9-py3-none-any.whl").touch()
    assert package.main([str(tmp_path), "--uri", URI]) == 1
    assert capsys.readouterr().err == (
        f"Error: {tmp_path}: expected an empty folder or none; a package is never mixed with an older one\n"
    )


def test_where_the_package_will_lie_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert package.main([str(tmp_path), "--uri", ""]) == 1
    told = capsys.readouterr().err
    assert told == "Error: --uri: expected s3://bucket/prefix, where the folder will lie, got ''\n"


def test_what_pip_cannot_do_is_said_in_a_line(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(PackageError, match=r"^pip install: ERROR: No matching distribution found for isal==0\.0\.0$"):
        package.build_environment(wheel, ["isal==0.0.0"], HERE, tmp_path)
    with pytest.raises(PackageError, match=r"^constraints.txt names no version of no-such-library; make constraints"):
        requirements(["no-such-library"])


def test_wheels_are_chosen_for_the_workers_and_not_for_this_machine() -> None:
    tags = Target("/usr/bin/python3.12", "3.12", "aarch64").tags
    assert "--python-version=3.12" in tags
    assert "--platform=manylinux_2_34_aarch64" in tags
    assert "--platform=linux_aarch64" in tags
    assert not any("x86_64" in tag for tag in tags)
