"""The code is as ruff formats it and fits into a notebook, and each notebook asks for the time that it states."""

import re
import subprocess
import sys

import jupytext
import nbformat
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


def minutes(notebook):
    """180 words a minute, 4 seconds a line of code, a minute for a prediction or a figure, 2.5 for a point."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)  # hints are not for everybody
    own = [c for c in notebook.cells if c.cell_type == "code" and "nbgrader" not in c.metadata]
    lines = sum(bool(line.strip()) for c in own for line in c.source.splitlines())
    points = sum(c.metadata.get("nbgrader", {}).get("points", 0) for c in notebook.cells)
    return len(text.split()) / 180 + lines / 15 + text.count("**Predict") + text.count("Read the") + 2.5 * points


SOURCES = sorted((ROOT / "source" / "lecture12").glob("0[0-7]_*.py"))  # questions are answered faster than exercises


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_the_stated_minutes_are_what_words_code_and_points_ask_for(source):
    notebook = jupytext.read(source, fmt="py:percent")
    stated = int(re.search(r"\*\*(\d+) minutes", notebook.cells[0].source + notebook.cells[1].source).group(1))
    assert stated == pytest.approx(minutes(notebook), abs=5), source.stem
    start = nbformat.read(ROOT / "notebooks" / "lecture12" / "00_start_here.ipynb", as_version=4)
    table = next(c.source for c in start.cells if "| notebook | you will be able to" in c.source)
    row = next(r for r in table.splitlines() if r.startswith(f"| {int(source.stem[:2])} "))
    assert row.rstrip(" |").endswith(f" {stated}")
