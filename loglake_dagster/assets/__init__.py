"""The Dagster shell: assets, checks, jobs, schedules. Bodies translate and compute nothing; engines/ does the work."""
