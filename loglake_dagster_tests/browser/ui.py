"""Ways through the web UI that tests and pictures share."""

from typing import Any

GROUPS = "global@global:raw,global@global:readready,global@global:sessions"


def open_lineage(page: Any) -> Any:
    """The graph of all assets, groups unfolded; returns the graph's own element."""
    page.goto(f"/asset-groups?expanded={GROUPS}", wait_until="domcontentloaded")
    graph = page.locator("svg:has(foreignObject)").first
    graph.get_by_text("from_cloudtrail_readready").first.wait_for()
    graph.get_by_text("1 / 1 Passed").or_(graph.get_by_text("0 / 1 Passed")).first.wait_for()
    return graph


def open_partition(page: Any, asset: str, day: str) -> Any:
    """A day's page of an asset; waits for what its materialisation says."""
    page.goto(f"/assets/{asset}?view=partitions&partition={day}", wait_until="domcontentloaded")
    page.get_by_text("dagster/partition_row_count").wait_for()
    return page.locator("body")


def open_check_partitions(page: Any, asset: str) -> None:
    """The days of an asset's check, those left out that were never checked."""
    page.goto(f"/assets/{asset}?view=checks", wait_until="domcontentloaded")
    page.get_by_text("Execution history").wait_for()
    page.get_by_role("tab", name="Partitions").last.click()
    page.get_by_text("Missing (").click()
    page.get_by_text("4 Partitions Selected").wait_for()
