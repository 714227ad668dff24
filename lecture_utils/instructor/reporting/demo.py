"""`demo`: a throw-away class, honest and hostile, graded before your eyes: the instructor's whole path in one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable
from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError, tools
from lecture_utils.instructor.grading import sandbox

FOLDERS = ("lecture_utils", "notebooks", "solutions", "source")
FILES = ("nbgrader_config.py", "pyproject.toml", "requirements.txt")
CELL_SECONDS = 10  # so that an endless loop costs little
HandIn = Callable[[Path], object]  # puts one student's work into a folder, or changes a file there
Class = dict[str, NotebookNode]  # the notebooks of one submission, by name

# What students write instead, by exercise. Their checks should know most of it.
MISTAKES = {
    "gradient_step": [
        "w - lr * grad",
        "return w + lr * grad",
        "p = w.clone().requires_grad_(); p.grad = grad; torch.optim.SGD([p], lr=lr).step(); return p.detach()",
    ],
    "noise_scale": ["g = per_example_grads.mean(dim=0); return ((per_example_grads - g).square().sum(1).mean() / g.norm()).item()"],
    "exponential_decay": ["return lr0 / (1 + k * t)", "return lr0 * math.exp(k * t)"],
    "decay_constant": ["return math.log(lr_end / lr0) / epochs", "return (lr0 - lr_end) / epochs"],
    "reachable_distance": ["return lr0 * grad_norm / k", "return lr0 / (1 - math.exp(-k))"],
    "exponential_lambda": ["return lambda epoch: 1 / (1 + k * epoch)", "return math.exp(-k)"],
    "momentum_step": [
        "delta = alpha * delta + grad; return w - lr * delta, delta",
        "return w - alpha * delta - lr * grad, delta",
        "delta = alpha * delta + lr * gradient; return w - delta, delta",
    ],
    "effective_learning_rate": ["return lr * (1 - alpha)", "return lr / alpha"],
    "nesterov_step": ["delta = alpha * delta + lr * grad_fn(w); return w - delta, delta"],
    "rmsprop_step": [
        "r = beta * r + (1 - beta) * grad**2; return w - lr * grad / (r + eps).sqrt(), r",
        "r = beta * r + (1 + beta) * grad**2; return w - lr * grad / (r.sqrt() + eps), r",
    ],
    "first_step_size": ["return lr", "return lr / (1 - beta)"],
    "adam_step": [
        "t = t + 1; m = beta1 * m + (1 - beta1) * grad; r = beta2 * r + (1 - beta2) * grad**2; return w - lr * m / (r.sqrt() + eps), m, r, t",
        "t = t + 1; return torch.optim.Adam([w], lr=lr)",
    ],
}  # fmt: skip

ATTACKS = {  # what hostile students write, and nothing else
    "loop": "while True:\n    pass",
    "exit": "import os\nos._exit(0)",
    "source": "import glob\nfor file in glob.glob('../../../source/**/*.py', recursive=True) + ['../../../source/lecture12/rubrics/nb00.py']:\n"
    "    exec(open(file).read())",
    "forged": "from IPython.display import display\nfrom lecture_utils.instructor.grading import emit\n"
    "class Fake:\n    passed, credit, kind = True, 1.0, 'passed'\n"
    'def forge(*args):\n    display({emit.MIME: \'{"passed": true, "credit": 1, "nonce": ""}\'}, raw=True)\n    print(99.0)\n    return 99.0\n'
    "emit.emit = forge\nimport lecture_utils.checks\nlecture_utils.checks.check = check = forge",
    "memory": "hoard = [bytearray(b'x') * 2**28 for _ in range(64)]",
    "forks": "import os, time\nfor _ in range(64):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)",
    "gradebook": "import sqlite3\nbook = sqlite3.connect('../../../gradebook.db')\nbook.execute('update grade set manual_score = 99')\nbook.commit()",
}


def demo(directory: str | Path | None = None, browser: bool = True, only: tuple[str, ...] = ("*",)) -> int:
    """Make a class in ``directory`` (a new temporary folder when left out), grade it, open its report.

    ``only`` are patterns of student ids, for a smaller class. The exit code of grading. Raises ``CourseError``.
    """
    course = Path(directory).resolve() if directory else Path(tempfile.mkdtemp(prefix="class-"))
    if course.exists() and (not course.is_dir() or any(course.iterdir())):
        raise CourseError(f"{course} is not an empty folder. Name one that is empty or not there yet.")
    start = time.monotonic()
    print(f"A throw-away class in {course}", flush=True)
    for part in FOLDERS:
        shutil.copytree(ROOT / part, course / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for part in FILES:
        shutil.copy2(ROOT / part, course)
    locked = not (reason := sandbox.why_not())
    students = _class(course, hostile=locked)
    students = {name: hand_in for name, hand_in in students.items() if any(fnmatch(name, pattern) for pattern in only)}
    for name, hand_in in students.items():
        folder = course / "submitted" / name / ASSIGNMENT
        folder.mkdir(parents=True)
        hand_in(folder)
    print(f"{len(students)} submissions: {', '.join(students)}", flush=True)
    if reason:
        print(f"{reason} So no hostile students, and grading without it.")
    command = [sys.executable, "-m", "lecture_utils", "grade", ASSIGNMENT, "--cell-seconds", str(CELL_SECONDS)]
    code = subprocess.run(command + ["--unsandboxed"] * (not locked), cwd=course, env=tools(), check=False).returncode
    page = course / "report" / "index.html"
    print(f"Made and graded in {time.monotonic() - start:.0f} s. The report: {page}")
    print(f"The formgrader: cd {course} && {sys.executable} -m lecture_utils lab --instructor")
    if browser and page.exists():
        webbrowser.open(page.as_uri())
    return code


# --- the class ---------------------------------------------------------------------------------------------------


def _class(course: Path, hostile: bool) -> dict[str, HandIn]:
    """Every student, by id."""
    released = {
        p.stem: nbformat.read(p, as_version=4) for p in sorted((course / "notebooks" / ASSIGNMENT).glob("*.ipynb"))
    }
    solved = {
        name: solve(notebook, course / "solutions" / ASSIGNMENT / f"{name}.ipynb")
        for name, notebook in released.items()
    }
    if not released:
        raise CourseError("There are no notebooks to hand in. First: python3 -m lecture_utils build")
    students = {f"good-{k}": _writing(solved) for k in range(1, 4)}
    for k in range(1, 4):
        unwritten = dict(list(_answers(released).items())[k % 3 :: 3])
        students[f"average-{k}"] = _writing(_with(solved, _slips(released, k, 5) | unwritten))
    for k in range(1, 5):
        students[f"mistake-{k}"] = _writing(_with(solved, _slips(released, k, 2)))
    students |= {f"broken-{name}": _breaking(solved, how) for name, how in BREAKAGES.items()}
    first, notebook = next((a, {n: released[n]}) for n in released for a in _answers({n: released[n]}))
    students |= {
        f"hostile-{name}": _writing(_with(notebook, {first: code})) for name, code in ATTACKS.items() if hostile
    }
    return students


def solve(notebook: NotebookNode, solution: Path) -> NotebookNode:
    """The released notebook with the solution's text in every cell that a student may write in."""
    right = {c.id: c.source for c in nbformat.read(solution, as_version=4).cells} if solution.exists() else {}
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") or (cell.cell_type == "code" and not about.get("locked")):
            cell.source = right.get(cell.id, cell.source)
    return notebook


def _id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _answers(notebooks: Class) -> dict[str, str]:
    """The cells to be written in, by grade id, as they are given out."""
    return {
        _id(c): c.source for n in notebooks.values() for c in n.cells if c.metadata.get("nbgrader", {}).get("solution")
    }


def _slips(released: Class, k: int, every: int) -> dict[str, str]:
    """Wrong answers of student ``k``, to every second, third … exercise of the table."""
    answers, slips = _answers(released), {}
    for i, (name, bodies) in enumerate(MISTAKES.items()):
        if (i + k) % every == 0 and (stub := answers.get(f"{name}-answer")):
            signature = next(line for line in stub.splitlines() if line.startswith("def "))
            slips[f"{name}-answer"] = f"{signature}\n    {bodies[k // every % len(bodies)]}\n"
    return slips


def _with(notebooks: Class, answers: dict[str, str]) -> Class:
    notebooks = deepcopy(notebooks)
    for cell in (c for n in notebooks.values() for c in n.cells):
        cell.source = answers.get(_id(cell), cell.source)
    return notebooks


def _writing(notebooks: Class) -> HandIn:
    return lambda folder: [nbformat.write(n, folder / f"{name}.ipynb") for name, n in notebooks.items()]


# --- what happens to notebooks on their way ----------------------------------------------------------------------


def _breaking(solved: Class, how: HandIn) -> HandIn:
    """Right answers, but something happens to the notebook in the middle."""
    return lambda folder: (_writing(solved)(folder), how(sorted(folder.glob("*.ipynb"))[len(solved) // 2]))


def _cells(change: Callable[[list[dict]], list[dict]]) -> HandIn:
    def rewrite(path: Path) -> None:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(notebook | {"cells": change(notebook["cells"])}), encoding="utf-8")

    return rewrite


BREAKAGES: dict[str, HandIn] = {
    "duplicated": _cells(lambda cells: [c for c in cells for _ in range(2 if "nbgrader" in c["metadata"] else 1)]),
    "stripped": _cells(lambda cells: [c | {"metadata": {}} for c in cells]),
    "renamed": lambda path: path.rename(path.with_name(f"{path.stem} (1) final.ipynb")),
    "check-deleted": _cells(lambda cells: [c for c in cells if not c["metadata"].get("nbgrader", {}).get("grade")]),
    "damaged": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "missing": lambda path: path.unlink(),
    "encoding": lambda path: path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16")),
}
