"""Pure functions: bytes and Arrow in and out; no dagster, no files, seconds."""
