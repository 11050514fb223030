from collections.abc import Callable, Sequence
from typing import Any

# bytes, as far as their readers are concerned: an object with a buffer.
Memory = bytes

class Builder:
    def __init__(
        self, columns: int, time_column: int, extra_column: int, members: list[tuple[Any, ...]], /
    ) -> None: ...
    def add(
        self,
        text: bytes,
        member: str,
        place: int,
        first: int,
        most_odd: int,
        verdicts: dict[bytes, int] | None,
        ask: Callable[[bytes], int],
        /,
    ) -> tuple[int, dict[int, int], list[tuple[int, int, int]]] | None: ...
    def finish(self) -> tuple[Rows, int, Memory, Memory, Memory]: ...

class Rows:
    def columns(
        self, wanted: list[int], order: Any, /
    ) -> list[tuple[int, Memory | None, Memory, Memory | None] | None]: ...

def join_rows(start: int, end: int, columns: Sequence[tuple[Any, ...]], /) -> list[bytes]: ...
def holds(buffer: Any, text: bytes, /) -> bool: ...
