"""Tests of the `loglake` command, as a process, in pipes and on terminals."""
