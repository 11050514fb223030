"""`loglake query`: three formats, DuckDB's own words for mistakes, and no way out of the published tables."""

import csv
import io
import json

import pytest

from loglake_dagster.config import load_settings
from loglake_dagster.engines.lake import open_lake
from loglake_dagster.engines.query import run_query
from loglake_dagster.errors import LogLakeError
from loglake_dagster_tests.cli.process import plain

CASE = "sessionid = '0d9e8c7b6a5f41320'"


@pytest.fixture
def ask(demo):
    return lambda *arguments, **environment: demo[0].loglake("query", *arguments, **environment)


def test_a_table_for_people(ask):
    result = ask("select keystroke_status, count(*) as n from sessions group by all order by n desc, 1")
    assert (result.code, result.err) == (0, "")
    table = [line.split() for line in result.lines if line.strip()]
    assert table[0] == ["keystroke_status", "n"]
    assert table[2:4] == [["captured", "5"], ["not_loggable", "2"]]
    assert result.lines[-1] == "6 rows (read: 1 stripe of 12 rows)"
    assert ask("select 1 as one").lines[-1] == "1 row"
    # Of a day that is not there, and of an id that no filter knows, nothing is read.
    assert ask("select 1 from sessions where eventday = '2023-07-09'").lines[-1] == "0 rows"
    assert ask("select 1 from from_cloudtrail_readready where eventid = 'none'").lines[-1] == "0 rows"
    assert ask(f"select eventtime from sessions where {CASE}").lines[-1] == "1 row (read: 1 stripe of 12 rows)"


def test_json_is_a_list_of_objects_with_utc_times(ask):
    sql = (
        "select eventtime, eventday, lines, statusasof, mfaauthenticated, sessiondata from sessions order by eventtime"
    )
    result = ask("--format", "json", sql)
    rows = json.loads(result.out)
    assert len(rows) == 12
    assert rows[0] | {"sessiondata": None} == {
        "eventtime": "2023-07-10T09:12:04Z",
        "eventday": "2023-07-10",
        "lines": 13,
        "statusasof": None,
        "mfaauthenticated": "false",
        "sessiondata": None,
    }
    assert rows[9]["eventtime"] == "2023-07-10T17:26:10.031000Z"
    assert rows[10]["statusasof"] == "2023-07-11T00:30:00Z"
    assert rows[3]["sessiondata"].startswith("\x1b]0;ssm-user@web-1:~\x07sh-5.2$ id\n")
    assert result.out.isascii()
    assert "\x1b" not in result.out
    assert json.loads(ask("--format", "json", "select * from sessions where false").out) == []


def test_json_has_a_word_for_every_value(ask):
    sql = """select sum(1) as total, 1.25::decimal(5, 2) as part, 'nan'::double as nan, now() as moment,
             [1, null] as list, {'a': date '2023-07-10'} as nested, interval 1 day as span, 'a'::blob as data,
             170141183460469231731687303715884105727::hugeint as huge from sessions"""
    (row,) = json.loads(ask("--format", "json", sql).out, parse_constant=pytest.fail)
    assert row.pop("moment").endswith("Z")
    assert row.pop("span")
    assert row == {
        "total": 12,
        "part": 1.25,
        "nan": "nan",
        "list": [1, None],
        "nested": {"a": "2023-07-10"},
        "data": "61",
        "huge": 170141183460469231731687303715884105727,
    }


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_columns_of_one_name_are_all_told(ask, form):
    """A join has them on both sides; rows as dicts once kept the last value only, under both names."""
    result = ask("--format", form, "select 1 as a, 2 as a, 3 as a_1, 4 as A")
    if form == "json":
        assert json.loads(result.out) == [{"a": 1, "a_2": 2, "a_1": 3, "A": 4}]
    elif form == "csv":
        assert result.out == "a,a_2,a_1,A\n1,2,3,4\n"
    else:
        assert [line.split() for line in result.lines if line.strip()][2] == ["1", "2", "3", "4"]


def test_csv_is_verbatim_in_a_pipe(ask):
    result = ask("--format", "csv", f"select sessionid, sessiondata, errorcode, lines from sessions where {CASE}")
    header, row = csv.reader(io.StringIO(result.out))
    assert header == ["sessionid", "sessiondata", "errorcode", "lines"]
    assert row[0::2] == ["0d9e8c7b6a5f41320", ""]
    assert row[1].startswith("\x1b]0;ssm-user@web-1:~\x07sh-5.2$ id\n")
    assert '<script src="https://cdn.example.net/c.js"></script>' in row[1]
    assert row[3] == "13"


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_nothing_that_a_log_holds_acts_on_a_terminal(demo, form):
    sql = f'select sessiondata, sessiondata as "\x1b[31mred\x07" from sessions where {CASE}'
    shown = demo[0].terminal("query", "--format", form, sql)
    assert shown.code == 0
    assert "\x1b" not in plain(shown.out)
    assert "\x07" not in shown.out
    assert ("\\u001b]0;ssm" if form == "json" else "\\x1b]0;ssm") in shown.out


def test_a_value_that_is_too_long_says_how_much_was_cut(ask):
    result = ask("select repeat('ab', 100) as long, 'whole' as short")
    (line,) = [line for line in result.lines if "ab" in line]
    assert line.split() == ["ab" * 30 + "...", "+140", "whole"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec 1", 'Parser Error: syntax error at or near "selec"'),
        ("select nope from sessions", 'Binder Error: Referenced column "nope" not found'),
        ("select * from nope", "Catalog Error: Table with name nope does not exist!"),
        ("select 'x'::int", "Conversion Error: Could not convert string 'x' to INT32"),
        ("select error('\x1b[31mred')", "\\x1b[31mred"),
    ],
)
def test_a_wrong_question_is_answered_in_duckdbs_words(ask, sql, words):
    result = ask(sql)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: query: ")
    assert words in result.err
    assert "Traceback" not in result.err


ESCAPES = [
    "select * from read_csv('{secret}')",
    "select * from read_text('{secret}')",
    "select * from read_blob('{secret}')",
    "select * from read_parquet('{secret}')",
    "select * from sniff_csv('{secret}')",
    "select * from '{secret}'",
    "select * from glob('{folder}/*')",
    "select * from read_csv('http://127.0.0.1:1/x')",
    "select 1; select * from read_text('{secret}')",
    "create view v as select * from read_text('{secret}'); select * from v",
    "copy (select 1) to '{folder}/out.csv'",
    "copy sessions from '{secret}'",
    "export database '{folder}/out'",
    "import database '{folder}'",
    "attach '{folder}/out.db'",
    "attach '{catalog}' (type sqlite)",
    "install httpfs",
    "load httpfs",
    "load '{secret}'",
    "set enable_external_access = true",
    "reset enable_external_access",
    "pragma enable_external_access = true",
    "set lock_configuration = false",
    "set allowed_directories = ['/']",
    "create secret s (type s3)",
    "select getenv('HOME')",
]


@pytest.fixture(scope="session")
def lake(demo):
    return open_lake(load_settings(demo[0].path / "loglake.yaml"))


@pytest.mark.parametrize("sql", ESCAPES)
def test_sql_reaches_no_file_no_network_and_no_setting(lake, tmp_path, sql):
    secret = tmp_path / "secret.csv"
    secret.write_text("k3yst0ke\n")
    with pytest.raises(LogLakeError, match="query: ") as caught:
        run_query(lake, sql.format(secret=secret, folder=tmp_path, catalog=lake.settings.catalog_path))
    assert "k3yst0ke" not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "copy (select 1) to 'out.csv'",
        "attach 'out.db'",
        "install httpfs",
    ],
)
def test_what_sql_may_not_do_is_one_line_and_exit_code_2(demo, sql):
    result = demo[0].loglake("query", sql)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith("Error: query: Permission Error: Cannot access ")
    assert line.endswith(" - file system operations are disabled by configuration")


@pytest.mark.parametrize(
    "sql", ["drop view sessions", "create or replace view sessions as select 1", "create table t as select 1"]
)
def test_a_question_changes_nothing_that_the_next_one_sees(lake, sql):
    tables = run_query(lake, "show tables")
    run_query(lake, sql)
    assert run_query(lake, "select count(*) as n from sessions").to_pylist() == [{"n": 12}]
    assert run_query(lake, "show tables") == tables


def test_before_anything_is_published_tables_are_there_and_empty(sample):
    tables = ("from_cloudtrail_readready", "from_cloudwatch_readready", "sessions")
    sql = " union all ".join(f"select count(*) as n, min(eventday) as day from {table}" for table in tables)
    assert sample.loglake("query", "--format", "csv", sql).lines == ["n,day", "0,", "0,", "0,"]
