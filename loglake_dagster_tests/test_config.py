"""loglake.yaml: what it means, where it is looked for, and the one line that each mistake gives."""

import datetime as dt
from pathlib import Path

import pytest

from loglake_dagster.config import config_path, dagster_home, load_settings
from loglake_dagster.errors import ConfigError
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.settings import EmrServerless, EngineSettings, Glue, Launch, OrcSettings, Quality, S3Settings
from loglake_dagster.sources import SOURCES

PROJECT = Path(__file__).resolve().parents[1]
SOUND = "lake: ./lake\nfeeds:\n- {source: cloudtrail, uri: ./landing}\n"
SOURCE_NAMES = " or ".join(", ".join(repr(source.name) for source in SOURCES).rsplit(", ", 1))
SECTIONS = "lake, catalog, engine, feeds, controls, quality, partitions, orc, columns, s3"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "loglake.yaml"


def settings_of(file, text):
    file.write_text(text)
    return load_settings(file)


def mistake(file, text):
    """The error of a settings text, without the folder that the file is in."""
    with pytest.raises(ConfigError) as caught:
        settings_of(file, text)
    return caught.value.message.replace(str(file), "loglake.yaml").replace(str(file.parent), "")


def test_the_smallest_file_has_every_default(file):
    settings = settings_of(file, SOUND)
    assert settings.file == file
    assert settings.lake == str(file.parent / "lake")
    assert settings.catalog_path == file.parent / "lake" / "catalog.db"
    (feed,) = settings.feeds
    assert (feed.name, feed.source, feed.uri, feed.log_groups) == (
        "cloudtrail",
        "cloudtrail",
        str(file.parent / "landing"),
        {},
    )
    assert settings.controls == Controls()
    assert settings.quality == Quality(0.9, dt.timedelta(hours=2), dt.timedelta(days=35), 0.9, 90, 20)
    assert settings.engine == EngineSettings("embedded", 0, 1 << 30, 1 << 30, 10 << 20)
    assert settings.orc == OrcSettings("zlib")
    assert settings.s3 == S3Settings(None, None, False)
    assert settings.start == dt.date(2023, 1, 1)


def test_the_projects_own_file_says_the_defaults(file):
    """What the commented file shows is what a file without these keys means."""
    shown = load_settings(PROJECT / "loglake.yaml")
    default = settings_of(file, SOUND)
    for name in ("controls", "quality", "engine", "orc", "s3", "start"):
        assert getattr(shown, name) == getattr(default, name)
    assert shown.lake == str(PROJECT / "lake")
    assert [(feed.source, feed.uri, dict(feed.log_groups)) for feed in shown.feeds] == [
        ("cloudtrail", str(PROJECT / "landing" / "trail"), {}),
        ("cloudwatch", str(PROJECT / "landing" / "firehose"), {"session": ("/aws/ssm/sessionlogs",)}),
    ]


def test_every_key_is_read(file):
    settings = settings_of(
        file,
        """
lake: s3://bucket/lake/
catalog: {type: sqlite, path: here/catalog.db}
engine: {type: embedded, workers: 3, memory_limit: 512MB, max_object_bytes: 2 GB, part_bytes: 1048576}
feeds:
  - {source: cloudtrail, uri: s3://org-a/prefix, name: org-a}
  - {source: cloudtrail, uri: s3://org-b}
  - {source: cloudwatch, uri: /abs/firehose, log_groups: {session: [/a/*, /b]}}
controls:
  accounts: {allow: ["1111*"], deny: ["111122223333"]}
  regions: {deny: [us-gov-*]}
  keys: {deny: ["*/sandbox/*"]}
  event_sources: {allow: [ssm.amazonaws.com]}
  event_names: {deny: [Describe*]}
  log_groups: {allow: [/aws/*]}
quality: {coverage: 1, captured: 0.5, lateness: 90m, horizon: 7d, sla_minutes: 0, recount_objects: 7}
partitions: {start: 2026-03-01}
orc: {compression: zstd}
s3: {endpoint: "http://127.0.0.1:9000", region: eu-west-1, allow_http: true}
""",
    )
    assert settings.lake == "s3://bucket/lake"
    assert settings.catalog_path == file.parent / "here" / "catalog.db"
    assert settings.engine == EngineSettings("embedded", 3, 512 << 20, 2 << 30, 1 << 20)
    assert [(feed.name, feed.source, feed.uri, feed.log_groups) for feed in settings.feeds] == [
        ("org-a", "cloudtrail", "s3://org-a/prefix", {}),
        ("cloudtrail-2", "cloudtrail", "s3://org-b", {}),
        ("cloudwatch", "cloudwatch", "/abs/firehose", {"session": ("/a/*", "/b")}),
    ]
    assert settings.controls == Controls(
        accounts=Rule(("1111*",), ("111122223333",)),
        regions=Rule((), ("us-gov-*",)),
        keys=Rule((), ("*/sandbox/*",)),
        event_sources=Rule(("ssm.amazonaws.com",), ()),
        event_names=Rule((), ("Describe*",)),
        log_groups=Rule(("/aws/*",), ()),
    )
    assert settings.quality == Quality(1.0, dt.timedelta(minutes=90), dt.timedelta(days=7), 0.5, 0, 7)
    assert settings.start == dt.date(2026, 3, 1)
    assert settings.orc == OrcSettings("zstd")
    assert settings.s3 == S3Settings("http://127.0.0.1:9000", "eu-west-1", True)
    assert [feed.name for feed in settings.feeds_of("cloudtrail")] == ["org-a", "cloudtrail-2"]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("./lake", "{here}/lake"),
        ("lake/", "{here}/lake"),
        ("../elsewhere", "{above}/elsewhere"),
        ("/abs/lake", "/abs/lake"),
        ("file:///abs/a%20lake/", "/abs/a lake"),
        ("a%20lake", "{here}/a%20lake"),
        ("~/lake", "{home}/lake"),
    ],
)
def test_paths_are_those_of_the_files_folder(file, monkeypatch, written, path):
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.chdir("/")
    lake = path.format(here=file.parent, above=file.parent.parent, home="/home/ana")
    settings = settings_of(file, SOUND.replace("./lake", written))
    assert settings.lake == lake
    assert settings.catalog_path == Path(lake) / "catalog.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: file: expected keys with values, got nothing"),
        ("5", "1: file: expected keys with values, got 5"),
        ("[]", "1: file: expected keys with values, got []"),
        ("feeds: []\n", "1: lake: expected a value, got nothing (missing)"),
        ("lake: ./lake\n", "1: feeds: expected a value, got nothing (missing)"),
        ("lake: ./lake\nfeeds: []\n", "2: feeds: expected at least one feed, got an empty list"),
        ("lake: ./lake\nfeeds: {a: b}\n", "2: feeds: expected a list, as [a, b], got {'a': 'b'}"),
        ("lake: ./lake\nfeeds:\n- cloudtrail\n", "3: feeds[0]: expected keys with values, got 'cloudtrail'"),
        ("lake: [\n", "2: not YAML: expected the node content, but found '<stream end>'"),
        ("a: &a [*a]\n", "1: a[0][0]: too deep; does an alias hold itself?"),
        ("lake: 2026-13-45\n", "1: feeds: expected a value, got nothing (missing)"),
    ],
)
def test_a_file_that_is_none(file, text, message):
    assert mistake(file, text) == f"loglake.yaml:{message}"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        # unknown, twice, no key at all
        ("nope: 1", f"4: nope: unknown key; accepted here: {SECTIONS}"),
        ("a.b: 1", f"4: a.b: unknown key; accepted here: {SECTIONS}"),
        ('"a\\e[31mb": 1', f"4: 'a\\x1b[31mb': unknown key; accepted here: {SECTIONS}"),
        ("quality: {covrage: 1}", "4: quality.covrage: unknown key; accepted here: coverage, captured, lateness, "
         "horizon, sla_minutes, recount_objects"),
        ("controls: {accounts: {denied: []}}", "4: controls.accounts.denied: unknown key; accepted here: allow, deny"),
        ("- {source: cloudtrail, url: x}", "4: feeds[1].url: unknown key; accepted here: source, uri, name, "
         "log_groups, account, region (1 more after it)"),
        ("- {source: cloudwatch, uri: x, log_groups: {sesion: [x]}}",
         "4: feeds[1].log_groups.sesion: unknown key; accepted here: session"),
        ("quality: {coverage: 7}\nnope: 1", "4: quality.coverage: expected at most 1, got 7 (1 more after it)"),
        ("lake: other", "4: lake: given twice (first in line 1)"),
        ("quality: {coverage: 0.5,\n  coverage: 0.6}", "5: quality.coverage: given twice (first in line 4)"),
        ("1: x", "4: file: expected text as a key, got '1'"),
        ("? [a, b]\n: c", "4: file: expected text as a key, got 'SequenceNode'"),
        ("controls:", "4: controls: expected keys with values, got nothing"),
        ("catalog: sqlite", "4: catalog: expected keys with values, got 'sqlite'"),
        # YAML
        ("\tx: 1", "4: not YAML: found character '\\t' that cannot start any token"),
        ("x: *nope", "4: not YAML: found undefined alias 'nope'"),
        ("x: !!python/object:os.system {}",
         "4: not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'"),
        # numbers: none are guessed from something else
        ("quality: {coverage: 90}", "4: quality.coverage: expected at most 1, got 90"),
        ("quality: {coverage: 90%}", "4: quality.coverage: expected a number, got '90%'"),
        ("quality: {coverage: '0.9'}", "4: quality.coverage: expected a number, got '0.9'"),
        ("quality: {coverage: true}", "4: quality.coverage: expected a number, got True"),
        ("quality: {coverage: .nan}", "4: quality.coverage: expected at most 1, got nan"),
        ("quality: {captured: -0.1}", "4: quality.captured: expected at least 0, got -0.1"),
        ("quality: {sla_minutes: 90.5}", "4: quality.sla_minutes: expected a whole number, got 90.5"),
        ("quality: {sla_minutes: 1441}", "4: quality.sla_minutes: expected at most 1440, got 1441"),
        ("quality: {recount_objects: all}", "4: quality.recount_objects: expected a whole number, got 'all'"),
        ("engine: {workers: -1}", "4: engine.workers: expected at least 0, got -1"),
        ("engine: {workers: true}", "4: engine.workers: expected a whole number, got True"),
        ("engine: {type: spark, master: 7077}", "4: engine.master: expected text, got 7077 (int); put it in quotes"),
        ("engine: {type: spark, conf: [a]}",
         "4: engine.conf: expected Spark's settings, as {spark.executor.memory: 2g}, got ['a']"),
        ("engine: {type: spark, conf: {a: {b: 2g}}}",
         "4: engine.conf: expected Spark's settings, as {spark.executor.memory: 2g}, got {'a': {'b': '2g'}}"),
        ("engine: {master: yarn}", "4: engine.master: only for engine.type spark"),
        ("engine: {type: embedded, spark_above: 50GB}", "4: engine.spark_above: only for engine.type spark"),
        ("s3: {allow_http: maybe}", "4: s3.allow_http: expected true or false, got 'maybe'"),
        # spans, sizes, days
        ("quality: {lateness: 2}", "4: quality.lateness: expected a time span such as 90m, 2h or 1d, got 2"),
        ("quality: {lateness: 99999999999d}",
         "4: quality.lateness: expected a time span such as 90m, 2h or 1d, got '99999999999d'"),
        ("engine: {memory_limit: 1.5GB}", "4: engine.memory_limit: expected a size such as 512MB or 2GB, got '1.5GB'"),
        ("engine: {memory_limit: 0}", "4: engine.memory_limit: expected more than 0, got 0"),
        ("partitions: {start: soon}", "4: partitions.start: expected a day such as 2026-11-01, got 'soon'"),
        ("partitions: {start: 2023-13-01}", "4: partitions.start: expected a day such as 2026-11-01, got '2023-13-01'"),
        ("partitions: {start: 0}", "4: partitions.start: expected a day such as 2026-11-01, got 0"),
        # one of a few
        ("engine: {type: flink}", "4: engine.type: expected 'embedded' or 'spark', got 'flink'"),
        ("catalog: {type: glue}", "4: catalog.type: expected 'sqlite', got 'glue'"),
        (
            "orc: {compression: gzip}",
            "4: orc.compression: expected 'zlib', 'zlib_small', 'zstd' or 'zstd_small', got 'gzip'",
        ),
        # text, lists
        ("s3: {region: 5}", "4: s3.region: expected text, got 5 (int); put it in quotes"),
        ("controls: {accounts: {deny: [123456789012]}}",
         "4: controls.accounts.deny[0]: expected text, got 123456789012 (int); put it in quotes"),
        ("controls: {accounts: {deny: [~]}}", "4: controls.accounts.deny[0]: expected text, got nothing"),
        ("controls: {accounts: {deny: ['']}}", "4: controls.accounts.deny[0]: expected some text, got ''"),
        ("controls: {accounts: {deny: x}}", "4: controls.accounts.deny: expected a list, as [a, b], got 'x'"),
        # feeds
        ("- {source: cloudtrial, uri: x}", f"4: feeds[1].source: expected {SOURCE_NAMES}, got 'cloudtrial'"),
        ("- {source: cloudtrail, uri: x, name: Big}",
         "4: feeds[1].name: expected lower case letters, digits, - and _, a letter first, got 'Big'"),
        ("- {source: cloudwatch, uri: x, name: cloudtrail}",
         "4: feeds[1].name: expected a name of its own, got 'cloudtrail' twice"),
        ("- {source: cloudtrail, uri: x, log_groups: {session: [x]}}",
         "4: feeds[1].log_groups: only a cloudwatch feed has log groups"),
        ("- {source: cloudtrail, uri: x, account: '111122223333'}",
         "4: feeds[1].account: only for feeds of ssm_s3: the others' keys or records say it"),
        ("- {source: cloudwatch, uri: x, region: eu-west-1}",
         "4: feeds[1].region: only for feeds of ssm_s3: the others' keys or records say it"),
        ("- {source: ssm_s3, uri: x, account: 111122223333}",
         '4: feeds[1].account: expected 12 digits in quotes, as "111122223333", got 111122223333'),
        ("- {source: ssm_s3, uri: x, account: '1111 2222 3333'}",
         '4: feeds[1].account: expected 12 digits in quotes, as "111122223333", got \'1111 2222 3333\''),
        # places
        ("- {source: cloudtrail, uri: gs://x}",
         "4: feeds[1].uri: expected a path, file:///path or s3://bucket, got 'gs://x'"),
        ("- {source: cloudtrail, uri: 's3:///x'}",
         "4: feeds[1].uri: expected a path, file:///path or s3://bucket, got 's3:///x'"),
        ('- {source: cloudtrail, uri: "a\\0b"}',
         "4: feeds[1].uri: expected a path, got 'a\\x00b' (embedded null byte)"),
        ("- {source: cloudtrail, uri: lake/raw}",
         "4: feeds[1].uri: expected a place outside the lake, got /lake/raw (the lake is /lake)"),
        ("- {source: cloudtrail, uri: landing/AWSLogs}",
         "4: feeds[1].uri: expected a place that no other cloudtrail feed reads, got /landing/AWSLogs (feed "
         "cloudtrail reads /landing)"),
        ("- {source: cloudtrail, uri: .}",
         "4: feeds[1].uri: expected a place outside the lake, got  (the lake is /lake)"),
        ("catalog: {path: 's3://b/c.db'}",
         "4: catalog.path: expected a path on this machine for the sqlite catalog, got 's3://b/c.db'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_place_value_and_what_is_accepted(file, added, message):
    assert mistake(file, SOUND + added) == f"loglake.yaml:{message}"


ON_S3 = "lake: s3://lake/prod\ncatalog: {path: ./c.db}\nfeeds:\n- {source: cloudtrail, uri: s3://logs/trail}\n"
EMR = "emr_serverless: {application_id: 00f1, role_arn: 'arn:aws:iam::1:role/r', package: s3://tools/loglake/}"
GLUE = "glue: {job_name: loglake}"


def test_where_the_work_of_spark_is_done(file):
    engine = settings_of(file, f"{ON_S3}engine: {{type: spark, launch: {{messages: messages, {EMR}}}}}\n").engine
    assert engine.master is None
    assert engine.launch == Launch("messages", EmrServerless("00f1", "arn:aws:iam::1:role/r", "s3://tools/loglake"))
    engine = settings_of(file, f"{ON_S3}engine: {{type: spark, launch: {{messages: messages, {GLUE}}}}}\n").engine
    assert engine.launch == Launch("messages", glue=Glue("loglake"))


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (f"type: embedded, launch: {{messages: m1, {GLUE}}}", "5: engine.launch: only for engine.type spark"),
        ("type: spark, launch: {messages: m1}", "5: engine.launch: expected one of emr_serverless and glue"),
        (f"type: spark, launch: {{messages: m1, {GLUE}, {EMR}}}",
         "5: engine.launch: expected one of emr_serverless and glue"),
        (f"type: spark, launch: {{messages: 's3://m1', {GLUE}}}",
         "5: engine.launch.messages: expected the name of a bucket, without s3://, got 's3://m1'"),
        (f"type: spark, launch: {{{GLUE}}}", "5: engine.launch.messages: expected a value, got nothing (missing)"),
        (f"type: spark, launch: {{messages: m1, {EMR.replace('s3://tools', '/tools')}}}",
         "5: engine.launch.emr_serverless.package: expected s3://bucket/prefix, got '/tools/loglake/'"),
        ("type: spark, launch: {messages: m1, glue: {job: loglake}}",
         "5: engine.launch.glue.job: unknown key; accepted here: job_name (1 more after it)"),
        (f"type: spark, master: yarn, launch: {{messages: m1, {GLUE}}}",
         "5: engine.master: not with engine.launch, whose service names the master"),
        (f"type: spark, conf: {{spark.driver.extraJavaOptions: -Da=b -Dc=d}}, launch: {{messages: m1, {GLUE}}}",
         "5: engine.conf: expected values without blanks for Glue, got spark.driver.extraJavaOptions: '-Da=b -Dc=d'"),
    ],
)  # fmt: skip
def test_a_launch_that_cannot_be(file, engine, message):
    assert mistake(file, f"{ON_S3}engine: {{{engine}}}\n") == f"loglake.yaml:{message}"


def test_a_launch_reaches_what_is_on_s3_alone(file):
    engine = f"engine: {{type: spark, launch: {{messages: m1, {GLUE}}}}}\n"
    assert mistake(file, SOUND + engine) == (
        "loglake.yaml:1: lake: expected s3://bucket/prefix, which engine.launch can reach, got /lake"
    )
    assert mistake(file, ON_S3.replace("s3://logs", "./logs") + engine) == (
        "loglake.yaml:4: feeds[0].uri: expected s3://bucket/prefix, which engine.launch can reach, got /logs/trail"
    )


def test_sparks_own_settings_are_texts_whatever_yaml_takes_them_for(file):
    settings = settings_of(
        file,
        SOUND + "engine: {type: spark, master: 'spark://m:7077', spark_above: 50GB, conf: {spark.ui.enabled: true, "
        "spark.executor.cores: 2, spark.memory.fraction: 0.5, spark.executor.memory: 2g}}",
    )
    assert (settings.engine.type, settings.engine.master, settings.engine.spark_above) == (
        "spark",
        "spark://m:7077",
        50 << 30,
    )
    assert settings.engine.conf == {
        "spark.ui.enabled": "true",
        "spark.executor.cores": "2",
        "spark.memory.fraction": "0.5",
        "spark.executor.memory": "2g",
    }
    assert settings_of(file, SOUND + "engine: {type: spark, master: null}").engine.master is None


def test_the_feed_of_a_log_that_says_no_account_may_say_it(file):
    settings = settings_of(
        file,
        SOUND + "- {source: ssm_s3, uri: a, account: '011122223333', region: eu-west-1}\n- {source: ssm_s3, uri: b}",
    )
    assert [(feed.name, feed.account, feed.region) for feed in settings.feeds] == [
        ("cloudtrail", None, None),
        ("ssm_s3", "011122223333", "eu-west-1"),
        ("ssm_s3-2", None, None),
    ]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("s3://bucket/firehose", "s3://bucket/firehose/processing-failed/"),
        ("s3://bucket", "s3://bucket/firehose/errors/processing-failed2026"),
        ("./landing", "./landing/decompression-failed/"),
    ],
)
def test_a_folder_that_a_feed_passes_over_may_be_a_feeds_own(file, outer, inner):
    feeds = [f"- {{source: cloudwatch, uri: {uri}}}\n" for uri in (outer, inner)]
    for order in (feeds, feeds[::-1]):
        settings = settings_of(file, f"lake: ./lake\nfeeds:\n{''.join(order)}")
        assert [feed.name for feed in settings.feeds] == ["cloudwatch", "cloudwatch-2"]
    assert "expected a place that no other cloudwatch feed reads" in mistake(
        file, f"lake: ./lake\nfeeds:\n{feeds[0]}{feeds[1].replace('-failed', '-done')}"
    )
    assert "expected a place that no other cloudwatch feed reads" in mistake(
        file, f"lake: ./lake\nfeeds:\n{feeds[1]}{feeds[1]}"
    )


def test_the_only_feed_is_judged_by_its_own_mistake(file):
    """A list of one wrong feed once counted as an empty list."""
    text = "lake: ./lake\nfeeds:\n- {source: cloudtrial, uri: x}\n"
    assert mistake(file, text) == (f"loglake.yaml:3: feeds[0].source: expected {SOURCE_NAMES}, got 'cloudtrial'")


def test_a_lake_on_s3_needs_a_place_for_its_catalog(file):
    text = SOUND.replace("./lake", "s3://bucket/lake")
    assert mistake(file, text) == (
        "loglake.yaml:1: catalog.path: expected a path for the sqlite catalog of a lake on s3, got nothing (missing)"
    )


def test_a_lake_is_never_inside_a_feed_however_it_is_written(file):
    lake = (file.parent / "a b").as_uri()
    assert "feeds[0].uri: expected a place outside the lake" in mistake(
        file, f"lake: {lake}\nfeeds:\n- {{source: cloudtrail, uri: './a b/raw'}}\n"
    )


def test_no_file_is_an_error_that_says_what_to_do(file):
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert caught.value.message == (
        f"{file}: no such settings file; write one (see the commented loglake.yaml of the project), name one with "
        "--config FILE or set LOGLAKE_CONFIG"
    )


def test_a_file_that_cannot_be_read_is_an_error(file):
    file.write_bytes(b"lake: \xff\n")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text: 'utf-8' codec can't decode byte 0xff"):
        load_settings(file)
    with pytest.raises(ConfigError, match=r"cannot be read as UTF-8 text: \[Errno 21\] Is a directory"):
        load_settings(file.parent)


def test_the_given_file_goes_before_the_variable_and_that_before_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOGLAKE_CONFIG", raising=False)
    assert config_path() == tmp_path / "loglake.yaml"
    monkeypatch.setenv("LOGLAKE_CONFIG", "other.yaml")
    assert config_path() == tmp_path / "other.yaml"
    assert config_path("/given.yaml") == Path("/given.yaml")


def test_dagsters_folder_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert dagster_home(Path("/project/loglake.yaml")) == Path("/project/.dagster_home")
    monkeypatch.setenv("DAGSTER_HOME", "home")
    assert dagster_home(Path("/project/loglake.yaml")) == tmp_path / "home"
