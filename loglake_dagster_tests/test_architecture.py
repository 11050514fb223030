"""Who may import what, who reads the environment, how long things may be (STYLE 1, 2): a walk over the syntax trees.

Imports inside functions count. The layers, from the top: definitions, cli -> assets -> engines -> io, catalog ->
kernels -> lake -> errors; sources and sessions are data on kernels and lake, and never import each other.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loglake_dagster"
MODULES = sorted(PACKAGE.rglob("*.py"))
GOLDEN = ROOT / "loglake_dagster_tests/golden/cloudtrail/ssm-start-session.in.json"

DATA = {"errors", "lake", "kernels"}
EDGE = DATA | {"sources", "sessions"}
ENGINES = EDGE | {"io", "catalog", "engines"}
TOP = ENGINES | {"assets", "config", "terminal", "demo", "cli", "definitions"}
MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "lake": {"errors", "lake"},
    "kernels": DATA,
    "sources": DATA,
    "sessions": DATA,
    "io": DATA | {"io"},
    "catalog": DATA | {"catalog"},
    "config": {"errors", "lake", "io", "sources", "config_launch", "config_values"},
    "config_launch": {"lake", "config_values"},
    "config_values": {"errors", "lake"},
    "terminal": DATA | {"config", "engines"},
    "engines": ENGINES,
    "assets": ENGINES | {"assets", "config"},
    "spark_job": ENGINES,
    "definitions": TOP,
    "generate": ENGINES,
    "demo": TOP,
    "cli": TOP,
}
# Libraries that only some parts may know.
ONLY_IN = {
    "dagster": {"assets", "definitions", "cli"},
    "dagster_pipes": {"spark_job"},
    "dagster_aws": {"assets"},
    "boto3": {"assets", "spark_job"},
    "botocore": {"assets", "spark_job"},
    "pyspark": {"engines"},
    "py4j": {"engines"},
    "pydantic": {"config", "config_launch", "config_values"},
    "yaml": {"io"},
    "sqlite3": {"catalog"},
    "obstore": {"io", "engines"},
    "pyorc": {"io"},
}
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60


def part_of(path):
    """The layer that a module belongs to: its folder, or its own name at the top of the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path):
    return ast.parse(path.read_text(), str(path))


def imports_of(path):
    """Every dotted name that a module imports, anywhere in it; relative ones made absolute."""
    here = ["loglake_dagster", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def layer_named(name):
    """The layer of an imported name inside the package; None for `loglake_dagster` and its own version."""
    parts = name.split(".")
    if parts[0] != "loglake_dagster" or len(parts) == 1:
        return None
    is_layer = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists()
    return parts[1] if is_layer else None


@pytest.fixture(params=MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def module(request):
    return request.param


def test_a_module_imports_only_what_stands_below_it(module):
    part = part_of(module)
    # A registry imports the modules beside it; they never import each other or the registry.
    own = {part} if part in ("sources", "sessions") and module.name == "__init__.py" else set()
    wrong = [
        f"line {line}: {name}"
        for line, name in imports_of(module)
        if (layer := layer_named(name)) is not None and layer not in MAY_IMPORT[part] | own
    ]
    assert wrong == []


def test_a_module_of_lake_imports_the_standard_library_alone(module):
    roots = {name.partition(".")[0] for _line, name in imports_of(module)}
    if part_of(module) in ("lake", "errors", "__init__"):
        assert roots - sys.stdlib_module_names - {"loglake_dagster"} == set()
    assert "loglake_dagster_tests" not in roots


def test_libraries_stay_where_they_belong(module):
    part = part_of(module)
    wrong = [
        f"line {line}: {name}"
        for line, name in imports_of(module)
        if (root := name.partition(".")[0]) in ONLY_IN and part not in ONLY_IN[root]
    ]
    assert wrong == []


def test_only_config_reads_the_environment(module):
    if part_of(module) == "config":
        return
    read = [
        node.lineno
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    named = [line for line, name in imports_of(module) if name in ("os.environ", "os.environb", "os.getenv")]
    assert read + named == []


def test_every_module_says_what_it_holds(module):
    assert ast.get_docstring(tree_of(module))


def test_files_and_functions_stay_short(module):
    assert len(module.read_text().splitlines()) <= MOST_LINES_OF_A_FILE
    functions = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > MOST_LINES_OF_A_FUNCTION]
    assert long == []


def test_every_part_of_the_package_has_a_rule():
    assert {part_of(path) for path in MODULES} <= set(MAY_IMPORT)


def test_the_walk_sees_imports_of_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "lake").mkdir()
    path = tmp_path / "lake" / "x.py"
    path.write_text(
        "import a.b, c as d\nfrom e import f\nfrom . import g\nfrom ..io import h\ndef i():\n    from j.k import l\n"
    )
    assert [name for _line, name in imports_of(path)] == [
        "a.b",
        "c",
        "e.f",
        "loglake_dagster.lake.g",
        "loglake_dagster.io.h",
        "j.k.l",
    ]


BLOCKED = ("dagster", "boto3", "botocore", "pyspark", "duckdb", "pydantic", "yaml")
DECODE = f"""
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import source_named
decoded = source_named("cloudtrail").decode([open(sys.argv[1], "rb").read()], Wanted(), 1 << 20)
print(json.dumps([decoded.rows["sessionid"].to_pylist(), sorted(set(sys.modules) & set({BLOCKED!r}))]))
"""


def test_a_log_is_decoded_where_no_dagster_no_boto3_and_no_spark_is_installed():
    command = [sys.executable, "-c", DECODE, str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [["t59j8gpq2ta8hniozstbnphqs8"], []]


def test_the_package_itself_imports_nothing():
    """Worker processes import it first."""
    assert [name for _line, name in imports_of(PACKAGE / "__init__.py")] == []
