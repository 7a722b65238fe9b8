"""Times: as RFC 3339 writes them, moved, and in other forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from builder.bake.functions.declare import Function, whole
from builder.bake.values import MeaningError, Value, to_string

_PART = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SYNTAX = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z']+)|(.)", re.S)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _read(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or "T" not in text:
        raise MeaningError(f"{text!r} is no time as in 2006-01-02T15:04:05Z")
    return found


def _written(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _now() -> str:
    return _written(datetime.now(UTC).replace(microsecond=0))


def _added(text: str, duration: str) -> str:
    match = _PART.fullmatch(duration)
    if match is None:
        raise MeaningError(f"{duration!r} is no duration", hint='write it as "1h30m" or "-10s"')
    parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", match[2])
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in parts)
    try:
        return _written(_read(text) + timedelta(seconds=-seconds if match[1] else seconds))
    except OverflowError as error:
        raise MeaningError("there is no such time") from error


def _formatted(form: str, text: str) -> str:
    """As `YYYY-MM-DD`, `EEE, DD MMM`, `hh:mm:ss`, `HH:mm AA`, `ZZZZ`; what stands in '…' is meant as it is."""
    time = _read(text)
    return "".join(_field(match, time) for match in _SYNTAX.finditer(form))


def _field(match: re.Match[str], time: datetime) -> str:
    if match[1] is not None:
        return match[1].replace("''", "'") or "'"
    if match[4] is not None:
        return match[4]
    fields = _fields(time)
    if match[2] not in fields:
        raise MeaningError(f"{match[0]!r} is no part of a time", hint="letters meant as they are stand in '…'")
    return fields[match[2]]


def _fields(time: datetime) -> dict[str, str]:
    day, month, hour = _DAYS[time.weekday()], _MONTHS[time.month - 1], time.hour % 12 or 12
    zone = time.strftime("%z")
    with_colon = f"{zone[:3]}:{zone[3:]}"
    utc = zone == "+0000"
    return {
        "YYYY": f"{time.year:04}",
        "YY": f"{time.year % 100:02}",
        "MMMM": month,
        "MMM": month[:3],
        "MM": f"{time.month:02}",
        "M": str(time.month),
        "DD": f"{time.day:02}",
        "D": str(time.day),
        "EEEE": day,
        "EEE": day[:3],
        "hh": f"{time.hour:02}",
        "h": str(time.hour),
        "HH": f"{hour:02}",
        "H": str(hour),
        "AA": "AM" if time.hour < 12 else "PM",
        "aa": "am" if time.hour < 12 else "pm",
        "mm": f"{time.minute:02}",
        "m": str(time.minute),
        "ss": f"{time.second:02}",
        "s": str(time.second),
        "ZZZZZ": with_colon,
        "ZZZZ": zone,
        "ZZZ": "UTC" if utc else zone,
        "Z": "Z" if utc else with_colon,
    }


def _parsed(seconds: int) -> Value:
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise MeaningError("there is no such time") from error
    iso = time.isocalendar()
    return {
        "year": time.year,
        "year_day": time.timetuple().tm_yday,
        "day": time.day,
        "month": time.month,
        "month_name": _MONTHS[time.month - 1],
        "weekday": time.isoweekday() % 7,
        "weekday_name": _DAYS[time.weekday()],
        "hour": time.hour,
        "minute": time.minute,
        "second": time.second,
        "rfc3339": _written(time),
        "iso_year": iso.year,
        "iso_week": iso.week,
    }


FUNCTIONS: Mapping[str, Function] = {
    "formatdate": Function(_formatted, (to_string, to_string)),
    "timeadd": Function(_added, (to_string, to_string)),
    "timestamp": Function(_now),
    "unixtimestampparse": Function(_parsed, (whole,)),
}
