"""The edge: stores, ORC, version folders, listings."""
