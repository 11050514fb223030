"""One UI and one browser for all tests of this folder; a page a test."""

import shutil

import pytest

from loglake_dagster_tests.browser.server import make_lake, serve

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """Where the UI answers."""
    with serve(make_lake(tmp_path_factory.mktemp("ui"))) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "the browser tests need chromium: make test-ui installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page that opens addresses of the UI. A dialog is what no page may open."""
    dialogs = []
    context = browser.new_context(base_url=address, viewport={"width": 1600, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert dialogs == []
