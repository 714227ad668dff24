"""Transplant: a student's text in the notebook as it was given out. Whatever became of their file, it can do no harm.

Of the file only the kind and the text of cells are used. What the course wrote, its metadata and its checks are always
the released ones. Everything here takes time in proportion to the text: cells are never compared each with each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache

from nbformat import NotebookNode

from lecture_utils.instructor.grading.results import METADATA

_DEFINED = re.compile(r"^(?:(?:async )?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_FENCED = re.compile(r"^(?:```|~~~)[^\n]*\n(.*?)^(?:```|~~~)", re.DOTALL | re.MULTILINE)
_CODE_BEGINS = re.compile(r"^(?:async def |def |class |import |from \w|@\w|\w+ *=[^=])", re.MULTILINE)
_RETURNS = re.compile(r"^[ \t]+(return|yield)\b", re.MULTILINE)
_UNFINISHED = (":", "(", "[", "{", ",", '"""', "'''")  # at the end of a cell
_JOINED = 20_000  # characters: no function is longer
_TELLING = 20  # characters of a line that stands in one cell and hardly in another


@dataclass(frozen=True)
class GivenCell:
    """All that is used of a cell in a student's file."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    id: str = ""
    grade_id: str = ""


@dataclass(eq=False)
class Piece:
    """A cell of the graded notebook. ``target`` is the released cell that it is; a student's own has none."""

    kind: str
    source: str
    target: int | None = None


Pieces = list[Piece]


@lru_cache(maxsize=4096)
def key(source: str) -> str:
    """A text without what editors change: line ends, tabs, space at ends."""
    return "\n".join(line.expandtabs(4).rstrip() for line in source.splitlines()).strip("\n")


@lru_cache(maxsize=4096)
def defined(source: str) -> frozenset[str]:
    """The names that code defines at its top level."""
    return frozenset(a or b for a, b in _DEFINED.findall(source))


class Released:
    """A notebook as it was given out, with what is looked up in it. Cells are told by their place."""

    def __init__(self, notebook: NotebookNode):
        self.notebook, self.cells = notebook, notebook.cells
        self.keys = [key(c.source) for c in self.cells]
        often = Counter(self.keys)  # empty cells to try something in are all alike
        self.by_key = {text: r for r, text in enumerate(self.keys) if often[text] == 1}
        self.by_id = {c.id: r for r, c in enumerate(self.cells)}
        self.by_grade_id, self.by_first_line, self.fixed = {}, {}, set()
        for r, cell in enumerate(self.cells):
            about = cell.metadata.get("nbgrader", {})
            if "grade_id" in about:
                self.by_grade_id[about["grade_id"]] = r
            if about.get("locked") or (cell.cell_type != "code" and not about.get("solution")):
                self.fixed.add(r)
            if self.keys[r] in self.by_key:
                self.by_first_line.setdefault(self.keys[r].split("\n", 1)[0], []).append(r)
        self.checks = [r for r in self.by_grade_id.values() if r in self.fixed]
        self.names = self._names()
        self.answer_of = {name: r for r, names in self.names.items() for name in names}
        self.by_line = self._telling_lines()

    def _names(self) -> dict[int, set[str]]:
        """Answer → the names that it has to define, none if it is in words: what checks look at, and what has points.

        Code that is tried without points defines none of these names, and is no answer.
        """
        checked = set(re.findall(r"\w+", " ".join(self.keys[r] for r in self.checks)))
        answers = [r for r in range(len(self.cells)) if r not in self.fixed and self.runs(r)]
        found = {r: set(defined(self.keys[r])) & checked for r in answers if self.cells[r].cell_type == "code"}
        in_words = {r for r in answers if self.cells[r].cell_type != "code" and r in self.by_grade_id.values()}
        return {r: names for r, names in found.items() if names} | {r: set() for r in in_words}

    def _telling_lines(self) -> dict[str, int]:
        """Line → the one cell in which it stands."""
        lines = [
            (line, r) for r, text in enumerate(self.keys) for line in set(text.split("\n")) if len(line) >= _TELLING
        ]
        often = Counter(line for line, _ in lines)
        return {line: r for line, r in lines if often[line] == 1}

    def runs(self, r: int) -> bool:
        return "demo" not in self.cells[r].metadata.get("tags", [])

    def exercise(self, r: int) -> str:
        """What a person calls it; nothing for the course's text, demonstrations, and what is tried without points."""
        if r not in self.names and r not in self.fixed:
            return ""
        told = self.cells[r].metadata.get("nbgrader", {}).get("grade_id") or ", ".join(sorted(self.names.get(r, ())))
        return told.removesuffix("-answer")

    def answers(self, source: str) -> set[int]:
        """The answers that a text defines."""
        return {self.answer_of[name] for name in defined(source) if name in self.answer_of}

    def written(self, piece: Piece) -> bool:
        """Whether it holds something of the student's own."""
        text = key(piece.source)
        return piece.target is None or (piece.target not in self.fixed and text not in ("", self.keys[piece.target]))


def transplant(released: NotebookNode | Released, cells: list[GivenCell]) -> tuple[NotebookNode, list[str]]:
    """The released notebook with the student's answers, experiments and own cells, in the student's order.

    Also a sentence for each thing that was moved, put back, joined or taken from elsewhere. The metadata of cells is
    that of ``released`` itself: write the notebook out before it is worked on.
    """
    known = released if isinstance(released, Released) else Released(released)
    moved: list[str] = []
    pieces = _place(known, _joined(known, cells, moved), moved)
    for step in (_by_lines, _restored, _one_of_each, _answers_elsewhere, _put_back, _words_below, _checks_below):
        pieces = step(known, pieces, moved)
    notebook = NotebookNode({**known.notebook, "metadata": deepcopy(known.notebook.metadata)})
    notebook.cells = [_cell(known, piece, f"own-{k}") for k, piece in enumerate(pieces)]
    return notebook, list(dict.fromkeys(moved))


def _cell(known: Released, piece: Piece, name: str) -> NotebookNode:
    if piece.target is not None:
        cell = known.cells[piece.target]
        return NotebookNode({**cell, "source": piece.source if known.written(piece) else cell.source})
    code = {"outputs": [], "execution_count": None} if piece.kind == "code" else {}
    own = NotebookNode({METADATA: NotebookNode(own=True)})
    return NotebookNode({"id": name, "cell_type": piece.kind, "metadata": own, **code, "source": piece.source})


def answered(known: Released, notebook: NotebookNode) -> int:
    """How many answers are written, at their place or in a cell of the student's own."""
    places = {k: known.by_id.get(c.id) for k, c in enumerate(notebook.cells)}
    found = {r for k, r in places.items() if r in known.names and key(notebook.cells[k].source) != known.keys[r]}
    own = (known.answers(notebook.cells[k].source) for k, r in places.items() if r is None)
    return len(found.union(*own))


# --- which released cells a student's cells are ------------------------------------------------------------------


def _joined(known: Released, cells: Iterable[GivenCell], moved: list[str]) -> list[GivenCell]:
    """The cells; one that was split inside a function is whole again, as its second half cannot run alone."""
    found: list[GivenCell] = []
    for cell in cells:
        source = cell.source.replace("\r\n", "\n").replace("\r", "\n")
        before = found[-1] if found else cell
        goes_on = _RETURNS.search(source) or before.source.rstrip().endswith(_UNFINISHED)
        goes_on = goes_on and source.lstrip("\n").startswith((" ", "\t")) and before.kind == cell.kind == "code"
        if goes_on and found and len(before.source) < _JOINED:
            found[-1] = replace(before, source=f"{before.source.rstrip()}\n{source}")
            moved += [f"{known.exercise(r)}: its answer stood in two cells." for r in known.answers(before.source)]
        else:
            found.append(replace(cell, source=source))
    return found


def _place(known: Released, cells: list[GivenCell], moved: list[str]) -> Pieces:
    """Every cell as one piece, or as several where cells had been merged."""
    pieces: Pieces = []
    cut = {known.by_key.get(key(c.source)) for c in cells}
    for cell in cells:
        claimed = known.by_grade_id.get(cell.grade_id, known.by_id.get(cell.id))
        parts = _cut(known, cell, cut)
        if not parts and claimed is not None:  # emptied
            parts = [Piece(cell.kind, "", claimed)]
        if len(parts) > 1:
            found = {r for p in parts for r in (known.answers(p.source) if p.target is None else {p.target})}
            several = sorted({known.exercise(r) for r in found} - {""})
            moved += [f"{', '.join(several)}: stood in one cell with something else."] if several else []
        if any(p.target == claimed for p in parts):
            claimed = None
        for part in parts:
            if part.target is None and claimed is not None and _can_be(known, part, claimed):
                part.target, claimed = claimed, None
        pieces += parts
    return pieces


def _cut(known: Released, cell: GivenCell, cut: set[int | None]) -> Pieces:
    """The cell, cut where whole released cells stand in it that are no cells elsewhere, nor were ``cut`` out before."""
    if key(cell.source) in known.by_key:
        return [Piece(cell.kind, cell.source, known.by_key[key(cell.source)])]
    lines, parts, start, at = cell.source.split("\n"), [], 0, 0
    plain = [line.expandtabs(4).rstrip() for line in lines]
    while at < len(lines):
        for r in known.by_first_line.get(plain[at], ()):
            whole = known.keys[r].split("\n")
            if r not in cut and plain[at : at + len(whole)] == whole:
                cut.add(r)
                parts += [Piece(cell.kind, "\n".join(lines[start:at])), Piece(cell.kind, known.cells[r].source, r)]
                start = at = at + len(whole)
                break
        else:
            at += 1
    parts.append(Piece(cell.kind, "\n".join(lines[start:])))
    return [Piece(p.kind, p.source.strip("\n"), p.target) for p in parts if p.source.strip()]


def _can_be(known: Released, piece: Piece, claimed: int) -> bool:
    """Whether a changed text can be the released cell that its id tells."""
    if known.cells[claimed].cell_type == "code" != piece.kind:
        return False
    answers = known.answers(piece.source)
    return not answers or claimed in answers or not (claimed in known.fixed or known.names.get(claimed))


def _by_lines(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """Released cells that nobody claims are the texts that share half of their lines, or half of its own."""
    there = {p.target for p in pieces}
    for piece in [
        p for p in pieces if p.target is None and key(p.source) in known.keys
    ]:  # one of several that are alike
        piece.target = next(
            (r for r, text in enumerate(known.keys) if text == key(piece.source) and r not in there), None
        )
        there.add(piece.target)
    for piece in [p for p in pieces if p.target is None and not known.answers(_words_and_code(p)[1])]:
        lines = {line for line in key(piece.source).split("\n") if line}
        shared = (known.by_line.get(line) for line in lines)
        votes = Counter(r for r in shared if r is not None and r not in there)
        for best, _ in votes.most_common(1):
            theirs = set(known.keys[best].split("\n")) - {""}
            if 2 * len(lines & theirs) >= min(len(lines), len(theirs)):
                piece.target = best
    return pieces


def _restored(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """What a student wrote into a check or into the course's text stands in a cell of its own above it."""
    found: Pieces = []
    for piece in pieces:
        if piece.target in known.fixed and key(piece.source) not in ("", known.keys[piece.target]):
            given = set(known.keys[piece.target].split("\n"))
            lines = [line for line in piece.source.split("\n") if line.expandtabs(4).rstrip() not in given]
            own = "\n".join(line for line in lines if not re.match(r"check(_answer)?\(", line)).strip("\n")
            found += [Piece(piece.kind, own)] if own.strip() else []
            what = f"{name}: its check" if (name := known.exercise(piece.target)) else "the course: a text"
            rest = "; what was written in it stands in a cell of its own" if own.strip() else ""
            moved.append(f"{what} had been changed and stands as it was given out{rest}.")
        found.append(piece)
    return found


def _words_and_code(piece: Piece) -> tuple[str, str]:
    """What is said in a piece, and the code in it: in a text what is fenced, or all from where it looks like code."""
    if piece.kind == "code":
        return "", piece.source
    if fenced := _FENCED.findall(piece.source):
        return _FENCED.sub("", piece.source).strip(), "\n\n".join(fenced).strip("\n")
    begins = _CODE_BEGINS.search(piece.source)
    at = begins.start() if begins else len(piece.source)
    return piece.source[:at].strip(), piece.source[at:]


# --- answers -----------------------------------------------------------------------------------------------------


def _one_of_each(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """Of several pieces for one released cell the last one that was written in; other written ones become own."""
    found: dict[int, Pieces] = {}
    for piece in pieces:
        if piece.target is not None:
            found.setdefault(piece.target, []).append(piece)
    dropped = set()
    for r, several in found.items():
        chosen = next((p for p in reversed(several) if known.written(p)), several[0])
        for piece in [p for p in several if p is not chosen]:
            if known.written(piece):
                piece.target = None
            else:
                dropped.add(piece)
        if len(several) > 1 and (name := known.exercise(r)):
            counts = "its answer was there {} times; the last one that is written counts"
            counts = "its check was there {} times" if r in known.fixed else counts
            moved.append(f"{name}: {counts.format(len(several))}.")
        if r in known.names and chosen.kind != known.cells[r].cell_type and known.written(chosen):
            moved.append(f"{known.exercise(r)}: its answer stood in a cell of the kind {chosen.kind}.")
    return [p for p in pieces if p not in dropped]


def _answers_elsewhere(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """Empty answers that are defined in another piece: first where nothing else is, then among other things."""
    for alone in (True, False):
        empty = _empty(known, pieces)
        for r in [r for r in known.names if r in empty]:
            holders = []
            for piece in pieces:
                answers = known.answers(_words_and_code(piece)[1]) if known.written(piece) else set()
                if r in answers and (not alone or (answers == {r} and piece.target is None)):
                    holders.append(piece)
            if holders:
                pieces = _take(known, pieces, r, holders, moved)
    return pieces


def _empty(known: Released, pieces: Pieces) -> set[int]:
    return set(known.names) - {p.target for p in pieces if known.written(p)}


def _take(known: Released, pieces: Pieces, r: int, holders: Pieces, moved: list[str]) -> Pieces:
    """Make one of the ``holders``, or a part of it, the answer ``r``, unless it runs below the empty cell anyway."""

    def runs(piece: Piece) -> bool:
        return piece.kind == "code" and (piece.target is None or known.runs(piece.target))

    holder = next((p for p in reversed(holders) if runs(p)), holders[-1])
    there = next((p for p in pieces if p.target == r), None)
    if there and runs(holder) and pieces.index(holder) > pieces.index(there):
        moved.append(f"{known.exercise(r)}: its answer stands in a cell of its own, below the one that is for it.")
        return pieces
    words, code = _words_and_code(holder)
    parts = [Piece("code", text) for text in _chunks(known, code, _empty(known, pieces) | {holder.target})]
    taken = next(p for p in reversed(parts) if r in known.answers(p.source))
    taken.target = r
    if rest := [p for p in parts if p is not taken]:
        home = next((p for p in rest if holder.target in known.answers(p.source)), rest[0])
        home.target = holder.target
    if there or rest or not runs(holder):  # else it is the cell itself, without its id
        where = "another cell" if runs(holder) else f"a {holder.kind} cell, which does not run"
        moved.append(f"{known.exercise(r)}: its answer was taken from {where}.")
    parts = [Piece(holder.kind, words), *parts] if words else parts
    return [q for p in pieces if p is not there for q in (parts if p is holder else [p])]


def _chunks(known: Released, source: str, answers: set[int]) -> list[str]:
    """Code, cut before the definition of each of ``answers`` but the first, with the comments that belong to it."""
    lines, cuts, last = source.split("\n"), [0], None
    for k, line in enumerate(lines):
        found = known.answers(line) & answers
        if not found or found == last:
            continue
        if last is not None:
            while k > cuts[-1] + 1 and lines[k - 1].startswith(("#", "@")):
                k -= 1
            cuts.append(k)
        last = found
    return ["\n".join(lines[a:b]).strip("\n") for a, b in zip(cuts, [*cuts[1:], len(lines)], strict=True)]


# --- order -------------------------------------------------------------------------------------------------------


def _put_back(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """All released cells: one that is gone stands after the one that was given out before it."""
    there = {p.target for p in pieces}
    after: dict[int | None, Pieces] = {}
    last, gone = -1, 0
    for r, cell in enumerate(known.cells):
        if r in there:
            last = r
            continue
        after.setdefault(last, []).append(Piece(cell.cell_type, cell.source, r))
        if name := known.exercise(r):
            moved.append(f"{name}: {'its check' if r in known.fixed else 'its cell'} was missing and was put back.")
        else:
            gone += 1
    if gone:
        moved.append(f"the course: {gone} of its other cells were missing and were put back.")
    return [*after.get(-1, []), *(q for p in pieces for q in (p, *after.get(p.target, [])))]


def _words_below(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """An answer in words goes on in the student's own text cells right below it."""
    found: Pieces = []
    in_words = {r for r, names in known.names.items() if not names}
    for piece in pieces:
        if found and found[-1].target in in_words and piece.target is None and piece.kind != "code":
            above = found[-1].source.replace("YOUR ANSWER HERE", "").rstrip()
            found[-1].source = f"{above}\n\n{piece.source}"
            moved.append(f"{known.exercise(found[-1].target)}: its answer stood, or went on, in a cell below.")
        else:
            found.append(piece)
    if any(p.target is None and p.kind != "code" for p in found):
        empty = [p.target for p in found if p.target in in_words and not known.written(p)]
        moved += [
            f"{known.exercise(r)}: it is empty, but there are texts of the student's own elsewhere." for r in empty
        ]
    return found


def _checks_below(known: Released, pieces: Pieces, moved: list[str]) -> Pieces:
    """A check stands nowhere above what it looks at."""
    place = {p.target: k for k, p in enumerate(pieces)}
    late: dict[int, Pieces] = {}
    for r in known.checks:
        looks_at = [known.answer_of[w] for w in re.findall(r"\w+", known.keys[r]) if w in known.answer_of]
        last = max((place[answer] for answer in looks_at), default=-1)
        if place[r] < last:
            late.setdefault(last, []).append(pieces[place[r]])
            moved.append(f"{known.exercise(r)}: its check stood above its answer.")
    away = {p for several in late.values() for p in several}
    return [q for k, p in enumerate(pieces) for q in ([] if p in away else [p]) + late.get(k, [])]
