"""`loglake status`: what is published and how whole it is, for people and for programs."""

import json

DAY = "2023-07-10"
TABLES = ["from_cloudtrail_readready", "from_cloudwatch_readready", "sessions"]


def test_all_days_in_the_order_of_the_lineage(demo):
    result = demo[0].loglake("status")
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.lines if "2023-07-1" in line]
    assert [row[:2] for row in rows] == [
        ["from_cloudtrail_readready", "2023-07-10"],
        ["from_cloudwatch_readready", "2023-07-10"],
        ["from_cloudwatch_readready", "2023-07-11"],
        ["sessions", "2023-07-10"],
    ]
    assert rows[0][2:4] == ["2,915", "99.93%"]
    assert result.lines[0] == "published versions"


def test_one_day_with_its_whole_account(demo):
    result = demo[0].loglake("status", "--day", DAY)
    assert (
        "from_cloudtrail_readready 2023-07-10: account\n69 objects (0 unreadable, 0 partly read)\n2,919 found = "
        in (result.out)
    )
    (gap,) = [line.split() for line in result.lines if line.split()[:2] == ["218007301253", "us-east-1"]]
    assert gap[2:] == ["2,917", "2,919", "2", "99.93%"]
    (missing, *rejects) = [line.split() for line in result.lines if "Made22f56333ffdc.json.gz" in line]
    assert missing[1:] == ["2", "rejected", "2", "counted"]
    assert [row[1:3] for row in rejects] == [["1", "$"], ["2", "$.eventTime"]]
    # In a pipe nothing is folded: an object's name is there to be copied.
    assert missing[0].startswith("file:///")
    assert missing[0].endswith(".json.gz")


def test_json_of_all_days(demo):
    facts = json.loads(demo[0].loglake("status", "--json").out)
    assert [(one["table"], one["day"]) for one in facts][-1] == ("sessions", DAY)
    assert facts[0]["rows"] == 2915
    assert (facts[0]["landed"], facts[0]["expected"], facts[0]["coverage"]) == (2917, 2919, 2917 / 2919)
    assert facts[0]["published"].endswith("Z")
    assert facts[0]["totals"] is None
    assert facts[-1]["statuses"] == {
        "captured": 5,
        "pending": 1,
        "missing": 1,
        "not_loggable": 2,
        "not_started": 2,
        "orphan": 1,
    }


def test_json_of_one_day(demo):
    trail, keystrokes, sessions = json.loads(demo[0].loglake("status", "--day", DAY, "--json").out)
    assert [one["table"] for one in (trail, keystrokes, sessions)] == TABLES
    totals = trail["totals"]
    assert totals["found"] == sum(totals[name] for name in ("landed", "duplicate", "filtered", "other_day", "rejected"))
    assert trail["accounts"] == [
        {
            "account": "218007301253",
            "region": "us-east-1",
            "landed": 2917,
            "expected": 2919,
            "gap": 2,
            "coverage": 2917 / 2919,
        }
    ]
    (missing,) = trail["missing"]
    assert (missing["reason"], missing["estimated"], missing["is_estimate"]) == ("2 rejected", 2, False)
    assert [(one["ordinal"], one["path"], one["expected"], one["got"]) for one in trail["rejects"]] == [
        (1, "$", "a JSON object", "int '42'"),
        (2, "$.eventTime", "an ISO-8601 time", "nothing (missing)"),
    ]
    assert not any(name.startswith("record") for one in trail["rejects"] for name in one)
    assert [(one["account"], one["gap"]) for one in keystrokes["accounts"]] == [("218007301253", 0)]
    assert (sessions["coverage"], sessions["accounts"], sessions["rejects"]) == (None, [], [])


def test_nothing_published(demo, sample):
    for folder, arguments, words in (
        (sample, [], "nothing is published; loglake materialize --day D makes it\n"),
        (
            demo[0],
            ["--day", "2023-07-12"],
            "nothing is published for 2023-07-12; loglake materialize --day D makes it\n",
        ),
    ):
        result = folder.loglake("status", *arguments)
        assert (result.code, result.out, result.err) == (0, words, "")
        assert json.loads(folder.loglake("status", *arguments, "--json").out) == []
