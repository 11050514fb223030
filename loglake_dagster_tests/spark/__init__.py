"""What needs Java: readers and engines on Spark (make test-spark)."""
