"""What became of one exercise: the one type from scoring to the pages. Plain data, kept in each graded notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

MIME = "application/vnd.lecture-utils.observed+json"  # of what a kernel displays for grading
METADATA = "lecture_utils"  # the key of a graded notebook's metadata under which everything of ours stands
# Kinds of results that no check gives; all others are those of checks.traces.Kind.
BY_HAND, MISSING, DAMAGED, FAILED = "by_hand", "missing", "damaged", "failed"


@dataclass(frozen=True)
class Result:
    """One exercise of one submission. ``kind`` is a ``Kind``, or "by_hand", "missing", "damaged", "failed"."""

    notebook: str
    exercise: str
    points: float
    of: float
    kind: str
    misconception: str = ""
    message: str = ""
    card: str = ""  # what the check shows, as HTML
    plain: str = ""  # the same as text
    answer: str = ""  # what the student wrote

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": str(self.kind)}


def from_dict(data: Mapping[str, Any]) -> Result:
    """A ``Result`` from what ``to_dict`` gave. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
    texts = {f.name: str(data[f.name]) for f in fields(Result) if f.name in data and f.name not in ("points", "of")}
    return Result(points=float(data["points"]), of=float(data["of"]), **texts)


def results_in(metadata: Mapping[str, Any]) -> list[Result]:
    """The results that scoring left in a graded notebook; what cannot be read is left out."""
    kept = metadata.get(METADATA)
    found = kept.get("results") if isinstance(kept, Mapping) else None
    results = []
    for data in found if isinstance(found, list) else []:
        try:
            results.append(from_dict(data))
        except (KeyError, TypeError, ValueError):
            continue
    return results


def sentences(metadata: Mapping[str, Any], *keys: str) -> list[str]:
    """What the lists under ``keys`` ("moved", "notes") tell of a graded notebook, each sentence once."""
    kept = metadata.get(METADATA)
    lists: Iterable[Any] = [kept.get(key) for key in keys] if isinstance(kept, Mapping) else []
    return list(dict.fromkeys(str(text) for found in lists if isinstance(found, list) for text in found))
