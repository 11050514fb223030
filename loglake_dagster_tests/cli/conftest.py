"""A demo lake, built once and only looked at; and folders of one's own to change."""

from pathlib import Path

import pytest

from loglake_dagster_tests.cli.process import demo_folder, sample_folder


def pytest_collection_modifyitems(items):
    """All tests of this folder are of the suite `cli`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cli")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A folder after `loglake demo`, and what that said: only to be looked at."""
    folder = demo_folder(tmp_path_factory.mktemp("demo"))
    result = folder.loglake("demo")
    assert result.code == 0, result.err
    return folder, result


@pytest.fixture
def sample(tmp_path):
    """The sample day delivered, nothing materialised."""
    return sample_folder(tmp_path)
