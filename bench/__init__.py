"""Measurements: a workload with its truth, and what is timed on it. The product imports none of it."""
