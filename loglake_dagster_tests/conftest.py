"""Fixtures that every folder may ask for (written where they come from), and how hard Hypothesis tries."""

from hypothesis import settings

from loglake_dagster_tests.servers import s3_server

# No deadline: a shared machine is slow at times, and what must be fast is timed by tests of its own.
settings.register_profile("fast", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile("fast")

__all__ = ["s3_server"]
