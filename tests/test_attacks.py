"""Nobody gains, nobody is harmed, nothing leaks: all rows of attacks.py, many to a submission, in one batch.

The table attack · deserved · got is printed with ``-s`` and kept in ``attacks.txt`` in pytest's folder.
"""

import hashlib
import html
import json
import os
import re
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from attacks import ATTACKS, BY_OPTIMIZER, Attack, with_optimizer
from conftest import EXERCISES, needs
from course import copy_course, grade, own_cells, points, submit

from lecture_utils.instructor.authoring.course import course_in
from lecture_utils.instructor.grading.batch import FEEDBACK
from lecture_utils.instructor.grading.hidden import hidden

SECONDS = 4  # of a cell
CONTROL = "honest"


@dataclass
class Student:
    """Whose attacks are graded together: one that changes its kernel has the notebook to itself."""

    name: str
    attacks: list[Attack] = field(default_factory=list)

    def has_room_for(self, attack: Attack) -> bool:
        there = [a for a in self.attacks if a.notebook == attack.notebook]
        return not there or not (
            attack.alone or any(a.alone or a.first or a.last or set(a.answers) & set(attack.answers) for a in there)
        )

    def deserves(self, exercise: str) -> float:
        return sum(a.points.get(exercise, 0) for a in self.attacks)


def packed(attacks: list[Attack]) -> list[Student]:
    students: list[Student] = []
    for attack in attacks:
        student = next((s for s in students if s.has_room_for(attack)), None)
        if student is None:
            students.append(student := Student(f"attacks-{len(students):03}"))
        student.attacks.append(attack)
    return students


def hand_in(course: Path, student: Student, words: dict[str, str]) -> None:
    """Unsolved but for what the attacks put there."""
    answers = {f"{n}-answer": text for a in student.attacks for n, text in a.answers.items()}
    folder = submit(course, student.name, answers, solve=False, only={a.notebook for a in student.attacks})
    for attack in student.attacks:
        (path,) = folder.glob(f"{attack.notebook}_*.ipynb")
        notebook = json.loads(path.read_text())
        names = [f"{n}-answer" for n in attack.answers]
        ids = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in notebook["cells"]]
        at = min(ids.index(name) for name in names)
        notebook["cells"][at:at] = own_cells([attack.first]) if attack.first else []
        notebook["cells"] += own_cells([attack.last]) if attack.last else []
        path.write_text(json.dumps(notebook))
    for path in folder.iterdir():
        text = path.read_text()
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        path.write_text(text)


def prints(folder: Path) -> dict[str, str]:
    """The digest and rights of every file below."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    return {
        str(p.relative_to(folder)): f"{p.stat().st_mode:o} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in files
    }


def left_over(course: Path) -> dict[str, str]:
    """Processes whose environment or folder is this course's."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            told = Path("/proc", entry, "environ").read_bytes() + os.readlink(f"/proc/{entry}/cwd").encode()
            if str(course).encode() in told and int(entry) != os.getpid():
                found[entry] = Path("/proc", entry, "cmdline").read_text()
        except OSError:
            continue
    return found


def gains(found: dict[str, dict[str, float]], students: list[Student]) -> list[str]:
    """Whose points are more than deserved, or less where nothing may be lost."""
    wrong = []
    for student in students:
        lossy = {name for a in student.attacks if a.may_lose for name in a.answers}
        for exercise in EXERCISES:
            got, deserved = found.get(student.name, {}).get(exercise) or 0, student.deserves(exercise)
            if got > deserved or (got < deserved and exercise not in lossy):
                who = next((a.name for a in student.attacks if exercise in a.answers), "another of its answers")
                wrong.append(f"{student.name}: {exercise} got {got}, deserved {deserved} ({who})")
    return wrong


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """One batch with all attacks, an honest student among them, and the course before and after."""
    needs("libseccomp", "sandbox")
    base = tmp_path_factory.mktemp("attacks")
    course, outside, mark = copy_course(base / "course"), base / "outside", f"mark{secrets.token_hex(6)}"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    words = {"__COURSE__": str(course), "__OUTSIDE__": str(outside), "__MARK__": mark}
    students = packed(ATTACKS)
    for student in students:
        hand_in(course, student, words)
    submit(course, CONTROL)
    kept = ("source", "notebooks", "solutions", "submitted")
    before = {step: prints(course / step) for step in kept}, prints(outside)
    code = grade(course, workers=2, cell_seconds=SECONDS, submission_seconds=60, feedback=FEEDBACK)
    after = {step: prints(course / step) for step in kept}, prints(outside)
    return {"course": course, "students": students, "points": points(course), "code": code, "mark": mark,
            "before": before, "after": after}  # fmt: skip


def test_nobody_gains_and_who_deserves_points_keeps_them(graded):
    assert gains(graded["points"], graded["students"]) == []


def test_the_honest_student_among_them_has_all_points(graded):
    found = {name: points for name, points in graded["points"][CONTROL].items() if name in EXERCISES}
    assert found == {name: exercise.points for name, exercise in EXERCISES.items()}


def test_every_submission_is_graded(graded):
    records = [json.loads(p.read_text()) for p in course_in(str(graded["course"])).records.glob("*.json")]
    assert {r["student"] for r in records} == {CONTROL, *(s.name for s in graded["students"])}
    assert {r["student"]: r["error"] for r in records if r["error"]} == {}


def test_nothing_outside_was_touched_and_no_process_is_left(graded):
    assert graded["after"] == graded["before"]
    places = ("/tmp", "/dev/shm", "/var/tmp", Path.home())
    assert [p for place in places if os.path.isdir(place) for p in os.listdir(place) if graded["mark"] in p] == []
    assert left_over(graded["course"]) == {}


# --- what students get -------------------------------------------------------------------------------------------------


def pages(course: Path) -> dict[str, str]:
    files = [p for p in (course / "feedback").rglob("*") if p.is_file()]
    return {str(p.relative_to(course)): p.read_text(encoding="utf-8", errors="replace") for p in files}


def numbers(value: object) -> list[float]:
    """All numbers in a case, in their order."""
    if isinstance(value, dict | list):
        return [number for each in (value.values() if isinstance(value, dict) else value) for number in numbers(each)]
    return [abs(float(value))] if isinstance(value, int | float) and not isinstance(value, bool) else []


def telling(found: list[float]) -> set[tuple[float, ...]]:
    """Up to three neighbours that nobody would write by chance: with six digits or more, a repeated number counted once."""
    rows = {tuple(found[k : k + 3]) for k in range(max(1, len(found) - 2))}
    return {row for row in rows if sum(len(f"{number:g}".strip("0.").replace(".", "")) for number in set(row)) >= 6}


def leaks(page: str, secrets: set[tuple[float, ...]]) -> set[tuple[float, ...]]:
    """Hidden numbers that stand on a page, whatever is between them."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    found = [float(n) for n in re.findall(r"\d{1,18}(?:\.\d{1,18})?(?:e-?\d{1,2}\b)?", text)]
    return secrets & {tuple(found[k : k + n]) for n in (1, 2, 3) for k in range(len(found))}


def hidden_numbers(course: Path) -> set[tuple[float, ...]]:
    of = course_in(str(course))
    functions = {name: recorded for name, recorded in of.recorded.items() if recorded.is_function}
    public = [telling(numbers(case)) for recorded in functions.values() for case in recorded.data["cases"]]
    secret = [telling(numbers(case)) for name in functions for case in hidden(of, name).cases]
    return set().union(*secret) - set().union(*public)


def test_no_page_tells_a_hidden_number_or_the_secret(graded):
    secret_numbers, secret = hidden_numbers(graded["course"]), course_in(str(graded["course"])).secret
    assert len(secret_numbers) > 1000
    told = pages(graded["course"])
    assert {name.split("/")[1] for name in told} == {CONTROL, *(s.name for s in graded["students"])}
    assert {name: found for name, page in told.items() if (found := leaks(page, secret_numbers))} == {}
    assert [name for name, page in told.items() if secret in page] == []


class Dangers(HTMLParser):
    """Tags of a page that hold the mark and run something."""

    def __init__(self, text: str, mark: str):
        super().__init__()
        self.found, self.mark = [], mark
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        runs = [n for n, v in attributes if n.startswith("on") or re.match(r"\s*(javascript|data:text)", v or "")]
        if self.mark in str(attributes) and (runs or tag in ("script", "iframe", "svg", "object", "embed")):
            self.found.append((tag, attributes))

    def handle_data(self, text: str) -> None:
        if self.cdata_elem == "script" and self.mark in text:
            self.found.append(("script", text[:100]))


def test_no_page_runs_a_script_of_a_student_and_all_stay_small(graded):
    told = pages(graded["course"])
    assert any(graded["mark"] in page for page in told.values())
    assert {name: found for name, page in told.items() if (found := Dangers(page, graded["mark"]).found)} == {}
    assert {name: len(page) for name, page in told.items() if len(page) > 3_000_000} == {}


def test_table(graded, tmp_path_factory):
    lines = [f"{'attack':64} {'deserved':>8} {'got':>5}"]
    for student in graded["students"]:
        for attack in student.attacks:
            got = sum((graded["points"][student.name].get(name) or 0) for name in attack.answers)
            lines.append(f"{attack.name[:64]:64} {sum(attack.points.values()):>8g} {got:>5g}")
    lines.append(f"{len(ATTACKS)} attacks in {len(graded['students'])} submissions")
    (tmp_path_factory.getbasetemp() / "attacks.txt").write_text("\n".join(lines))
    print("\n" + "\n".join(lines))


# --- controls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", BY_OPTIMIZER)
def test_a_finished_rule_would_be_a_right_answer_if_it_worked(exercise):
    """Else the rows of disguises would prove nothing."""
    names = {}
    exec(with_optimizer(exercise, "", "torch.optim.NAME"), names)
    signature = names[exercise].__code__.co_varnames[: names[exercise].__code__.co_argcount]
    random = torch.Generator().manual_seed(0)
    given = {name: torch.rand(3, 2, generator=random) for name in signature}
    given |= {
        name: 0.1 + 0.07 * k for k, name in enumerate(signature) if name not in ("w", "grad", "m", "r", "delta", "buf")
    }
    given |= {"t": 4} if "t" in signature else {}
    expected = EXERCISES[exercise].reference(**{k: v.clone() if torch.is_tensor(v) else v for k, v in given.items()})
    torch.testing.assert_close(names[exercise](**given), expected, rtol=1e-4, atol=1e-6)


def test_attacks_that_could_disturb_each_other_do_not_meet():
    students = packed(ATTACKS)
    assert sum(len(s.attacks) for s in students) == len(ATTACKS) >= 150
    for student in students:
        by_notebook = defaultdict(list)
        for attack in student.attacks:
            by_notebook[attack.notebook].append(attack)
        for met in by_notebook.values():
            assert len(met) == 1 or not any(a.alone for a in met)
            names = [name for a in met for name in a.answers]
            assert len(names) == len(set(names))


def test_the_harness_sees_a_gain_a_loss_a_leak_a_script_and_a_change(tmp_path):
    bad = Student("bad", [Attack("x", "00", {"gradient_step": ""})])
    good = Student("good", [Attack("x", "00", {"gradient_step": ""}, points={"gradient_step": 1})])
    open_end = Student("open", [Attack("x", "00", {"gradient_step": ""}, points={"gradient_step": 1}, may_lose=True)])
    assert gains({"bad": {"gradient_step": 1.0}}, [bad]) != []
    assert gains({"bad": {"adam_step": 1.0}}, [bad]) != []
    assert gains({"bad": {"gradient_step": 0.0}}, [bad]) == gains({}, [bad]) == []
    assert gains({"good": {"gradient_step": 0.0}}, [good]) != []
    assert gains({}, [good]) != []
    assert gains({}, [open_end]) == []
    secret = telling(numbers([{"lr": 0.26, "start": [[0.48, -1.82]]}]))
    assert secret == {(0.26, 0.48, 1.82)}
    assert leaks("<td>0.26</td><td>[0.48, -1.82</td>", secret) == secret
    assert leaks("0.26, 0.48, 1.83, 1.82, 0.48, 0.26", secret) == set()
    scripts = ["<a href='javascript:mark'>", "<img src=x onerror=mark>", "<script>mark</script>", "<svg id=mark>"]
    assert all(Dangers(page, "mark").found for page in scripts)
    assert not Dangers("&lt;script&gt;mark <img title='onerror=mark'>", "mark").found
    (tmp_path / "file").write_text("a")
    was = prints(tmp_path)
    (tmp_path / "file").chmod(0o777)
    assert prints(tmp_path) != was
