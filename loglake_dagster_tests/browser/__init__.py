"""Tests of what people see in the web UI, in a real browser."""
