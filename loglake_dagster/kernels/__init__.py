"""Verbs: pure functions, bytes or Arrow in, Arrow or plain values out. No files, no clock, no engine."""
