"""The edge: object stores, ORC files, version folders. Everything here can fail, and says how."""
