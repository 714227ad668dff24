"""A part that a machine lacks is a line at the end of a test run, and under CI an error."""

import os
from pathlib import Path

import conftest
import pytest
import torch
from _pytest.outcomes import Failed, Skipped
from conftest import PARTS, needs

from lecture_utils.instructor.grading import sandbox


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with Python alone."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("BROWSER_PLACES", "PLAYWRIGHT_FOLDERS", "POSTGRESQL_PLACES"):
        monkeypatch.setattr(conftest, name, ["~/none", "${NO_SUCH_VARIABLE}/none"])
    monkeypatch.setattr(conftest, "find_library", lambda _: None)
    monkeypatch.setattr(sandbox, "why_not", lambda: "there is none")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_skips_with_one_line_that_says_how_to_get_it(bare, part):
    with pytest.raises(Skipped) as skipped:
        needs(part)
    line = str(skipped.value)
    assert line.startswith(f"not tested: {PARTS[part].untested}. No {part} is here; ")
    assert "\n" not in line
    assert line.endswith(f"{PARTS[part].get}.")


@pytest.mark.parametrize("part", PARTS)
def test_under_ci_a_missing_part_is_an_error_but_for_what_a_ci_need_not_have(bare, monkeypatch, part):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Skipped if part in ("gpu", "root") else Failed, match="not tested"):
        needs(part)


@pytest.mark.parametrize(
    ("folders", "place"),
    [
        ("BROWSER_PLACES", "Applications/Chromium.app/Contents/MacOS/Chromium"),
        ("PLAYWRIGHT_FOLDERS", "chromium-1200/chrome-linux64/chrome"),
        ("PLAYWRIGHT_FOLDERS", "chromium-1200/chrome-mac/Chromium.app/Contents/MacOS/Chromium"),
    ],
)
def test_a_browser_off_the_path_is_found(bare, monkeypatch, folders, place):
    program = bare / "there" / place
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("BROWSERS_ARE", str(bare / "there"))
    there = "${BROWSERS_ARE}" + (f"/{place}" if folders == "BROWSER_PLACES" else "")
    monkeypatch.setattr(conftest, folders, ["~/none", there])
    assert Path(needs("browser")) == program


def test_the_newest_postgresql_is_taken(bare, monkeypatch):
    for version in ("15", "17"):
        (bare / version / "bin").mkdir(parents=True)
        (bare / version / "bin" / "initdb").touch()
    monkeypatch.setattr(conftest, "POSTGRESQL_PLACES", ["~/*/bin/initdb"])
    assert needs("postgresql") == str(bare / "17" / "bin")
