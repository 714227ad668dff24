"""Limits that the system sets on this process and all that it starts: once lowered, they stay so."""

from __future__ import annotations

import os
from pathlib import Path


def lower(**limits: int) -> None:
    """Set each limit, named as in Python's ``resource`` without RLIMIT_, unless it is lower already."""
    import resource  # not there on Windows

    for name, most in limits.items():
        what = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def address_space() -> int:
    """Bytes of it that this process has. Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
