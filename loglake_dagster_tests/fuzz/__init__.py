"""Fuzzing: mutants of real objects through the decoders, and what must hold for every one of them."""
