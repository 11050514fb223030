"""A CloudTrail source of the next version, whose decoder reads what today's rejects: times without separators."""

import gzip
import re
from collections.abc import Iterable
from dataclasses import replace

from loglake_dagster.errors import ObjectError
from loglake_dagster.lake.source import Decoded, Recount, Source, Wanted
from loglake_dagster.sources.cloudtrail import SOURCE

ODD_TIME = "2026-03-02/01.02.03"
_ODD = re.compile(rb'"eventTime":"(\d{4}-\d\d-\d\d)/(\d\d)\.(\d\d)\.(\d\d)"')


def mend(data: bytes | ObjectError) -> bytes | ObjectError:
    """The object with times as CloudTrail writes them."""
    if isinstance(data, ObjectError):
        return data
    return gzip.compress(_ODD.sub(rb'"eventTime":"\1T\2:\3:\4Z"', gzip.decompress(data)))


def decode(objects: Iterable[bytes | ObjectError], wanted: Wanted, limit_bytes: int) -> Decoded:
    return SOURCE.decode(map(mend, objects), wanted, limit_bytes)


def recount(data: bytes, wanted: Wanted) -> Recount:
    mended = mend(data)
    assert isinstance(mended, bytes)
    return SOURCE.recount(mended, wanted)


MENDED: Source = replace(SOURCE, version=SOURCE.version + 1, decode=decode, recount=recount)
