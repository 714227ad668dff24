"""Set-up: what is made, what is left alone, and what a newcomer is told when it cannot work."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from lecture_utils import __main__, environment
from lecture_utils.environment import ROOT, CourseError, ensure, missing, pins


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder of its own, in which no environment stands and this Python satisfies nothing."""
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name, path in {"VENV": ".venv", "STAMP": ".venv/lecture_utils.stamp", "LOG": ".venv/setup.log"}.items():
        monkeypatch.setattr(environment, name, tmp_path / path)
    monkeypatch.setattr(environment, "missing", lambda extras=(): ["torch==0"])
    return tmp_path


def fake_pip(monkeypatch, log="", code=0):
    """A pip that leaves ``log``, and a venv that costs nothing; the commands of all installations."""
    installs = []

    def run(command, **_):
        if "venv" in command:
            (environment.VENV / "bin").mkdir(parents=True, exist_ok=True)
            (environment.VENV / "bin" / "python").touch()
        if "install" not in command:
            return SimpleNamespace(returncode=0, stdout="", stderr="")
        installs.append(command)
        stamped = [f"2026-01-31T12:00:00,000 {line}" for line in log.splitlines()]
        environment.LOG.write_text("\n".join(stamped), encoding="utf-8")
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(environment.subprocess, "run", run)
    return installs


def extras_of(command):
    """What a command of pip installs of this package beside its requirements."""
    found = [re.search(r"\[(.+)\]$", word) for word in command]
    return [hit[1].split(",") for hit in found if hit]


def test_this_environment_satisfies_the_requirements_and_is_used():
    assert missing(["test"]) == []
    assert ensure(["test"]) == sys.executable


def test_every_pin_is_exact_and_installed():
    assert pins()["torch"] == "2.13.0"
    assert pins(["grading"])["pebble"] == "5.2.3"
    for extra, name in {
        "test": "pytest",
        "grading": "pyseccomp",
        "authoring": "jupytext",
        "cluster": "distributed",
    }.items():
        assert name in pins([extra])
        assert name not in pins()
    assert {*pins(["grading"]), *pins(["authoring"]), *pins(["cluster"])} <= set(pins(["test"]))
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith(("#", "-e .")) or "==" in line, line


def test_requirements_are_what_the_travelling_half_imports():
    """Nothing that only those who run the course need is installed for a student."""
    run_by_name = {"ipykernel", "jupyterlab", "nbgrader", "nbclient", "nbconvert"}  # by `lab` and by its Validate
    imported = imported_by(f for f in PACKAGE.rglob("*.py") if "instructor" not in f.parts)
    assert imported <= with_what_they_bring(pins())
    assert set(pins()) <= imported | run_by_name | {"lecture_utils"}


def test_what_authoring_and_grading_import_is_in_their_extras():
    """Also without what the tests bring."""
    authoring = imported_by((PACKAGE / "instructor" / "authoring").rglob("*.py"))
    assert authoring <= with_what_they_bring(pins(["authoring"]))
    all_of_it = imported_by(PACKAGE.rglob("*.py"))
    assert all_of_it <= with_what_they_bring(pins(["grading", "cluster"]))
    assert set(pins(["grading", "cluster"])) <= all_of_it | set(pins()) | {"psycopg2-binary"}  # sqlalchemy asks for it


PACKAGE = ROOT / "lecture_utils"


def imported_by(files):
    """The distributions that files import from."""
    known = metadata.packages_distributions()
    return {spelled(known[name][0]) for file in files for name in imports_of(file) if name in known} - {"lecture-utils"}


def with_what_they_bring(names):
    return {
        spelled(re.match(r"[\w.-]+", line)[0]) for name in names for line in [name, *(metadata.requires(name) or [])]
    }


def spelled(name):
    """One name for what registries take for one: jupyter_client, Jupyter-Client."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imports_of(file):
    """The first parts of the names of all modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def test_second_start_installs_nothing(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    first = ensure()
    assert ensure() == first
    assert len(installs) == 1


def test_changed_requirements_install_again(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    ensure()
    with (course / "requirements.txt").open("a") as file:
        file.write("tqdm==1.0\n")
    ensure()
    assert len(installs) == 2


def test_extras_are_installed_when_first_asked_for_and_remembered(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    for extras in ([], ["grading"], [], ["authoring"], ["grading"], ["test"], ["cluster"]):
        ensure(extras)
    assert [extras_of(command) for command in installs] == [
        [],
        [["authoring", "grading"]],  # which holds what comes third and fourth
        [["authoring", "cluster", "grading", "test"]],
    ]


def test_changed_requirements_keep_the_extras_that_were_there(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    ensure(["cluster"])
    with (course / "requirements.txt").open("a") as file:
        file.write("tqdm==1.0\n")
    ensure()
    assert extras_of(installs[-1]) == [["cluster"]]


def test_an_environment_of_the_course_that_misses_something_is_mended_whatever_its_stamp_says(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    ensure()
    monkeypatch.setattr(environment.sys, "prefix", str(environment.VENV))
    ensure()
    assert len(installs) == 2


def test_interrupted_setup_is_finished_by_the_next_start(course, monkeypatch):
    installs = fake_pip(monkeypatch)
    working = environment.subprocess.run

    def interrupted(command, **options):
        if "install" in command:
            raise KeyboardInterrupt
        return working(command, **options)

    monkeypatch.setattr(environment.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure()
    assert not environment.STAMP.exists()
    monkeypatch.setattr(environment.subprocess, "run", working)
    ensure()
    assert len(installs) == 1
    assert environment.STAMP.exists()


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError('…')'\n"
            "ERROR: No matching distribution found for torch==2.13.0",
            "Connect to the internet",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "no version for this Python or system"),
        ("PermissionError: [Errno 13] Permission denied: '.venv'", "cannot be written to"),
        ("ERROR: [WinError 5] Access is denied: 'C:\\\\course\\\\.venv'", "cannot be written to"),
        ("ERROR: [WinError 32] The process cannot access the file", "in use"),
        (
            "ERROR: Could not install packages due to an OSError. HINT: enable Windows Long Path support",
            "too long a name",
        ),
        ("ERROR: something nobody foresaw", "something nobody foresaw"),
    ],
)
def test_a_failed_setup_says_what_to_do(course, monkeypatch, output, advice):
    fake_pip(monkeypatch, output, code=1)
    with pytest.raises(CourseError, match=advice):
        ensure()
    assert not environment.STAMP.exists()


def test_a_python_that_cannot_make_environments_is_told_how_it_can(course, monkeypatch):
    told = "The virtual environment was not created because ensurepip is not available."
    failed = SimpleNamespace(returncode=1, stdout=told, stderr="")
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(CourseError, match="python3-venv"):
        ensure()


def test_what_pip_only_mentions_is_not_taken_for_the_cause(course, monkeypatch):
    log = (
        "  Link requires a different Python: Permission denied-1.0.tar.gz\nERROR: something else\nRemoved build tracker"
    )
    fake_pip(monkeypatch, log, code=1)
    with pytest.raises(CourseError, match="Set-up failed: ERROR: something else Start"):
        ensure()


def test_a_full_disk_is_told_before_anything_is_made(course, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
    with pytest.raises(CourseError, match="Make room"):
        ensure()
    assert not environment.VENV.exists()


def test_an_old_python_is_told_which_one_is_needed(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 0))
    with pytest.raises(CourseError, match=r"Python 3.11 or newer is needed"):
        ensure()


@pytest.mark.parametrize(
    "file", ["__init__.py", "__main__.py", "environment.py", "instructor/__init__.py", "instructor/commands.py"]
)
def test_setup_code_is_read_by_an_old_python_and_needs_nothing_installed(file):
    tree = ast.parse((ROOT / "lecture_utils" / file).read_text(encoding="utf-8"), feature_version=(3, 8))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {name.name for node in top if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
    others = {m for m in modules if m.partition(".")[0] not in sys.stdlib_module_names}
    assert others <= {"lecture_utils.environment"}


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        ("lab", []),
        ("lab --instructor", ["grading"]),  # the formgrader's button grades
        ("build --check", ["authoring"]),
        ("paper", ["authoring"]),
        ("bundle", []),
        ("grade --force", ["grading"]),
        ("grade --db postgresql://here", ["grading", "cluster"]),
        ("grade --cluster tcp://there", ["grading", "cluster"]),
        ("report", ["grading"]),
        ("demo", ["grading"]),
        ("test -k lab", ["test"]),
    ],
)
def test_each_command_asks_for_what_it_needs_before_it_starts(monkeypatch, capsys, words, extras):
    def ensure(asked):
        raise CourseError(f"asked for {list(asked)}")

    monkeypatch.setattr(__main__, "ensure", ensure)
    assert __main__.main(words.split()) == 1
    assert capsys.readouterr().err == f"asked for {extras}\n"


def test_an_unknown_command_or_notebook_is_an_error():
    command = [sys.executable, "-m", "lecture_utils"]
    for arguments, sentence in {("bild",): "invalid choice", ("build", "99"): "No source starts with 99"}.items():
        run = subprocess.run(
            [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert run.returncode
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr


def test_a_second_copy_of_the_course_runs_its_own_package(tmp_path, monkeypatch):
    (tmp_path / "lecture_utils").mkdir()
    (tmp_path / "lecture_utils" / "__init__.py").touch()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    command = [sys.executable, "-c", "import lecture_utils; print(lecture_utils.__file__)"]
    shown = subprocess.run(command, cwd="/", env=environment.tools(), capture_output=True, text=True, check=True)
    assert shown.stdout.startswith(str(tmp_path))
