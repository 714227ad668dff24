"""Questions: ``show_question`` shows one with the student's own numbers, ``judge_question`` says what an answer is worth.

checks.json holds no legible answer. Each answer that is right or typical has an entry under a hash of itself, and the
entry can only be read with that answer. This is a curtain, not a lock: whoever tries all options finds the right one.
Where answers must stay secret, `build --exam` leaves these entries out, and only the grading process has them.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import unicodedata
from functools import lru_cache
from typing import Any

from IPython.display import display

from lecture_utils.checks.explain import Verdict, failing
from lecture_utils.checks.observers import observe
from lecture_utils.checks.recorded import Recorded, find_exercise
from lecture_utils.checks.traces import Kind, Problem

NOBODY = "your id"  # what the notebook's first cell holds until a student writes the own id
ROUNDS = 8000  # of the key derivation: some 4 ms for each answer


# --- what counts as the same answer ------------------------------------------------------------------------------


def normal(value: Any, form: dict[str, Any]) -> list[str]:
    """An answer as short texts in which spelling no longer counts: one, or one per pair or part of it.

    ``form`` is {"is": "truth" | "letter" | "number" | "numbers" | "pairs" | "parts", "letters": …, "keys": …}. Raises
    ``Problem`` with a sentence for the student; whatever JSON can hold may come in.
    """
    if value is None:
        raise Problem(Kind.NOT_WRITTEN, "Replace None by your answer.")
    if form["is"] == "parts":
        return _parts(value, form["keys"], form.get("words"))
    if form["is"] == "pairs":
        keys = form["keys"]
        if not isinstance(value, dict) or set(value) != set(keys):
            raise Problem(
                Kind.FORM, f"Keep the dictionary as it was, with the keys {', '.join(keys)}, and fill in letters."
            )
        if all(v is None for v in value.values()):
            raise Problem(Kind.NOT_WRITTEN, "Replace each None by a letter.")
        return [f"{key}={_letter(value[key], form['letters'], f'For {key}: ')}" for key in keys]
    if form["is"] == "numbers":
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 20:
            raise Problem(Kind.FORM, "A list of numbers is expected, such as [1, 0.5].")
        return [", ".join(_number(v) for v in value)]
    if form["is"] == "number":
        return [_number(value)]
    if form["is"] == "letter":
        return [_letter(value, form["letters"])]
    text = str(value).strip().lower() if isinstance(value, (bool, str)) and len(str(value)) < 20 else ""
    if text not in ("true", "t", "false", "f"):
        raise Problem(Kind.FORM, "True or False is expected.")
    return ["true" if text.startswith("t") else "false"]


def _parts(value: Any, keys: list[str], words: list[str] | None) -> list[str]:
    """A list with an entry for each of ``keys``: one of ``words``, or a list of numbers."""
    if not isinstance(value, (list, tuple)) or len(value) != len(keys):
        raise Problem(Kind.FORM, f"A list with {len(keys)} entries is expected, for {', '.join(keys)}, in this order.")
    if all(part is None for part in value):
        raise Problem(Kind.NOT_WRITTEN, "Replace each None by your answer.")
    texts = []
    for key, part in zip(keys, value, strict=True):
        if part is None:
            raise Problem(Kind.FORM, f"There is a None left, for {key}.")
        try:
            texts.append(f"{key}={_word(part, words) if words else normal(part, {'is': 'numbers'})[0]}")
        except Problem as problem:
            raise Problem(Kind.FORM, f"{key}: {problem}") from None
    return texts


def _word(value: Any, words: list[str]) -> str:
    text = value.strip(" .\n\t").lower() if isinstance(value, str) and len(value) < 40 else ""
    if text not in words:
        raise Problem(Kind.FORM, f"one of {', '.join(words)} is expected, in quotes.")
    return text


def _letter(value: Any, letters: str, where: str = "") -> str:
    text = value.strip(" .()\n\t").upper() if isinstance(value, str) and len(value) < 20 else ""
    if len(text) != 1 or text not in letters:
        raise Problem(
            Kind.FORM, f"{where}{'o' if where else 'O'}ne of the letters {', '.join(letters)} is expected, in quotes."
        )
    return text


def _number(value: Any) -> str:
    """Three significant digits."""
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float, str)) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Problem(Kind.FORM, "A plain number is expected, such as 0.25: no formula, no comma, no tensor.")
    return f"{float(f'{number:.3g}') + 0.0:.3g}"  # + 0.0: there is no negative zero


# --- sealed explanations ---------------------------------------------------------------------------------------------


def unseal(name: str, which: int, answer: str, sealed: dict[str, str]) -> tuple[bool, str] | None:
    """(right, explanation) of an answer, or None for one that has no entry."""
    key, secret = derive_key(name, which, answer)
    if key not in sealed:
        return None
    text = base64.b64decode(sealed[key])
    right, because = json.loads(scramble(text, secret))
    return right, because


@lru_cache(maxsize=5000)  # a class gives the same answers
def derive_key(name: str, which: int, answer: str) -> tuple[str, bytes]:
    """Under which key the entry of an answer stands, and the secret that opens it."""
    derived = hashlib.pbkdf2_hmac("sha256", answer.encode(), f"{name}|{which}".encode(), ROUNDS, 48)
    return derived[:12].hex(), derived[12:]


def scramble(text: bytes, secret: bytes) -> bytes:
    stream = hashlib.shake_256(secret).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))


# --- judging -----------------------------------------------------------------------------------------------------


def which_set(name: str, student: Any, sets: int) -> int:
    """The set of numbers that a student gets: the same on every machine, another one for another question."""
    return int(hashlib.sha256(f"{name}|{_id(student)}".encode()).hexdigest(), 16) % sets


def is_nobody(student: Any) -> bool:
    """Whether no own id was written into the notebook yet."""
    return _id(student) in ("", NOBODY)


def _id(student: Any) -> str:
    small = isinstance(student, int) and abs(student) < 10**30  # of a huge int Python makes no text
    text = str(student) if small or isinstance(student, str) else ""
    text = unicodedata.normalize("NFC", text)  # macOS writes é as e and an accent
    return text.strip().lower()[:200].encode("utf-8", "replace").decode()


def judge_question(exercise: Any, value: Any, student: Any, exam: str | None = None) -> Verdict:
    """The verdict on ``value``, the answer of ``student`` (the id that the notebook used) to a question.

    ``exercise`` is the author's, whose question knows its answers, or the recorded one, which has them sealed. ``exam`` is
    None in practice, where everybody may use any id; in an exam it is the id under which the work was handed in, and an
    answer for other numbers gets no credit. Without sealed answers (an exam's checks.json) the verdict only says that
    the answer was recorded. Never raises for what ``value`` or ``student`` hold.
    """
    question = exercise.question
    head = question if isinstance(question, dict) else question.head
    name = head["id"]
    if exam is not None and _id(student) != _id(exam):
        text = f"The numbers were drawn for {_id(student)[:40] or 'nobody'!r}, and the work was handed in by {_id(exam)!r}."
        return Verdict(name, False, Kind.OTHER_STUDENT, 0.0, "answered for another id", text)
    try:
        answers = normal(value, head["form"])
    except Problem as problem:
        headline = "not written yet" if problem.kind == Kind.NOT_WRITTEN else "not in the form of an answer"
        return Verdict(name, False, problem.kind, 0.0, headline, str(problem))
    if question is head and "sealed" not in head:
        shown = _shown(answers)
        return Verdict(name, True, Kind.RECORDED, 0.0, f"recorded: {shown}", "Right or wrong is decided at grading.")
    return _decided(head, answers, [_found(question, name, a, student) for a in answers])


def _found(question: Any, name: str, answer: str, student: Any) -> tuple[bool, str] | None:
    """Whether an answer is right, and why; None where nothing is known of it."""
    if isinstance(question, dict):
        which = which_set(name, student, len(question["sealed"]))
        return unseal(name, which, answer, question["sealed"][which])
    return question.answers(which_set(name, student, len(question.numbers))).get(answer)


def _decided(head: dict[str, Any], answers: list[str], found: list[tuple[bool, str] | None]) -> Verdict:
    right = [bool(f and f[0]) for f in found]
    share, shown = sum(right) / len(right), _shown(answers)
    section = f"Section {head['section']} has it." if head["number"] else ""  # an exercise stands in its section
    if len(found) == 1:
        text = found[0][1] if found[0] else "This is none of the usual slips. Work through it once more, line by line."
        headline = f"{'right' if right[0] else 'not right'}: {shown}"
    else:
        headline = f"{sum(right)} of {len(right)} {head['form']['is']} are right"
        text = head.get("advice") or _each(answers, found)  # where each part is a guess among few, none is told alone
    if all(right):
        text = head.get("afterwards") or text
        return Verdict(head["id"], True, Kind.PASSED, 1.0, headline, text)
    known = len(found) == 1 and found[0] is not None
    kind = Kind.MISCONCEPTION if known else Kind.DIFFERENT
    return Verdict(head["id"], False, kind, share, headline, text, shown if known else None, section)


def _each(answers: list[str], found: list[tuple[bool, str] | None]) -> str:
    unknown = (False, "This is none of the usual slips. Work through it once more, line by line.")
    told = [(a.replace("=", ": "), *(f or unknown)) for a, f in zip(answers, found, strict=True)]
    return "\n".join(f"{'✔' if right else '✘'} {answer}. {because}" for answer, right, because in told)


def _shown(answers: list[str]) -> str:
    return ", ".join(a.capitalize() if a in ("true", "false") else a.replace("=", ": ") for a in answers)


def recorded(function: Any, exercise: Recorded) -> Verdict:
    """In an exam: whether a derivation's function can be called and gives numbers, not whether they are right."""
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"check needs the function {exercise.name} itself, without ( ); it got a {kind}.")
    for trace in observe(function, exercise.observer, exercise.data["cases"]):
        if problem := trace.problem:
            return Verdict(exercise.name, False, problem.kind, 0.0, failing(problem), str(problem))
    return Verdict(exercise.name, True, Kind.RECORDED, 0.0, "recorded", "Right or wrong is decided at grading.")


def explanation(exercise: Recorded) -> str:
    """The derivation, for those who have passed its check."""
    question = exercise.question or {}
    sealed = question.get("sealed")
    return unseal(question["id"], 0, "passed", sealed[0])[1] if sealed else ""


# --- in the notebook ---------------------------------------------------------------------------------------------


def show_question(name: str, student: Any) -> None:
    """Show a question with the numbers, and the order of options, that belong to ``student``.

    Raises ``LookupError`` for what is no question, ``OSError`` or ``ValueError`` where checks.json cannot be read.
    """
    question = find_question(name).question
    which = which_set(name, student, len(question["texts"]))
    text = question["texts"][which]
    if "pictures" in question:
        alt, source = question["pictures"][which]
        rich = f'<img alt="{html.escape(alt)}" style="max-width:100%" src="{source}">'
        display({"text/html": rich, "text/plain": f"[Figure: {alt}]"}, raw=True)
    # Exported pages, feedback too, show coloured code in an output in a proportional font, and plain code as code.
    display({"text/markdown": text.replace("```python", "```"), "text/plain": text}, raw=True)


def drawn(name: str, student: str) -> dict[str, Any]:
    """The numbers that belong to ``student`` in the question ``name``."""
    numbers = find_question(name).question["numbers"]
    return numbers[which_set(name, student, len(numbers))]


def find_question(name: str) -> Recorded:
    """The entry of a question; ``LookupError`` for an exercise that is a function."""
    exercise = find_exercise(name)
    if not exercise.question or "texts" not in exercise.question:
        raise LookupError(f"{name} is a function, not a question: its check is check({name}).")
    return exercise
