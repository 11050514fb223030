"""Tests, laid out as the package is: what a test of kernels/x.py proves stands in kernels/test_x.py."""
