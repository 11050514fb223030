"""The sessions table: what its columns are, how it is joined, and what a keystroke status means."""
