"""Log Lake: raw CloudTrail and Session Manager logs in, tables that a manager and an auditor can read out.

A map of the package, from the edge of Dagster down to plain values; each folder imports only what stands below it:

    definitions, cli   wiring and the command line
    assets/            the Dagster shell: assets, checks, schedules
    engines/           one day of a table: plan, write, audit, publish; and what runs it (embedded)
    io/, catalog/      the edge: object store, ORC, version folders; which version of a day is published
    sources/, sessions/  one file per log; the sessions table
    kernels/           pure functions, bytes and Arrow in and out
    lake/              nouns: columns, sources, keys, controls, manifest
    errors, config     what can go wrong; what can be set

This module imports nothing: worker processes import it first.
"""

__version__ = "0.1.0"
