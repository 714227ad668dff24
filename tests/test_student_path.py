"""A student's way through, for real: the unzipped bundle, JupyterLab, Chromium. (Set-up from nothing is what `.ci/run` does.)"""

import json
import re
import sys
import zipfile

import nbformat
import pytest
from browser import chromium, lab
from playwright.sync_api import Page, expect

from lecture_utils.instructor.authoring import bundle
from lecture_utils.instructor.authoring.course import Course

NOTEBOOK = "notebooks/lecture12/04_momentum_nesterov.ipynb"
WRONG = (
    "def momentum_step(w, grad, delta, lr, alpha):\n    delta = alpha * delta + grad\n    return w - lr * delta, delta"
)
RIGHT = (
    "def momentum_step(w, grad, delta, lr, alpha):\n    delta = alpha * delta + lr * grad\n    return w - delta, delta"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The zip file that students get, unzipped."""
    where = tmp_path_factory.mktemp("student")
    bundle.write(Course(), where / "course.zip")
    zipfile.ZipFile(where / "course.zip").extractall(where)
    return where / "improving_optimization"


@pytest.fixture(scope="module")
def server(folder):
    """Started with a Python that has all that is needed already."""
    with lab(sys.executable, folder) as address:
        yield address


@pytest.fixture(scope="module")
def page(server):
    with chromium(f"{server}/lab/tree/{NOTEBOOK}") as page:
        yield page


def saved(page: Page, folder):
    """What stands in the file after saving. Saving again before JupyterLab has finished would make it ask what to do."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    for _ in range(20):
        page.wait_for_timeout(2000)
        try:
            return nbformat.read(folder / NOTEBOOK, as_version=4)
        except nbformat.reader.NotJSONError:  # it is being written
            continue
    raise AssertionError(f"{NOTEBOOK} was not saved")


def cell(page: Page, text: str):
    return page.locator(".jp-CodeCell").filter(has=page.locator(".cm-content", has_text=text)).first


def run_cell(page: Page, text: str):
    cell(page, text).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")


def write_cell(page: Page, text: str, code: str):
    cell(page, text).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)


def test_where_all_is_there_no_environment_is_made(server, folder):
    assert not (folder / ".venv").exists()


def test_students_see_no_instructor_menus_and_no_news(page):
    page.wait_for_selector(".jp-NotebookPanel")
    page.get_by_role("button", name="Validate").first.wait_for()
    assert not page.get_by_text("Formgrader").count()
    assert not page.get_by_text("Create Assignment").count()
    menus = page.locator(".jp-MenuBar-anchor, .lm-MenuBar-item").all_inner_texts()
    assert "Kernel" in menus
    assert "Nbgrader" not in menus
    assert not page.get_by_text("Would you like to get notified").count()


def test_run_all_on_the_unsolved_notebook_reaches_the_end(page, folder):
    # The kernel looks idle before it accepts work, and then a cell silently does not run: try until it has its number.
    prompt = cell(page, "import math").locator(".jp-InputPrompt")
    for _ in range(20):
        run_cell(page, "import math")
        page.wait_for_timeout(3000)
        if re.search(r"\d", prompt.inner_text()):
            break
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"))
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    for _ in range(120):
        notebook = saved(page, folder)
        code = [c for c in notebook.cells if c.cell_type == "code"]
        if code[-1].execution_count and code[-1].execution_count > len(code):
            break
    assert all(c.execution_count for c in code)
    assert sum("not written yet" in json.dumps(c.outputs) for c in code) >= 7


def test_a_wrong_rule_is_told_what_it_looks_like_and_a_right_one_passes(page):
    write_cell(page, "def momentum_step", WRONG)
    run_cell(page, "def momentum_step")
    run_cell(page, "check(momentum_step)")
    output = cell(page, "check(momentum_step)").locator(".jp-OutputArea")
    expect(output).to_contain_text("the form of torch.optim")
    write_cell(page, "def momentum_step", RIGHT)
    run_cell(page, "def momentum_step")
    run_cell(page, "check(momentum_step)")
    expect(output).to_contain_text("✔ 4.1 momentum_step")
    expect(output).not_to_contain_text("This looks like")


def test_a_misspelt_name_is_explained(page):
    write_cell(
        page, "def velocity_weights", "def velocity_weight(alpha, steps):\n    return None\n\n\ndel velocity_weights"
    )
    run_cell(page, "def velocity_weight")
    run_cell(page, "check(velocity_weights)")
    output = cell(page, "check(velocity_weights)").locator(".jp-OutputArea")
    expect(output).to_contain_text("You have defined velocity_weight: is that it?")


def test_explorer_answers_to_the_keyboard_without_the_notebook_noticing(page):
    run_cell(page, "explorer(")
    widget = page.locator(".explorer").first
    widget.scroll_into_view_if_needed()
    readout = widget.locator("[aria-live]").first
    before, cells = readout.inner_text(), page.locator(".jp-Cell").count()
    slider = widget.get_by_role("slider").first
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(readout).not_to_have_text(before)
    page.keyboard.press("d")
    page.keyboard.press("d")
    assert page.locator(".jp-Cell").count() == cells


def test_validate_lists_what_is_not_green_yet(page, folder):
    saved(page, folder)
    page.get_by_role("button", name="Validate").first.click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("nesterov_step", timeout=120_000)
    expect(dialog).to_contain_text("not written yet")
    assert "check(momentum_step)" not in dialog.inner_text()
    page.keyboard.press("Escape")
