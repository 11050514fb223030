"""Generated files: fresh in this tree, made for every table, and missed by the check when a sentence changes."""

from dataclasses import replace

import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

from loglake_dagster import generate
from loglake_dagster.engines.raw import raw_table
from loglake_dagster.kernels.hive_ddl import COMMENT_BYTES
from loglake_dagster.sessions.record import TABLE as SESSIONS
from loglake_dagster.sources import SOURCES
from loglake_dagster.sources.cloudtrail import SOURCE

READ = {**{source.readready_name: source.table for source in SOURCES}, SESSIONS.name: SESSIONS}
RAW = {source.raw_name: raw_table(source) for source in SOURCES if source.raw_format}
FILES = generate.generated_files()
DDL = {path: text for path, text in FILES.items() if path.endswith(".sql")}


def command(*arguments):
    done = CliRunner().invoke(generate.main, arguments)
    return done.exit_code, done.output


def documented(table):
    """The source with another record, as if somebody had changed its sentence."""
    return tuple(replace(source, table=table) if source.name == SOURCE.name else source for source in SOURCES)


def changed_table():
    first, *others = SOURCE.table.columns
    return replace(SOURCE.table, columns=(replace(first, doc="Another sentence."), *others))


def test_the_files_of_this_tree_are_fresh():
    assert generate.stale_files(generate.PROJECT) == []
    assert command("--check") == (0, "")


def test_every_table_has_its_page_and_its_ddl():
    pages = {f"docs/tables/{name}.md" for name in READ} | {"docs/tables/README.md"}
    assert set(FILES) == pages | {f"deploy/athena/{name}.sql" for name in (*READ, *RAW)}
    assert set(RAW) == {"from_cloudtrail_raw"}


@pytest.mark.parametrize("dialect", ["hive", "athena"])
@pytest.mark.parametrize("path", DDL)
def test_each_ddl_is_one_statement_that_hives_grammar_knows(path, dialect):
    text = DDL[path]
    assert text.count(";") == 1
    (tree,) = [
        one for one in sqlglot.parse(text, dialect=dialect) if one is not None and not isinstance(one, exp.Semicolon)
    ]
    assert isinstance(tree, exp.Create)
    name = path.removeprefix("deploy/athena/").removesuffix(".sql")
    table = {**READ, **RAW}[name]
    assert (tree.this.this.db, tree.this.this.name) == ("loglake", name)
    if name in READ:
        assert [one.name for one in tree.this.expressions] == list(table.column_names)
        kinds = {one.name: one.kind.sql(dialect="hive").lower() for one in tree.this.expressions}
        assert kinds == {column.name: column.hive_type for column in table.columns}
        assert "STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'" in text
    partitions = tree.find(exp.PartitionedByProperty).this.expressions
    assert [one.name for one in partitions] == [column.name for column in table.partition_columns]
    for comment in tree.find_all(exp.CommentColumnConstraint):
        assert 0 < len(comment.this.name.encode()) <= COMMENT_BYTES


@pytest.mark.parametrize("path", DDL)
def test_the_partition_statements_in_the_comments_are_statements(path):
    shown = [line.removeprefix("--   ") for line in DDL[path].splitlines() if line.startswith("--   ")]
    assert len(shown) == (1 if path.endswith("_raw.sql") else 2)
    for statement in shown:
        tree = sqlglot.parse_one(statement, dialect="athena")
        assert isinstance(tree, exp.Alter)
        assert any(one.name.startswith("s3://") and one.name.endswith("/") for one in tree.find_all(exp.Literal))


@pytest.mark.parametrize("path", [path for path in FILES if path.endswith(".md")])
def test_the_questions_for_athena_are_in_its_dialect(path):
    for line in FILES[path].splitlines():
        if line.startswith("select "):
            assert isinstance(sqlglot.parse_one(line.rstrip(";"), dialect="athena"), exp.Select)


def test_a_changed_sentence_fails_the_check_until_the_files_are_written(tmp_path, monkeypatch):
    assert command("--root", str(tmp_path)) == (0, "".join(f"{path}\n" for path in sorted(FILES)))
    assert command("--root", str(tmp_path), "--check") == (0, "")
    monkeypatch.setattr(generate, "SOURCES", documented(changed_table()))
    code, said = command("--root", str(tmp_path), "--check")
    assert code == 1
    assert said == (
        "Error: generated files are not fresh:\n"
        "deploy/athena/from_cloudtrail_readready.sql: is not what its table's record says\n"
        "docs/tables/from_cloudtrail_readready.md: is not what its table's record says\n"
        "`make docs` writes them\n"
    )
    changed = ["deploy/athena/from_cloudtrail_readready.sql", "docs/tables/from_cloudtrail_readready.md"]
    assert command("--root", str(tmp_path)) == (0, "".join(f"{path}\n" for path in changed))
    assert command("--root", str(tmp_path), "--check") == (0, "")
    assert "Another sentence." in (tmp_path / changed[1]).read_text()


def test_missing_and_left_over_files_fail_the_check_and_a_file_by_hand_stays(tmp_path):
    generate.write_files(tmp_path)
    (tmp_path / "docs/tables/sessions.md").rename(tmp_path / "docs/tables/seances.md")
    (tmp_path / "deploy/athena/README.md").write_text("by hand")
    (tmp_path / "deploy/athena/views.sql").write_text("-- by hand")
    assert generate.stale_files(tmp_path) == [
        "docs/tables/sessions.md: is missing",
        "docs/tables/seances.md: is of no table",
    ]
    assert generate.write_files(tmp_path) == ["docs/tables/sessions.md", "docs/tables/seances.md"]
    assert generate.stale_files(tmp_path) == []
    assert sorted(path.name for path in (tmp_path / "deploy/athena").glob("*")) == sorted(
        ["README.md", "views.sql", *(path.rpartition("/")[2] for path in DDL)]
    )


def test_a_new_source_needs_nothing_here(monkeypatch):
    new = replace(SOURCE, name="other", table=replace(SOURCE.table, name="from_other_readready"))
    monkeypatch.setattr(generate, "SOURCES", (*SOURCES, new))
    files = generate.generated_files()
    assert set(files) - set(FILES) == {
        "docs/tables/from_other_readready.md",
        "deploy/athena/from_other_readready.sql",
        "deploy/athena/from_other_raw.sql",
    }
