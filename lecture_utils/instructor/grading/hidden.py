"""Hidden cases: public code with a secret seed. What the reference gives in them is kept on disk, on this machine."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from lecture_utils.checks.recorded import Recorded
from lecture_utils.checks.traces import Trace, decode, encode
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.files import machinery, stale
from lecture_utils.instructor.authoring.record import reference_of


@dataclass(frozen=True)
class Hidden:
    """Cases that only this machine knows, and what the reference gives in them."""

    cases: list[dict[str, Any]]
    reference: list[Trace]


def prepare(course: Course) -> None:
    """See to it that all hidden cases are there and fit the rubrics. Raises ``CourseError`` if ``build`` must be run."""
    stamp = _folder(course) / "made_from"
    now = _everything(course)
    if stamp.is_file() and stamp.read_text() == now:
        return
    if changed := stale(course):
        raise CourseError(
            f"The rubric of {', '.join(changed)} has changed since checks.json was made: run `build` first."
        )
    for name, recorded in course.recorded.items():
        if recorded.is_function:
            hidden(course, name)
    _write(stamp, now)


@lru_cache(maxsize=400)
def hidden(course: Course, name: str) -> Hidden:
    """The hidden cases of an exercise that is a function."""
    recorded = course.recorded[name]
    file = _folder(course) / f"{name}-{_digest(course.secret, name, recorded.data['made_from'])}.json"
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = _made(course, recorded)
        _write(file, json.dumps(kept))
    return Hidden(kept["cases"], [decode(trace) for trace in kept["reference"]])


def _made(course: Course, recorded: Recorded) -> dict[str, Any]:
    exercise = course.exercises[recorded.name]
    random = Random(f"{course.secret} {recorded.name}")
    drawn = exercise.observer.hide(recorded.data["cases"], exercise.draw, random)
    cases = json.loads(json.dumps(drawn))
    return {"cases": cases, "reference": [encode(trace) for trace in reference_of(exercise, cases)[0]]}


def _folder(course: Course) -> Path:
    return course.root / "autograded" / ".hidden"


def _everything(course: Course) -> str:
    """Of all that hidden cases are made from."""
    files = [*sorted(course.rubrics.glob("*.*")), *course.sources, course.source / "checks.json"]
    texts = (file.read_text(encoding="utf-8") for file in files if file.is_file())
    return _digest(course.secret, machinery().hex(), *texts)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


def _write(file: Path, text: str) -> None:
    """In one piece, for the owner alone."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with open(new, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write(text)
    new.replace(file)
