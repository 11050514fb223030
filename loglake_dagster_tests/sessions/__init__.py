"""Tests of the sessions table: its join, its statuses, and when it is made again."""
