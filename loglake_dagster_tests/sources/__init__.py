"""One file a log: keys, records, and golden files."""
