"""Writes the documents that are made from the records: `python -m loglake_dagster.generate [--check]`.

docs/tables/<table>.md for each table that readers see, deploy/athena/<table>.sql for each that Athena can read. A new
source needs nothing here. `--check` writes nothing and says which files are not fresh; `make check` runs it.
"""

from __future__ import annotations

from pathlib import Path

import click

from loglake_dagster.engines.raw import raw_table
from loglake_dagster.kernels.hive_ddl import add_partition, create_orc_table, create_raw_table, day_of, set_location
from loglake_dagster.kernels.table_docs import EXAMPLE_DAY, NOTICE, Page, index_page, table_page
from loglake_dagster.lake.partition import parse_day, version_folder
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.source import RawFormat, Source, SourceKey
from loglake_dagster.sessions import record as sessions
from loglake_dagster.sources import SOURCES, cloudtrail, cloudwatch, ssm_s3

PROJECT = Path(__file__).parents[1]
PAGES, DDL = "docs/tables", "deploy/athena"
MARK = NOTICE.partition(" from ")[0].encode()
LAKE, TRAIL = "s3://example-lake", "s3://example-trail"


def generated_files() -> dict[str, str]:
    """Every generated file's text, by its path in the project."""
    pages = [_source_page(source) for source in SOURCES]
    inputs = f"published days of `{cloudtrail.TABLE.name}` and `{cloudwatch.TABLE.name}`, and of `{ssm_s3.TABLE.name}` "
    inputs += "for sessions of which CloudWatch has nothing"
    pages.append(Page(sessions.TABLE, inputs, sessions.ONE_ROW))
    files = {f"{PAGES}/README.md": index_page(pages)}
    for page in pages:
        files[f"{PAGES}/{page.table.name}.md"] = table_page(page)
        files[f"{DDL}/{page.table.name}.sql"] = _orc_ddl(page.table)
    for source in SOURCES:
        if source.raw_format is not None:
            files[f"{DDL}/{source.raw_name}.sql"] = _raw_ddl(source, source.raw_format)
    return files


def stale_files(root: Path) -> list[str]:
    """What is wrong with the files below a project's folder, one line a file; empty when all are fresh."""
    files, said = generated_files(), []
    for path, text in sorted(files.items()):
        if not (root / path).is_file():
            said.append(f"{path}: is missing")
        elif (root / path).read_bytes() != text.encode():
            said.append(f"{path}: is not what its table's record says")
    return said + [f"{path}: is of no table" for path in _left_over(root, files)]


def write_files(root: Path) -> list[str]:
    """Writes what is not fresh and removes generated files of tables that are no more; the paths that changed."""
    files, changed = generated_files(), []
    for path, text in sorted(files.items()):
        if not (root / path).is_file() or (root / path).read_bytes() != text.encode():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text.encode())
            changed.append(path)
    for path in _left_over(root, files):
        (root / path).unlink()
        changed.append(path)
    return changed


def _left_over(root: Path, files: dict[str, str]) -> list[str]:
    """Files that say of themselves that they are generated, and are not."""
    found = [*(root / PAGES).glob("*.md"), *(root / DDL).glob("*.sql")]
    names = {path.relative_to(root).as_posix(): path for path in found}
    return sorted(name for name, path in names.items() if name not in files and MARK in path.read_bytes())


def _source_page(source: Source) -> Page:
    first, *others = (f"`{name}`" for name in source.identity)
    named = f"an event, named by its {first}" + (f" with {', '.join(others)}" if others else "")
    one_row = f"{named}; copies are dropped and counted, an event without {first} is nobody's copy"
    return Page(source.table, f"`{source.raw_name}`: {source.doc}", one_row)


def _orc_ddl(table: Table) -> str:
    day = parse_day(EXAMPLE_DAY)
    location = f"{LAKE}/{version_folder(table.name, day, '20230711T023000000000Z-0a1b2c3d')}/"
    days = [add_partition(table, day_of(day), location), set_location(table, day_of(day), location)]
    return _file(create_orc_table(table), "A day is one partition, at the folder of its published version:", days)


def _raw_ddl(source: Source, raw: RawFormat) -> str:
    table, key = raw_table(source), source.parse_key(raw.example_key)
    assert isinstance(key, SourceKey)
    names = [column.name for column in table.partition_columns]
    values = dict(zip(names, (source.name, *key.partition), strict=True))
    added = add_partition(table, values, f"{TRAIL}/{key.folder}")
    return _file(create_raw_table(table, raw), "A folder of deliveries is one partition, where it lies:", [added])


def _file(statement: str, words: str, examples: list[str]) -> str:
    """Comments first and the statement last, one semicolon in all: Athena takes one statement at a time."""
    comments = [NOTICE, "How to use it: README.md beside this file.", words, *(f"  {one}" for one in examples)]
    return "".join(f"-- {line}\n" for line in comments) + statement + ";\n"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not fresh.")
@click.option("--root", type=click.Path(path_type=Path), default=PROJECT, help="The project's folder.")
def main(check: bool, root: Path) -> None:
    """Write the tables' pages and their DDL from the records."""
    if not check:
        for path in write_files(root):
            click.echo(path)
        return
    if stale := stale_files(root):
        raise click.ClickException("\n".join(["generated files are not fresh:", *stale, "`make docs` writes them"]))


if __name__ == "__main__":
    main()
