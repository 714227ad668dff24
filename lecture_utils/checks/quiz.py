"""Questions in a notebook: ``ask`` shows one with the student's own numbers, ``check_answer`` says what an answer is worth.

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
from typing import Any

from lecture_utils.checks.exercise import Exercise
from lecture_utils.checks.judge import Verdict, failing, find_exercise
from lecture_utils.checks.observers import observe
from lecture_utils.checks.traces import Problem

NOBODY = "your id"  # what the notebook's first cell holds until a student writes the own id
ROUNDS = 8000  # of the key derivation: some 4 ms for each answer


# --- what counts as the same answer ------------------------------------------------------------------------------


def normal(value: Any, form: dict[str, Any]) -> list[str]:
    """An answer as short texts in which spelling no longer counts: one, or one per pair of a matching question.

    ``form`` is {"is": "truth" | "letter" | "number" | "numbers" | "pairs", "letters": …, "keys": …}. Raises ``Problem``
    with a sentence for the student; whatever JSON can hold may come in.
    """
    if value is None:
        raise Problem("not_written", "Replace None by your answer.")
    if form["is"] == "pairs":
        keys = form["keys"]
        if not isinstance(value, dict) or set(value) != set(keys):
            raise Problem(
                "form", f"Keep the dictionary as it was, with the keys {', '.join(keys)}, and fill in letters."
            )
        if all(v is None for v in value.values()):
            raise Problem("not_written", "Replace each None by a letter.")
        return [f"{key}={_letter(value[key], form['letters'], f'For {key}: ')}" for key in keys]
    if form["is"] == "numbers":
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 20:
            raise Problem("form", "A list of numbers is expected, such as [1, 0.5].")
        return [", ".join(_number(v) for v in value)]
    if form["is"] == "number":
        return [_number(value)]
    if form["is"] == "letter":
        return [_letter(value, form["letters"])]
    text = str(value).strip().lower() if isinstance(value, (bool, str)) and len(str(value)) < 20 else ""
    if text not in ("true", "t", "false", "f"):
        raise Problem("form", "True or False is expected.")
    return ["true" if text.startswith("t") else "false"]


def _letter(value: Any, letters: str, where: str = "") -> str:
    text = value.strip(" .()\n\t").upper() if isinstance(value, str) and len(value) < 20 else ""
    if len(text) != 1 or text not in letters:
        raise Problem(
            "form", f"{where}{'o' if where else 'O'}ne of the letters {', '.join(letters)} is expected, in quotes."
        )
    return text


def _number(value: Any) -> str:
    """Three significant digits."""
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float, str)) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Problem("form", "A plain number is expected, such as 0.25: no formula, no comma, no tensor.")
    return f"{float(f'{number:.3g}') + 0.0:.3g}"  # + 0.0: there is no negative zero


# --- sealed explanations ---------------------------------------------------------------------------------------------


def seal(name: str, which: int, answers: dict[str, tuple[bool, str]]) -> dict[str, str]:
    """{hash of an answer: what is said about it, readable with that answer only}; all of one length, in no order."""
    texts = {a: json.dumps([right, because], ensure_ascii=False).encode() for a, (right, because) in answers.items()}
    longest = max(map(len, texts.values()))
    sealed = {}
    for answer, text in texts.items():
        key, secret = _key(name, which, answer)
        sealed[key] = base64.b64encode(_xor(text.ljust(longest), secret)).decode()
    return dict(sorted(sealed.items()))


def unseal(name: str, which: int, answer: str, sealed: dict[str, str]) -> tuple[bool, str] | None:
    """(right, explanation) of an answer, or None for one that has no entry."""
    key, secret = _key(name, which, answer)
    if key not in sealed:
        return None
    text = base64.b64decode(sealed[key])
    right, because = json.loads(_xor(text, secret))
    return right, because


def _key(name: str, which: int, answer: str) -> tuple[str, bytes]:
    """Under which key the entry of an answer stands, and the secret that opens it."""
    derived = hashlib.pbkdf2_hmac("sha256", answer.encode(), f"{name}|{which}".encode(), ROUNDS, 48)
    return derived[:12].hex(), derived[12:]


def _xor(text: bytes, secret: bytes) -> bytes:
    stream = hashlib.shake_256(secret).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))


# --- judging -----------------------------------------------------------------------------------------------------


def which_set(name: str, student: Any, sets: int) -> int:
    """The set of numbers that a student gets: the same on every machine, another one for another question."""
    return int(hashlib.sha256(f"{name}|{_id(student)}".encode()).hexdigest(), 16) % sets


def _id(student: Any) -> str:
    small = isinstance(student, int) and abs(student) < 10**30  # of a huge int Python makes no text
    text = str(student) if small or isinstance(student, str) else ""
    text = unicodedata.normalize("NFC", text)  # macOS writes é as e and an accent
    return text.strip().lower()[:200].encode("utf-8", "replace").decode()


def judge_question(exercise: Exercise | dict[str, Any], value: Any, student: Any, exam: str | None = None) -> Verdict:
    """The verdict on ``value``, the answer of ``student`` (the id that the notebook used) to a question.

    ``exercise`` is the rubric's, or its entry in checks.json. ``exam`` is None in practice, where everybody may use any
    id; in an exam it is the id under which the work was handed in, and an answer for other numbers gets no credit.
    Without sealed answers (an exam's checks.json) the verdict only says that the answer was recorded.
    Never raises for what ``value`` or ``student`` hold.
    """
    rubric = None if isinstance(exercise, dict) else exercise.reference  # which has the answers unsealed
    question = rubric.head if rubric else exercise["question"]
    name, section = question["id"], f"Section {question['section']} has it."
    if exam is not None and _id(student) != _id(exam):
        text = f"The numbers were drawn for {_id(student)[:40] or 'nobody'!r}, and the work was handed in by {_id(exam)!r}."
        return Verdict(name, False, "other_student", 0.0, "answered for another id", text)
    try:
        answers = normal(value, question["form"])
    except Problem as problem:
        headline = "not written yet" if problem.kind == "not_written" else "not in the form of an answer"
        return Verdict(name, False, problem.kind, 0.0, headline, str(problem))
    shown = ", ".join(a.capitalize() if a in ("true", "false") else a.replace("=", ": ") for a in answers)
    if not rubric and "sealed" not in question:
        return Verdict(name, True, "recorded", 0.0, f"recorded: {shown}", "Right or wrong is decided at grading.")
    which = which_set(name, student, len(rubric.numbers if rubric else question["sealed"]))
    known = rubric.answers(which) if rubric else question["sealed"][which]
    found = [known.get(a) if rubric else unseal(name, which, a, known) for a in answers]
    right = [bool(f and f[0]) for f in found]
    if len(found) == 1:
        text = found[0][1] if found[0] else "This is none of the usual slips. Work through it once more, line by line."
        headline = f"{'right' if right[0] else 'not right'}: {shown}"
    else:
        headline = f"{sum(right)} of {len(right)} pairs are right"
        text = "\n".join(
            f"{'✔' if f[0] else '✘'} {a.replace('=', ': ')}. {f[1]}" for a, f in zip(answers, found, strict=True)
        )
    if all(right):
        return Verdict(name, True, "passed", 1.0, headline, text)
    kind, slip = ("misconception", shown) if len(found) == 1 and found[0] else ("different", None)
    return Verdict(name, False, kind, sum(right) / len(right), headline, text, slip, section)


def recorded(function: Any, name: str, spec: dict[str, Any]) -> Verdict:
    """In an exam: whether a derivation's function can be called and gives numbers, not whether they are right."""
    if not callable(function):
        raise TypeError(f"check needs the function {name} itself, without ( ); it got a {type(function).__name__}.")
    for trace in observe(function, spec["observer"], spec["cases"], spec["settings"]):
        if problem := trace.problem:
            return Verdict(name, False, problem.kind, 0.0, failing(problem), str(problem))
    return Verdict(name, True, "recorded", 0.0, "recorded", "Right or wrong is decided at grading.")


def explanation(spec: dict[str, Any]) -> str:
    """The derivation, for those who have passed its check."""
    sealed = spec.get("question", {}).get("sealed")
    return unseal(spec["question"]["id"], 0, "passed", sealed[0])[1] if sealed else ""


# --- in the notebook ---------------------------------------------------------------------------------------------


def ask(name: str, student: str) -> None:
    """Show a question with the numbers that belong to ``student``."""
    from IPython.display import display

    try:
        question = _question(name)["question"]
        if "texts" not in question:
            raise LookupError(f"The question {name} has no numbers of its own: it stands in the notebook as it is.")
        text = question["texts"][which_set(name, student, len(question["texts"]))]
    except (LookupError, OSError, ValueError) as error:
        text = f"✘ {error.args[0] if isinstance(error, LookupError) else error}"
    # Exported pages, feedback too, show coloured code in an output in a proportional font, and plain code as code.
    display({"text/markdown": text.replace("```python", "```"), "text/plain": text}, raw=True)


def check_answer(name: str, value: Any, student: str) -> float | None:
    """Say whether ``value`` answers the question ``name``, and why. Raises ``CheckFailed`` when it does not."""
    from lecture_utils.checks import notebook

    try:
        spec = _question(name)
        verdict = judge_question(spec, value, student)
        if verdict.kind == "recorded" and _id(student) in ("", NOBODY):
            text = "Write your own id into the first cell of this notebook: in an exam it draws your numbers."
            verdict = Verdict(name, False, "form", 0.0, "whose answer is this?", text)
    except (LookupError, OSError, ValueError) as error:
        text = str(error.args[0] if isinstance(error, LookupError) else error)
        verdict = Verdict(name, False, "form", 0.0, text, "")
    return notebook.show_verdict(verdict)


def _question(name: str) -> dict[str, Any]:
    """The entry of a question; ``LookupError`` for an exercise that is a function."""
    spec = find_exercise(name)
    if spec["observer"] != "question":
        raise LookupError(f"{name} is a function, not a question: its check is check({name}).")
    return spec


def board(rows: list[tuple[dict[str, Any], Verdict | None]]) -> tuple[str, str]:
    """The scoreboard of many questions, as (plain text, HTML): one row per topic, with the numbers still open."""
    topics: dict[str, list] = {}
    for spec, verdict in rows:
        topics.setdefault(spec["question"]["section"].split(".")[0], []).append((spec["question"]["number"], verdict))
    plain, cells = [], ""
    for topic, questions in topics.items():
        done = [n for n, v in questions if v and v.passed]
        left = ", ".join(str(n) for n, v in questions if not (v and v.passed)) or "–"
        marks = "".join("●" if n in done else "○" for n, _ in questions)
        plain.append(f"notebook {topic}  {marks:8} {len(done)} of {len(questions)}   still open: {left}")
        cells += f"<tr><td>{topic}</td><td style='text-align:left'>{marks}</td><td>{len(done)} of {len(questions)}</td>"
        cells += f"<td style='text-align:left'>{html.escape(left)}</td></tr>"
    head = "".join(f"<th style='text-align:left'>{h}</th>" for h in ("notebook", "", "done", "questions still open"))
    return "\n".join(plain), f"<table><tr>{head}</tr>{cells}</table>"
