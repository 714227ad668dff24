"""The code is as ruff formats it and fits into a notebook, modules import each other one way, and functions stay small."""

import ast
import json
import subprocess
import sys

import jupytext
import pytest

from lecture_utils.environment import ROOT


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:]


NOTEBOOKS = sorted((ROOT / "source" / "lecture12").glob("0[0-8]_*.py"))


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda s: s.stem)
def test_code_in_notebooks_keeps_to_100_columns(source):
    """A longer line hides its end behind a scroll bar. Text wraps by itself and may be as long as it likes."""
    cells = [c for c in jupytext.read(source, fmt="py:percent").cells if c.cell_type == "code"]
    long = [line for c in cells for line in c.source.splitlines() if len(line) > 100]
    assert not long, "\n".join([source.name, *long])


# --- the house -------------------------------------------------------------------------------------------------------

PACKAGE = ROOT / "lecture_utils"
INSTRUCTOR = "lecture_utils.instructor"


def module_of(file):
    """lecture_utils/checks/__init__.py → lecture_utils.checks"""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


def imports_of(tree, known):
    """The modules of the package that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (name for name in whole if name in known)
            if whole - known:
                yield node.module


def graph(trees):
    return {module: set(imports_of(tree, set(trees))) - {module} for module, tree in trees.items()}


def circles(imports):
    """What is left when modules that import nothing that is left, or that nothing left imports, are taken away."""
    left = {module: set(others) for module, others in imports.items()}
    while True:
        left = {module: others & left.keys() for module, others in left.items()}
        imported = set().union(*left.values())
        ends = {module for module, others in left.items() if not others or module not in imported}
        if not ends:
            return {module: sorted(others) for module, others in left.items()}
        left = {module: others for module, others in left.items() if module not in ends}


def test_no_modules_import_each_other_in_a_circle():
    found = circles(graph(TREES))
    assert not found, "\n".join(f"{module} imports {', '.join(others)}" for module, others in found.items())


def test_the_search_for_circles_can_find_one():
    texts = {"a": "import b", "b": "def f():\n    from c import g", "c": "from a import h", "d": "import a", "e": ""}
    assert circles(graph({name: ast.parse(text) for name, text in texts.items()})) == {
        "a": ["b"],
        "b": ["c"],
        "c": ["a"],
    }


@pytest.mark.parametrize(
    ("room", "closed"),
    [
        (f"{INSTRUCTOR}.authoring", (f"{INSTRUCTOR}.grading", f"{INSTRUCTOR}.reporting")),
        (f"{INSTRUCTOR}.grading", (f"{INSTRUCTOR}.reporting",)),
    ],
)
def test_arrows_point_down_in_the_instructors_house(room, closed):
    upwards = {
        (module, other) for module, others in graph(TREES).items() if module.startswith(room)
        for other in others if other.startswith(closed)
    }  # fmt: skip
    assert not upwards


def test_what_travels_imports_nothing_of_the_instructors():
    """But for one line in __main__.py, which looks first whether it is there."""
    imports = {m: others for m, others in graph(TREES).items() if not m.startswith(INSTRUCTOR)}
    found = {(module, other) for module, others in imports.items() for other in others if other.startswith(INSTRUCTOR)}
    assert found == {("lecture_utils.__main__", f"{INSTRUCTOR}.commands")}


LONGEST, MOST_BRANCHES = 40, 12
REASON = "one piece because"


def functions_of(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines_of(function):
    """From its name to its end, without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    return function.end_lineno - function.lineno + 1 - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


def branched(folder):
    """Where ruff counts too many branches: {(file, line of the function's name)}."""
    options = ["--isolated", "--no-cache", "--select=C901,PLR0912", "--output-format=json", "--exit-zero"]
    options += ["--config", f"lint.mccabe.max-complexity={MOST_BRANCHES}"]
    options += ["--config", f"lint.pylint.max-branches={MOST_BRANCHES}"]
    run = subprocess.run([sys.executable, "-m", "ruff", "check", *options, str(folder)], capture_output=True, text=True)
    return {(hit["filename"], hit["location"]["row"]) for hit in json.loads(run.stdout)}


def too_much(folder):
    """The functions that want to be two, and do not say in their docstring why they are one."""
    found, knots = [], branched(folder)
    for file in sorted(folder.rglob("*.py")):
        for function in functions_of(file.read_text(encoding="utf-8")):
            lines, knotted = lines_of(function), (str(file), function.lineno) in knots
            if (lines > LONGEST or knotted) and REASON not in " ".join((ast.get_docstring(function) or "").split()):
                found.append(
                    f"{file.relative_to(folder)}: {function.name}, {lines} lines{', too many branches' * knotted}"
                )
    return found


def test_functions_are_short_and_simple_or_say_why_not():
    found = too_much(PACKAGE)
    assert not found, "\n".join(found)


def test_the_search_for_long_and_knotted_functions_can_find_them(tmp_path):
    body, knots = "    x = 1\n" * 40, "".join(f"    if x == {k}:\n        x = 2\n" for k in range(13))
    reason = '    """Does much. It is one piece\n    because it is."""\n'
    text = f"def long(x):\n{body}\ndef short(x):\n{body[:-10]}\ndef knotted(x):\n{knots}\ndef reasoned(x):\n{reason}{body}{knots}"
    (tmp_path / "some.py").write_text(text, encoding="utf-8")
    assert too_much(tmp_path) == ["some.py: long, 41 lines", "some.py: knotted, 27 lines, too many branches"]
