"""CPU, memory and durations as people write them, to and from plain numbers.

CPU is kept in millicores, memory in bytes, durations in seconds. Parsers raise a Refusal that says what to write.
"""

from __future__ import annotations

import re
from functools import lru_cache

from specs.names import quoted
from specs.problems import Refusal

CPU_PATTERN = r"(\d+(\.\d{1,3})?|\d+m)"
MEMORY_PATTERN = r"\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?"
DURATION_PATTERN = r"\d+(\.\d+)?(ms|s|m|h|d)"

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"
_CPU = re.compile(r"([0-9]{1,9})(\.[0-9]{1,3})?(m?)")
_MEMORY = re.compile(rf"({_NUMBER})(Ki|Mi|Gi|Ti|k|M|G|T|)")
_DURATION = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_MEMORY_UNITS = {
    **{"Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10},
    **{"T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3, "": 1},
}
_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_cpu(value: str | int | float) -> int:
    """Millicores of "500m", "2", 2 or 0.5."""
    return _parse_cpu(_as_text(value))


@lru_cache(maxsize=1024)
def _parse_cpu(text: str) -> int:
    match = _CPU.fullmatch(text)
    if not match or (match[2] and match[3]):
        raise Refusal(
            "invalid-cpu",
            "Invalid amount of CPU",
            f"{quoted(text)} is no amount of CPU. Write cores, like 2 or 0.5, or thousandths of one, like 500m.",
        )
    if match[3]:
        return int(match[1])
    return round(float(match[1] + (match[2] or "")) * 1000)


def parse_memory(value: str | int | float) -> int:
    """Bytes of "512Mi", "4Gi", "1G" or 1073741824."""
    return _parse_memory(_as_text(value))


@lru_cache(maxsize=1024)
def _parse_memory(text: str) -> int:
    if match := _MEMORY.fullmatch(text):
        return round(float(match[1]) * _MEMORY_UNITS[match[2]]) if "." in match[1] else _whole(match)
    if re.fullmatch(rf"{_NUMBER}m", text):
        raise Refusal(
            "memory-in-milli-bytes",
            "Memory in thousandths of a byte",
            f"The 'm' in {quoted(text)} means thousandths, as in '500m' of CPU, and not megabytes. "
            f"Did you mean '{text[:-1]}Mi'?",
        )
    raise Refusal(
        "invalid-memory",
        "Invalid amount of memory",
        f"{quoted(text)} is no amount of memory. Write a number and a unit: Ki, Mi, Gi, Ti (powers of 1024) or "
        f"k, M, G, T (powers of 1000), like 512Mi.{_memory_suggestion(text)}",
    )


def parse_duration(value: str | int | float) -> float:
    """Seconds of "60s", "5m", "1.5h", "250ms" or "1d". A number without a unit is refused."""
    return _parse_duration(_as_text(value))


@lru_cache(maxsize=1024)
def _parse_duration(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not match:
        hint = f" Did you mean '{text}s'?" if re.fullmatch(_NUMBER, text) else ""
        raise Refusal(
            "invalid-duration",
            "Invalid duration",
            f"{quoted(text)} is no duration. Write a number and a unit: ms, s, m, h or d, like 60s.{hint}",
        )
    return float(match[1]) * _DURATION_UNITS[match[2]]


def format_cpu(millicores: int) -> str:
    """ "500m", or whole cores as "2"; `parse_cpu` reads it back."""
    cores, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(cores)


def format_memory(size: int) -> str:
    """ "512Mi" in the largest unit that divides it, powers of 1024 first; `parse_memory` reads it back."""
    for unit, factor in _MEMORY_UNITS.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: float) -> str:
    """ "5m", "90s" or "250ms": the largest unit of which it is a whole number; `parse_duration` reads it back."""
    for unit, factor in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds and seconds % factor == 0:
            return f"{int(seconds / factor)}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def _as_text(value: str | int | float) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refusal("invalid-quantity", "Not an amount", "Write a number, with its unit where it has one.")
    return value if isinstance(value, str) else repr(value)


def _whole(match: re.Match[str]) -> int:
    return int(match[1]) * _MEMORY_UNITS[match[2]]


def _memory_suggestion(text: str) -> str:
    match = re.fullmatch(rf"({_NUMBER})\s?([kmgt])i?b?", text, re.IGNORECASE)
    return f" Did you mean '{match[1]}{match[2].upper()}i'?" if match else ""
