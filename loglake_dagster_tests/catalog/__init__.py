"""One behaviour suite for every catalog."""
