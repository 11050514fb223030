"""Tests of loglake_dagster/assets: the Dagster shell, through its own instance, on the sample day."""
