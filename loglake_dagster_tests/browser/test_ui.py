"""What a person sees in the web UI: the lineage, a day, its check green or red, and hostile text as text."""

import datetime as dt
import re
import time

import pytest
from playwright.sync_api import expect

from loglake_dagster_tests.assets.sample import ASSETS, CLOUDTRAIL
from loglake_dagster_tests.browser.server import ATTACK, HOSTILE, RED, SOUND, ask
from loglake_dagster_tests.browser.ui import open_check_partitions, open_lineage, open_partition

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PNG = b"\x89PNG\r\n\x1a\n"
# What a page says is drawn bit by bit, Markdown from a script of its own: what is there is waited for, never read once.
expect.set_options(timeout=60_000)


def test_the_lineage_shows_the_five_assets(page):
    graph = open_lineage(page)
    for asset in ASSETS:
        expect(graph).to_contain_text(asset)
    for group in ("raw", "readready", "sessions"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()


def test_a_days_page_shows_rows_and_coverage(page):
    body = open_partition(page, CLOUDTRAIL, SOUND)
    for shown in [
        r"dagster/partition_row_count\s+2915\s",
        r"\scoverage\s+0\.99931",
        r"\slanded\s+2917\s",
        r"218007301253\s+us-east-1\s+2917\s+2919\s+2\s+99\.93%",
        r"Made22f56333ffdc\.json\.gz",
        r"Materialized",
    ]:
        expect(body).to_contain_text(re.compile(shown), use_inner_text=True)


def test_a_checks_page_shows_each_day_green_or_red(page):
    open_check_partitions(page, CLOUDTRAIL)
    body = page.locator("body")
    expect(body).to_contain_text("Failed (1)", use_inner_text=True)
    expect(body).to_contain_text("Passed (3)", use_inner_text=True)
    page.get_by_text(RED).first.click()
    why = "landed 0 of 12 source events (0.00%), at least 90% are asked for; not published"
    expect(body).to_contain_text(f"{CLOUDTRAIL} {RED}: {why}", use_inner_text=True)
    expect(body).to_contain_text("DAMAGED000000000.json.gz", use_inner_text=True)
    page.get_by_text(SOUND).first.click()
    page.get_by_text("landed 2917 of 2919 source events (99.93%)").wait_for()


def test_a_day_behind_a_shut_gate_is_not_materialized(page):
    page.goto(f"/assets/{CLOUDTRAIL}?view=partitions&partition={RED}", wait_until="domcontentloaded")
    page.get_by_text("Failed (1)").wait_for()
    page.get_by_text("Materialized (3)").wait_for()


def test_the_preview_of_sessions_runs_nothing_that_a_log_holds(page):
    """The page's own fixture sees to it that no dialog was opened."""
    body = open_partition(page, "sessions", HOSTILE)
    preview = body.locator("tr", has_text="first_sessions").last
    preview.scroll_into_view_if_needed()
    preview.get_by_text("</td><script>alert(1)</script><img src=x onerror=alert(2)>").first.wait_for()
    expect(preview).to_contain_text(ATTACK.partition("\x1b")[0])
    expect(preview).to_contain_text("\\x1b[31m")
    expect(preview).to_contain_text("https:/\u2060/evil.example/")
    assert "\x1b" not in preview.inner_text()
    assert preview.locator("script, img, iframe, object, svg, style, form").count() == 0
    assert preview.locator("a[href]").count() == 0
    assert page.locator("[onerror], [src='x']").count() == 0


@pytest.mark.parametrize("name", ["by_account_and_region", "missing_objects"])
def test_the_coverage_tables_run_nothing_either(page, name):
    body = open_partition(page, "from_cloudwatch_readready", HOSTILE)
    table = body.locator("tr", has_text=name).last
    table.scroll_into_view_if_needed()
    expect(table).to_contain_text("alert")
    assert table.locator("script, img, a[href]").count() == 0
    assert page.locator("[onerror], [src='x']").count() == 0


def test_the_picture_of_the_lineage(page, tmp_path):
    open_lineage(page)
    data = page.screenshot(path=tmp_path / "lineage.png")
    assert data.startswith(PNG)
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1600, 900)
    assert 20_000 < len(data) < 500_000


def test_a_whole_preview_opens_in_a_dialog(page):
    body = open_partition(page, "sessions", SOUND)
    body.locator("tr", has_text="first_sessions").last.get_by_text("Show Markdown").click()
    table = page.locator("[role=dialog]").last
    expect(table).to_contain_text("TargetNotConnected")
    expect(table).to_contain_text("INC-2041: orders answers 502")


def test_a_day_can_be_materialized_from_the_ui(page, address):
    """The button, the daemon's queue and a process of its own, as after `make up`."""
    today = dt.datetime.now(dt.timezone.utc).date()
    page.goto("/assets/from_cloudwatch_raw?view=partitions", wait_until="domcontentloaded")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.locator("[role=dialog]").last
    dialog.get_by_role("button", name="Latest").click()
    dialog.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text("Launched run").first.wait_for()
    asked = '{runsOrError(filter: {tags: {key: "dagster/from_ui", value: "true"}}) {... on Runs {results {status}}}}'
    end = time.monotonic() + 180
    while ask(address, asked)["runsOrError"]["results"] != [{"status": "SUCCESS"}]:
        assert time.monotonic() < end
        time.sleep(1)
    page.goto(f"/assets/from_cloudwatch_raw?view=partitions&partition={today}", wait_until="domcontentloaded")
    page.get_by_text("new_partitions").wait_for()
