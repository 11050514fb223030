"""Coverage: how much of what the source holds for a day has landed. The number that opens or shuts the gate.

The denominator comes from the source as it stands now: objects that the version knows, by what they were found to
hold; objects that it does not know, counted from their bytes; unreadable ones estimated from their size and marked.
What cannot be shown to be another day's counts against the day: rejects without a time, damaged stretches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from loglake_dagster.lake.manifest import ObjectEntry

UNKNOWN = "unknown"
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Coverage of one account in one region; `unknown` where the key does not say."""

    account: str
    region: str
    landed: int
    expected: int

    @property
    def gap(self) -> int:
        return self.expected - self.landed

    @property
    def coverage(self) -> float:
        return self.landed / self.expected if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that did not land whole. `estimated` is how many of the day's events are missing with it;
    `is_estimate` is False where they were counted (rejects, an object not yet read)."""

    uri: str
    account: str
    region: str
    bytes: int
    reason: str
    estimated: int
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """`landed` counts landed and duplicate events. Rows are in the order of the widest gap first."""

    landed: int
    expected: int
    rows: tuple[CoverageRow, ...] = ()
    missing: tuple[Missing, ...] = field(default_factory=tuple)

    @property
    def ratio(self) -> float:
        """1.0 for a day of which the source holds nothing."""
        return self.landed / self.expected if self.expected else 1.0

    @property
    def gap(self) -> int:
        return self.expected - self.landed


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit of a version came to. `recounted` objects were counted again by plain code and agreed;
    `not_recounted` could not be (a framing that the plain code does not know). `threshold` is what the gate asked."""

    coverage: Coverage
    recounted: int
    not_recounted: int
    threshold: float

    @property
    def is_passed(self) -> bool:
        return self.coverage.ratio >= self.threshold


@dataclass(frozen=True, slots=True)
class SizeModel:
    """Events of the day in an object as `slope * bytes + intercept`, fitted on the objects that could be read. The size
    of an emptied object says nothing: it counts as a `typical` one, for nobody delivers objects without events."""

    slope: float
    intercept: float
    typical: float = 1.0

    def events(self, size: int) -> float:
        return max(1.0, self.slope * size + self.intercept if size else self.typical)


def fit_size_model(objects: Iterable[tuple[int, int]]) -> SizeModel:
    """Least squares over (bytes, events of the day). An object has a fixed cost besides its events, so that a plain
    ratio would overrate small ones. Falls back to the ratio, and to one event per kilobyte when nothing was read."""
    pairs = list(objects)
    n, sx, sy = len(pairs), sum(p[0] for p in pairs), sum(p[1] for p in pairs)
    if not sx:
        return SizeModel(1 / 1024, 0.0)
    spread = n * sum(p[0] * p[0] for p in pairs) - sx * sx
    if n < 3 or spread <= 0:
        return SizeModel(sy / sx, 0.0, sy / n)
    slope = (n * sum(p[0] * p[1] for p in pairs) - sx * sy) / spread
    if slope <= 0:
        return SizeModel(sy / sx, 0.0, sy / n)
    return SizeModel(slope, (sy - slope * sx) / n, sy / n)


def measure_coverage(
    entries: Sequence[ObjectEntry],
    unread: Sequence[ObjectEntry],
    counted: Mapping[str, int] = _NOTHING,
    known: Mapping[str, int] = _NOTHING,
) -> Coverage:
    """Coverage of a version. `entries` are the objects that it accounts for; `unread` are objects of the source that
    it does not know, decoded for the count (their landed and duplicate events are expected and have not landed).
    `counted` is what a version before, under the same controls, found in objects by URI: one that cannot be read any
    more is missing no less than that. `known` is what objects are known to hold, by URI: of one that cannot be read,
    just that is missing."""
    models = _models(entries)
    landed: dict[tuple[str, str], int] = defaultdict(int)
    absent: dict[tuple[str, str], int] = defaultdict(int)
    missing: list[Missing] = []
    for entry in entries:
        for place, count in _places(entry):
            landed[place] += count
        if entry.state == "unreadable" and entry.uri in known:
            lack: Missing | None = _missing(entry, entry.reason, known[entry.uri], False)
        else:
            lack = _lack(entry, models, counted.get(entry.uri, 0))
        if lack is not None:
            missing.append(lack)
            absent[lack.account, lack.region] += lack.estimated
    for entry in unread:
        count = entry.landed + entry.duplicate
        lack = _lack(entry, models)
        late = _missing(
            entry, "arrived after the run was planned", count + (lack.estimated if lack else 0), lack is not None
        )
        if late.estimated:
            missing.append(late)
            absent[late.account, late.region] += late.estimated
    rows = [CoverageRow(a, r, landed[a, r], landed[a, r] + absent[a, r]) for a, r in {**landed, **absent}]
    rows.sort(key=lambda row: (-row.gap, row.account, row.region))
    missing.sort(key=lambda one: (-one.estimated, one.uri))
    return Coverage(sum(landed.values()), sum(row.expected for row in rows), tuple(rows), tuple(missing))


def _models(entries: Sequence[ObjectEntry]) -> dict[object, SizeModel]:
    """One model a delivery day: an object of the next day's folder holds few events of this one."""
    groups: dict[object, list[tuple[int, int]]] = defaultdict(list)
    for entry in entries:
        if entry.state == "read" and entry.rejected == 0:
            groups[entry.delivery_day].append((entry.size, entry.landed + entry.duplicate))
    return {day: fit_size_model(pairs) for day, pairs in groups.items()}


def _lack(entry: ObjectEntry, models: dict[object, SizeModel], counted: int = 0) -> Missing | None:
    """What is missing with an object that the version accounts for; None when nothing is."""
    if entry.state == "unreadable":
        model = models.get(entry.delivery_day) or SizeModel(1 / 1024, 0.0)
        return _missing(entry, entry.reason, max(counted, round(model.events(entry.size))), True)
    lost = 0
    if 0 < entry.lost_share < 1:
        lost = max(1, round((entry.landed + entry.duplicate) * entry.lost_share / (1 - entry.lost_share)))
    if entry.state == "partly_read":
        here = entry.landed + entry.duplicate + entry.rejected
        if entry.lost_share == 0:
            # Cut off at an unknown place: no less is missing than a typical object of that day's folder has more.
            lost = max(lost, round((models.get(entry.delivery_day) or SizeModel(0.0, 0.0, 0.0)).typical) - here)
        lost = max(lost, counted - here)
    if lost + entry.rejected == 0:
        return None
    reasons = ([entry.reason] if entry.reason else []) + ([f"{entry.rejected} rejected"] if entry.rejected else [])
    return _missing(entry, "; ".join(reasons), lost + entry.rejected, lost > 0)


def _missing(entry: ObjectEntry, reason: str, count: int, is_estimate: bool) -> Missing:
    account, region = entry.account or UNKNOWN, entry.region or UNKNOWN
    return Missing(entry.uri, account, region, entry.size, reason, count, is_estimate)


def _places(entry: ObjectEntry) -> list[tuple[tuple[str, str], int]]:
    region = entry.region or UNKNOWN
    if entry.account is not None:
        return [((entry.account, region), entry.landed + entry.duplicate)]
    return [((account or UNKNOWN, region), count) for account, count in entry.accounts.items()]
