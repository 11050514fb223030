"""Tests of a day's way from objects to a published version: increments, publication, the gate, the truth."""
