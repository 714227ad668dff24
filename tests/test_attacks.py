"""Nobody gains, nobody is harmed, nothing leaks: all attacks and breakages of ``attacks.py`` in one batch.

A dozen of them are tried on stock nbgrader, too (its own preprocessors, the check in the kernel). The table
attack · stock · ours is printed with ``-s`` and kept in ``attacks.txt`` in pytest's folder.
"""

import hashlib
import html
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from attacks import ATTACKS, RIGHT, WRONG, Attack
from course import copy_course, scores

from lecture_utils.checks import Verdict
from lecture_utils.environment import ROOT, tools
from lecture_utils.instructor.grading import sandbox, score
from lecture_utils.instructor.grading.score import Score

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=f"no sandbox: {sandbox.why_not()}")

VICTIMS = 6  # honest students, spread over the batch: each must have the point
SECONDS = 4  # per cell
STOCK_CONFIG = """
import os
c = get_config()
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.release_directory = "notebooks"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.py", "rubrics"]
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\\nraise NotImplementedError()"}
c.Execute.timeout = 6
os.environ["PYTHONPATH"] = c.CourseDirectory.root
"""
GRADE = """
import sys
from lecture_utils.instructor.grading import batch
if __name__ == "__main__":
    sys.exit(batch.grade(workers=2, cell_seconds=%d, submission_seconds=25))
"""
SPEC = """
import json
from lecture_utils.instructor.grading import score
from lecture_utils.checks.traces import encode
names = [n for n, e in score.exercises().items() if e.draw is not None]
print(json.dumps({n: [score.hidden(n).cases, [encode(t) for t in score.hidden(n).reference]] for n in names}))
"""


class Outside:
    """A folder that nobody may touch, with sockets that nobody may talk to."""

    def __init__(self, folder: Path, mark: str):
        folder.mkdir()
        self.folder, self.heard = folder, []
        (folder / "secret.txt").write_text("secret")
        abstract = f"\0{mark}"
        for kind, name in ((1, f"{folder}/.s.PGSQL.5432"), (1, abstract), (2, f"{folder}/log"), (2, abstract + "d")):
            # A path of pytest's may be too long for a socket: bind it under a short one.
            descriptor = os.open(folder, os.O_RDONLY)
            listening = socket.socket(socket.AF_UNIX, kind)
            listening.bind(name.replace(str(folder), f"/proc/self/fd/{descriptor}"))
            os.close(descriptor)
            if kind == 1:
                listening.listen()
            threading.Thread(target=self._hear, args=(listening, kind), daemon=True).start()

    def _hear(self, listening: socket.socket, kind: int) -> None:
        while True:
            self.heard.append(listening.accept()[0] if kind == 1 else listening.recv(100))


def students(attacks: list[Attack]) -> dict[str, Attack | None]:
    """Student ids in the order in which they are graded, with victims before, between and after."""
    found: dict[str, Attack | None] = {}
    step = max(1, len(attacks) // (VICTIMS - 1))
    for k, attack in enumerate(attacks):
        if k % step == 0:
            found[f"a{k:03}-victim"] = None
        found[attack.student or f"a{k:03}-{re.sub(r'[^a-z0-9]+', '-', attack.name.lower())[:40]}"] = attack
    return {**found, "victim-1": None}


def hand_in(course: Path, student: str, attack: Attack | None, words: dict[str, str], demos: bool = True) -> Path:
    """Write the submission. None is an honest one."""
    attack = attack or Attack("honest", answer=RIGHT)
    folder = course / "submitted" / student / "lecture12"
    folder.mkdir(parents=True)
    notebook = nbformat.read(course / "notebooks" / "lecture12" / f"{attack.notebook}.ipynb", as_version=4)
    answers = attack.answer if isinstance(attack.answer, dict) else {"gradient_step-answer": attack.answer}
    at = 0
    for k, cell in enumerate(notebook.cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell.source, at = answers[name], at or k
    for place, source in ((at, attack.first), (len(notebook.cells) + 1, attack.last)):
        if source:
            notebook.cells.insert(place, nbformat.v4.new_code_cell(source))
    if not demos:
        notebook.cells = [c for c in notebook.cells if "demo" not in c.metadata.get("tags", [])]
    text = json.dumps(notebook)
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    notebook = json.loads(text)
    path = folder / f"{attack.notebook}.ipynb"
    if attack.change:
        attack.change(notebook)
    path.write_text(json.dumps(notebook).replace("__MARK__", words["__MARK__"]))
    if attack.folder:
        attack.folder(folder)
    return folder


def prints(folder: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """What every file below is: its digest, or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(without) or "__pycache__" in name or path.is_dir():
            continue
        plain = path.is_file() and not path.is_symlink()
        found[name] = f"{path.lstat().st_mode:o} " + (hashlib.sha256(path.read_bytes()).hexdigest() if plain else "")
    return found


def left_over(course: Path) -> dict[str, str]:
    """Processes that were started with this course on their path, or in its folder."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            told = Path("/proc", entry, "environ").read_bytes() + os.readlink(f"/proc/{entry}/cwd").encode()
            if str(course).encode() in told and int(entry) != os.getpid():
                found[entry] = Path("/proc", entry, "cmdline").read_text()
        except OSError:
            continue
    return found


def gains(results: dict[str, tuple], who: dict[str, Attack | None]) -> list[str]:
    """Whom the points are more than deserved, and whom less."""
    wrong = []
    for student, attack in who.items():
        points = results.get(student, (None, 0))[0]
        if attack and attack.points < 0:  # it may keep or lose the point, and its submission
            continue
        deserved = attack.points if attack else 1
        if (points or 0) != deserved or (points is None and deserved):
            wrong.append(f"{student} ({attack.name if attack else 'victim'}): {points}, deserved {deserved}")
    return wrong


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The batch with all attacks, and the course before and after."""
    base = tmp_path_factory.mktemp("attacks")
    mark = f"mark{secrets.token_hex(6)}"
    course = copy_course(base / "course", "00", "01", "03", "04")
    outside = Outside(base / "outside", mark)
    home, temporary = base / "home", base / "tmp"
    (home / ".ipython/profile_default/startup").mkdir(parents=True)
    temporary.mkdir()
    words = {
        "__COURSE__": str(course),
        "__OUTSIDE__": str(outside.folder),
        "__MARK__": mark,
        "__HOME__": str(home),
        "__TMP__": str(temporary),
    }
    who = students(ATTACKS)
    for student, attack in who.items():
        hand_in(course, student, attack, words)
    written = (
        "submitted",
        "autograded",
        "feedback",
        "gradebook.db",
        "grading_secret",
        "report",
        "grades.csv",
        "set_aside",
    )
    keep = tuple(f"{s}/" for s in who)
    before = prints(course, written), prints(outside.folder), prints(home)
    handed_in = {s: prints(course / "submitted" / s) for s in who}
    environment = {**tools(), "HOME": str(home), "TMPDIR": str(temporary)}
    start = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GRADE % SECONDS],
        cwd=course,
        capture_output=True,
        text=True,
        env=environment,
        timeout=900,
    )
    seconds = time.monotonic() - start
    after = prints(course, written), prints(outside.folder), prints(home)
    while (left := left_over(course)) and time.monotonic() < start + seconds + 60:
        pass  # a process that was killed needs a moment to be gone
    spec = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPEC], cwd=course, capture_output=True, text=True, env=environment
    )
    return {
        "course": course, "who": who, "run": run, "seconds": seconds, "before": before, "after": after, "mark": mark,
        "handed_in": handed_in, "scores": scores(course), "left": left, "outside": outside, "keep": keep,
        "temporary": sorted(p.name for p in temporary.iterdir() if not p.name.startswith(("pymp-", "matplotlib", "torchinductor"))),
        "hidden": json.loads(spec.stdout), "records": records(course),
    }  # fmt: skip


def records(course: Path) -> dict[str, dict]:
    return {p.stem: json.loads(p.read_text()) for p in (course / "autograded/.records/lecture12").glob("*.json")}


def verdicts(course: Path, student: str) -> dict[str, dict]:
    found = {}
    for path in (course / "autograded" / student).glob("*/*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found |= {
            c.metadata.nbgrader.grade_id: c.metadata.lecture_utils for c in cells if "lecture_utils" in c.metadata
        }
    return found


def test_nobody_gains_and_every_right_answer_keeps_its_points(ours):
    assert len(ATTACKS) >= 80
    assert gains(ours["scores"], ours["who"]) == []


def test_what_is_tried_in_a_kernel_is_not_possible(ours):
    """These answer right if it is. A verdict "review" would mean so, too."""
    tried = [s for s, a in ours["who"].items() if a and a.blocked]
    kinds = {s: [v["kind"] for v in verdicts(ours["course"], s).values()] for s in tried}
    assert {s: k for s, k in kinds.items() if set(k) & {"passed", "review"}} == {}


def test_every_submission_is_graded_and_the_batch_ends(ours):
    assert ours["run"].returncode in (0, 1), ours["run"].stdout[-3000:] + ours["run"].stderr[-2000:]
    lost = {s for s in ours["who"] if ours["records"].get(s, {"error": "no record"})["error"]}
    assert lost <= {s for s, a in ours["who"].items() if a and a.lost}


def test_nothing_outside_was_touched(ours):
    for was, now in zip(ours["before"], ours["after"], strict=True):
        # Jupyter's own settings, and the paired notebooks that the gradebook is made from on demand
        ours_to_make = re.compile(r"\.jupyter/|source/lecture12/\d\d_\w+\.ipynb$")
        assert {name: kind for name, kind in now.items() ^ was.items() if not ours_to_make.match(name)} == {}
    assert ours["outside"].heard == []
    found = [
        p
        for d in ("/tmp", "/dev/shm", "/var/tmp", Path.home(), "/work")
        if os.path.isdir(d)
        for p in os.listdir(d)
        if ours["mark"] in p
    ]
    assert found == []
    startup = Path.home() / ".ipython/profile_default/startup"
    assert not startup.exists() or not [p for p in startup.iterdir() if ours["mark"] in p.name]
    assert ours["temporary"] == []


def test_submissions_stay_as_they_were_handed_in(ours):
    """Grading mends some of them, and keeps what was handed in beside it."""
    for student, attack in ours["who"].items():
        if attack is None:
            assert prints(ours["course"] / "submitted" / student) == ours["handed_in"][student]


def test_no_process_is_left(ours):
    assert ours["left"] == {}


def pages(course: Path) -> dict[str, str]:
    return {
        str(p.relative_to(course / "feedback")): p.read_text(encoding="utf-8")
        for p in (course / "feedback").rglob("*.html")
    }


def leaks(page: str, hidden: dict) -> set[str]:
    """Hidden numbers that stand on a page: lists of inputs, seeds, and reference values."""
    text = re.sub(r"\s|&#\d+;|<[^>]*>", "", html.unescape(page))
    found = set()

    def look(value):
        if isinstance(value, list) and value and all(isinstance(v, float) for v in value) and len({*value}) > 1:
            found.update({json.dumps(value)} if json.dumps(value).replace(" ", "")[1:-1] in text else ())
        elif isinstance(value, list):
            [look(v) for v in value]
        elif isinstance(value, dict):
            [look(v) for k, v in value.items() if k not in ("hyper", "settings")]
        elif isinstance(value, int) and value > 10**6:
            found.update({str(value)} if str(value) in text else ())

    look(list(hidden.values()))
    return found


def test_feedback_pages_hold_no_secret(ours):
    secret = (ours["course"] / "grading_secret").read_text().strip()
    told = pages(ours["course"])
    assert len(told) > 0.9 * len(ours["who"])
    assert {name for name, page in told.items() if secret in page} == set()
    assert {name for name, page in told.items() if leaks(page, ours["hidden"])} == set()


class Dangers(HTMLParser):
    """Tags of a page that run something and hold the mark, or an attribute that runs something, whoever wrote it."""

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


def test_pages_and_graded_notebooks_hold_no_script_of_a_student(ours):
    mark, found = ours["mark"], []
    for name, page in pages(ours["course"]).items():
        found += [(name, danger) for danger in Dangers(page, mark).found]
    for path in (ours["course"] / "autograded").glob("*/*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            outputs = [o for o in cell.get("outputs", []) if "lecture_utils" not in cell.metadata]
            found += [
                (path.parts[-3], o.data.keys()) for o in outputs if set(o.get("data", {})) - {"text/plain", "image/png"}
            ]
            if cell.cell_type != "code":
                found += [(path.parts[-3], danger) for danger in Dangers(cell.source, mark).found]
    assert found == []


def test_pages_stay_small(ours):
    large = {n for n, page in pages(ours["course"]).items() if len(page) > 3_000_000 and "45-mb" not in n}
    assert large == set()


def test_what_a_person_should_see_is_flagged(ours):
    wanted = {s for s, a in ours["who"].items() if a and a.review}
    flagged = {s for s in ours["who"] if any(v["kind"] == "review" for v in verdicts(ours["course"], s).values())}
    assert wanted - flagged == set()
    assert not {s for s, a in ours["who"].items() if a is None} & flagged


# --- the same on stock nbgrader ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Points of the attackers that are tried there, and of the victim after each."""
    base = tmp_path_factory.mktemp("stock")
    course = copy_course(base / "course", "00")
    (course / "nbgrader_config.py").write_text(STOCK_CONFIG)
    home = base / "home"
    home.mkdir()
    words = {
        "__COURSE__": str(course),
        "__OUTSIDE__": str(base),
        "__MARK__": "mark",
        "__HOME__": str(home),
        "__TMP__": str(base),
    }
    environment = {**tools(), "HOME": str(home), "TMPDIR": str(base), "OMP_NUM_THREADS": "1"}

    def nbgrader(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-m", "nbgrader", *arguments]
        return subprocess.Popen(
            command, cwd=course, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    assert nbgrader("generate_assignment", "lecture12", "--create", "--force").wait() == 0
    tried = [a for a in ATTACKS if a.stock]
    # Whoever stops a batch is graded in one of its own, with a victim after it.
    stoppers = {"check cell duplicated", "answer cell duplicated", "schema version 1"}
    groups = [[a for a in tried if a.name not in stoppers][k::2] for k in range(2)]
    groups += [[a] for a in tried if a.name in stoppers]
    results = {}
    for g, group in enumerate(groups):
        for k, attack in enumerate(group):
            hand_in(course, f"g{g}-{k:02}", attack, words, demos=False)
        hand_in(course, f"g{g}-99", None, words, demos=False)
    runs = [nbgrader("autograde", "lecture12", f"--student=g{g}-*") for g in range(2)]
    [r.wait(300) for r in runs]
    runs = [nbgrader("autograde", "lecture12", f"--student=g{g}-*") for g in range(2, len(groups))]
    [r.wait(300) for r in runs]
    points = scores(course)
    for g, group in enumerate(groups):
        victim = points.get(f"g{g}-99", (None, 0))[0] if (course / "autograded" / f"g{g}-99").exists() else None
        for k, attack in enumerate(group):
            graded = (course / "autograded" / f"g{g}-{k:02}").exists()
            results[attack.name] = points.get(f"g{g}-{k:02}", (None, 0))[0] if graded else None, victim
    return results


def test_the_same_attacks_succeed_on_stock_nbgrader(stock):
    """A control: the submissions are real attacks, and the way they are counted sees a gain and a harm."""
    rows = {a.name: a for a in ATTACKS}
    gained = {n for n, (points, _) in stock.items() if (points or 0) > rows[n].points >= 0}
    lost = {n for n, (points, _) in stock.items() if (points or 0) < rows[n].points}
    harmed = {n for n, (_, victim) in stock.items() if victim != 1}
    assert len(gained) >= 4, stock
    assert len(lost) >= 3, stock
    assert harmed >= {"check cell duplicated", "schema version 1"}, stock


def test_table(ours, stock, tmp_path_factory):
    by_name = {a.name: s for s, a in ours["who"].items() if a}
    lines = [f"{'attack':64} {'deserved':>8} {'stock':>20} {'ours':>8}"]
    for attack in ATTACKS:
        points, victim = stock.get(attack.name, ("", 1))
        theirs = "not graded" if points is None else f"{points}"
        theirs += "" if victim == 1 else ", victim lost"
        mine = ours["scores"].get(by_name[attack.name], ("not graded", 0))[0]
        lines.append(
            f"{attack.name[:64]!s:64} {attack.points if attack.points >= 0 else '0 or 1':>8} {theirs:>20} {mine:>8}"
        )
    lines.append(f"{len(ATTACKS)} attacks and {VICTIMS + 1} honest submissions in {ours['seconds']:.0f} s")
    text = "\n".join(line.encode("ascii", "replace").decode() for line in lines)
    (tmp_path_factory.getbasetemp() / "attacks.txt").write_text(text)
    print("\n" + text)


def test_the_harness_sees_a_gain_a_harm_a_leak_and_a_change(tmp_path, monkeypatch):
    """Controls: with a scorer that trusts what a kernel sends, the forged record is a gain."""
    monkeypatch.setattr(score, "_verdict", lambda name, sent, _: Verdict(name, True, "passed", sent["credit"], "", ""))
    notebook = nbformat.read(ROOT / "notebooks" / "lecture12" / "00_start_here.ipynb", as_version=4)
    forged = {"observed": {"gradient_step": {"credit": 1.0}}, "nbgrader": {"student": "a"}, "run": {}}
    Score().preprocess(notebook, forged)
    points = next(c.metadata.lecture_utils.points for c in notebook.cells if "lecture_utils" in c.metadata)
    attacker, victim = {"a": Attack("forged")}, {"v": None}
    assert gains({"a": (points, 1)}, attacker) != []
    assert gains({"a": (0.0, 1)}, attacker) == []
    assert gains({"v": (0.0, 1)}, victim) != []
    assert gains({}, victim) != []
    hidden = {"x": [[{"start": [{"w": [0.25, -1.5]}], "seed": 1234567890}]]}
    assert leaks("<p>w = [0.25,<b> -1.5</b>]</p>", hidden) == {"[0.25, -1.5]"}
    assert leaks("<p>1234567890</p>", hidden) == {"1234567890"}
    assert leaks("<p>0.25 and 1.5</p>", hidden) == set()
    bad = ["<a href='javascript:mark'>", "<img src=x onerror=mark>", "<script>mark</script>", "<svg id=mark>"]
    assert all(Dangers(page, "mark").found for page in bad)
    assert not Dangers("&lt;script&gt;mark <img title='onerror=mark'>", "mark").found
    (tmp_path / "file").write_text("a")
    was = prints(tmp_path)
    (tmp_path / "file").chmod(0o777)
    assert prints(tmp_path) != was


# --- with and without the sandbox ---------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """A course that everybody may read, with one honest student."""
    course = copy_course(tmp_path / "course", "00")
    hand_in(course, "honest", None, {"__MARK__": ""})
    return course


def graded(course: Path, *command: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*command, "--no-feedback"],
        cwd=course,
        capture_output=True,
        text=True,
        env={**tools(), "PYTHONPATH": str(course), **more},
    )


PYTHON = [sys.executable, "-W", "ignore"]


def test_a_course_inside_the_environment_is_refused(small):
    code = f"import sys; sys.prefix = {str(small.parent)!r}; from lecture_utils.__main__ import main; sys.exit(main(sys.argv[1:]))"
    run = graded(small, *PYTHON, "-c", code, "grade")
    assert run.returncode == 1
    assert f"The course lies in {small.parent}, which student code must be able to read" in run.stderr
    assert "--unsandboxed" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (small / "autograded").exists()


def test_a_machine_without_user_namespaces_is_refused_also_by_nbgrader(small):
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    without = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", *PYTHON]
    run = graded(small, *without, "-m", "lecture_utils", "grade")
    assert run.returncode == 1
    assert re.search(r"The sandbox cannot be set up: .*unshare is not allowed here", run.stderr), run.stderr[-1000:]
    assert not (small / "autograded").exists()
    plain = subprocess.run(
        [*without, "-m", "nbgrader", "autograde", "lecture12", "--create"],
        cwd=small,
        capture_output=True,
        text=True,
        env=tools(),
    )
    assert plain.returncode != 0
    assert not (small / "autograded" / "honest" / "lecture12" / "00_start_here.ipynb").exists()


def test_unsandboxed_grades_with_a_warning(small):
    run = graded(small, *PYTHON, "-m", "lecture_utils", "grade", "--unsandboxed")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Warning: without the sandbox" in run.stderr
    assert scores(small)["honest"][0] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="tests as an ordinary user already")
def test_an_ordinary_user_grades_in_the_sandbox():
    """Root becomes one, in a mount namespace in which a Python in /root can be read by others."""
    base = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        course = copy_course(base / "course", "00")
        spy = "import os, ctypes\ntry: os.chmod('__COURSE__/gradebook.db', 0)\nexcept OSError: pass\nprint(open('__COURSE__/grading_secret').read())"
        hand_in(course, "honest", None, {"__MARK__": ""})
        hand_in(course, "hostile", Attack("spy", spy, answer=WRONG), {"__MARK__": "", "__COURSE__": str(course)})
        (base / "home").mkdir()
        subprocess.run(["chown", "-R", "65534:65534", base], check=True)
        visible = "set -e; mkdir -p {0}/pyenv; mount --make-rprivate /; mount --bind /root {0}/pyenv; mount -t tmpfs -o mode=755 tmpfs /root; "
        visible += "for d in $(ls -A {0}/pyenv); do if [ -d {0}/pyenv/$d ]; then mkdir /root/$d; mount --bind {0}/pyenv/$d /root/$d; fi; done; "
        visible += 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
        command = ["unshare", "-m", "sh", "-c", visible.format(base), "sh", *PYTHON, "-m", "lecture_utils", "grade"]
        run = graded(course, *command, HOME=str(base / "home"), TMPDIR=str(base / "home"))
        assert run.returncode == 0, run.stdout[-1000:] + run.stderr[-2000:]
        assert {s: p for s, (p, _) in scores(course).items()} == {"honest": 1, "hostile": 0}
        assert (course / "gradebook.db").stat().st_mode & 0o777
        assert left_over(course) == {}
    finally:
        shutil.rmtree(base)
