"""Columns of CloudTrail events that no field says: made from other columns, pure, Arrow in and out.

What they mean is in the columns' own sentences (sources/cloudtrail.py), what AWS writes in docs/formats.md 1 and 3.1.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.kernels.columns import holds
from loglake_dagster.kernels.flatten import EMPTY_FIELDS
from loglake_dagster.kernels.rows import Derived
from loglake_dagster.kernels.session_id import split_session_id

_CATEGORIES = {"AwsCloudTrailInsight": "Insight", "AwsAggregatedEvent": "Aggregated"}
# The fields whose content AWS leaves out when it is too long (docs/formats.md 1.7).
_CUT_COLUMNS = (
    "requestparameters",
    "responseelements",
    "serviceeventdetails",
    "additionaleventdata",
    "edgedevicedetails",
)
_SESSION_EVENTS = ("StartSession", "ResumeSession", "TerminateSession")


def _derive(arrays: dict[str, pa.Array]) -> None:
    """Adds sessionid, sessionowner and is_truncated; fills eventcategory where the type says it."""
    _derive_session(arrays)
    _derive_truncated(arrays)
    _derive_category(arrays)


DERIVED = Derived(
    _derive,
    made=frozenset({"sessionid", "sessionowner", "is_truncated", "eventcategory", EMPTY_FIELDS}),
    needs=frozenset({*_CUT_COLUMNS, "eventsource", "eventname", "eventtype", "eventcategory", EMPTY_FIELDS}),
)


def _derive_truncated(arrays: dict[str, pa.Array]) -> None:
    """Adds is_truncated: a field that AWS left out says `"omitted": true` (docs/formats.md 1.7)."""
    is_cut = np.zeros(len(arrays["eventname"]), bool)
    for name in _CUT_COLUMNS:
        texts = arrays[name].buffers()[2]
        if texts is None or not holds(texts, b'"omitted"'):  # many times as fast as asking row by row
            continue
        may_be = pc.fill_null(pc.match_substring(arrays[name], '"omitted"'), False)
        for index in pc.indices_nonzero(may_be).to_pylist():
            is_cut[index] |= _is_omitted(arrays[name][index].as_py())
    arrays["is_truncated"] = pa.array(is_cut)


class _Cut(msgspec.Struct):
    omitted: bool = False


_decode_cut = msgspec.json.Decoder(_Cut).decode


def _is_omitted(json_text: str) -> bool:
    """Whether the text is an object that says so itself; nothing else in it matters."""
    try:
        return _decode_cut(json_text).omitted
    except (msgspec.DecodeError, RecursionError):
        return False


def _derive_category(arrays: dict[str, pa.Array]) -> None:
    """Insights and aggregated events say by their type what some do not say by eventCategory."""
    is_kindred = pc.is_in(arrays["eventtype"], pa.array(_CATEGORIES))
    unnamed = pc.indices_nonzero(pc.and_(is_kindred, pc.is_null(arrays["eventcategory"]))).to_pylist()
    if not unnamed:
        return
    categories, labels = arrays["eventcategory"].to_pylist(), arrays[EMPTY_FIELDS].to_pylist()
    for index in unnamed:
        categories[index] = _CATEGORIES[arrays["eventtype"][index].as_py()]
        said = labels[index].split(",") if labels[index] else []
        if not any(label.startswith("eventCategory=") for label in said):
            labels[index] = ",".join([*said, "eventCategory=absent"])
    arrays["eventcategory"] = pa.array(categories, pa.string())
    arrays[EMPTY_FIELDS] = pa.array(labels, pa.string())


def _derive_session(arrays: dict[str, pa.Array]) -> None:
    """Adds sessionid and sessionowner: Session Manager's own three actions only, Athena has actions of these names."""
    is_session = pc.and_(
        pc.equal(arrays["eventsource"], "ssm.amazonaws.com"),
        pc.is_in(arrays["eventname"], pa.array(_SESSION_EVENTS)),
    )
    count = len(arrays["eventname"])
    ids: list[str | None] = [None] * count
    owners: list[str | None] = [None] * count
    for index in pc.indices_nonzero(pc.fill_null(is_session, False)).to_pylist():
        for column in ("responseelements", "requestparameters"):
            name = _session_name(arrays[column][index].as_py())
            if name:
                owners[index], ids[index] = split_session_id(name)
                break
    arrays["sessionid"], arrays["sessionowner"] = pa.array(ids, pa.string()), pa.array(owners, pa.string())


class _Named(msgspec.Struct):
    sessionId: str | None = None  # noqa: N815


_decode_named = msgspec.json.Decoder(_Named).decode


def _session_name(json_text: str | None) -> str | None:
    """The member sessionId, where the text is an object that has one; nothing else in it matters."""
    try:
        return _decode_named(json_text).sessionId if json_text is not None else None
    except (msgspec.DecodeError, RecursionError):
        return None
