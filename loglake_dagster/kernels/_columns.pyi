from collections.abc import Callable, Sequence
from typing import Any

class Builder:
    def __init__(self, columns: int, time_column: int, members: list[tuple[Any, ...]], /) -> None: ...
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
    def finish(
        self,
    ) -> tuple[int, bytes, bytes, bytes, list[tuple[int, bytes | None, bytes, bytes | None] | None]]: ...

def join_rows(rows: int, columns: Sequence[tuple[Any, ...]], /) -> tuple[bytes, bytes]: ...
