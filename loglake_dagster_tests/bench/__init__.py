"""Tests of what measures and shows the product: the made workload and the sample day."""
