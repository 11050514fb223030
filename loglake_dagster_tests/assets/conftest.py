"""Projects with an instance of their own, which ends with the test."""

import pytest

from loglake_dagster_tests.assets.sample import CLOUDWATCH, DAY, NEXT_DAY, opened_project


@pytest.fixture
def project(tmp_path):
    """The sample day, delivered; nothing materialised."""
    with opened_project(tmp_path) as project:
        yield project


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(project, result of the sample day's run), with the keystrokes of the next day there: only to be looked at."""
    with opened_project(tmp_path_factory.mktemp("whole")) as project:
        assert project.run(NEXT_DAY, "from_cloudwatch_raw", CLOUDWATCH).success
        result = project.run(DAY)
        assert result.success
        yield project, result
