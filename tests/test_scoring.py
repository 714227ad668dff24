"""Scoring outside the kernel: hidden cases, what the kernel is told, and what it may send."""

import json
import shutil

import nbformat
import pytest
from conftest import EXERCISES
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture_utils.checks.observers import Steps
from lecture_utils.checks.traces import Kind
from lecture_utils.environment import ROOT, CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading import emit, hidden, score, steps
from lecture_utils.instructor.grading.observe import Observed, Running
from lecture_utils.instructor.grading.steps import Step

FUNCTIONS = [e for e in EXERCISES.values() if e.draw is not None]
IN_ONE_PROCESS = [e for e in FUNCTIONS if not e.observer.slow]


ONCE = []  # the fixture, for hypothesis


@pytest.fixture(scope="module", autouse=True)
def course(tmp_path_factory):
    """The course with a secret of the tests' own."""
    root = tmp_path_factory.mktemp("course")
    for part in ("source", "notebooks"):
        (root / part).symlink_to(ROOT / part)
    ONCE[:] = [Course(root)]
    return ONCE[0]


def both(name):
    return Step("public", 0, f"{name}@0"), Step("hidden", 0, f"{name}@0")


def observed(course, name, answer, monkeypatch):
    """What kernels send for ``answer``, each record after its way through JSON."""
    sent = []
    monkeypatch.setattr(emit, "display", lambda data, raw: sent.append(json.loads(data[emit.MIME])))
    running = Running(course)
    for step, ask in zip(both(name), (lambda job: emit.emit(lambda: answer, job), emit.emit_again), strict=True):
        ask(json.dumps({**steps.job_of(course, step), "nonce": "1"}))
        running.records[step] = sent.pop()
        if "files" in running.records[step]:
            emit.load(json.dumps({**steps.loading_job(course, running.records, step), "nonce": "1"}))
            running.records[step]["loaded"] = sent.pop()
    return Observed(*running.records.values())


@pytest.fixture
def verdict(course, monkeypatch):
    def found(answer, name):
        answer = answer if isinstance(answer, tuple) else (answer,)
        return score.verdict_on(course, name, observed(course, name, answer, monkeypatch))

    return found


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda e: e.name)
def test_the_reference_gets_everything_and_each_mistake_its_own_credit(exercise, verdict):
    assert verdict(exercise.reference, exercise.name).credit == 1
    for slip in exercise.slips[: 3 if exercise.observer.slow else None]:
        found = verdict(exercise.answer(slip), exercise.name)
        assert (found.kind, found.credit) == (Kind.MISCONCEPTION, slip.credit), slip.name


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same course with another secret."""
    root = tmp_path_factory.mktemp("other")
    (root / "source").symlink_to(ROOT / "source")
    return Course(root)


@pytest.mark.parametrize("name", [e.name for e in FUNCTIONS])
def test_hidden_cases_are_others_depend_on_the_secret_and_are_kept(course, other, name):
    kept = hidden.hidden(course, name)
    assert kept.cases
    assert kept.cases != course.recorded[name].data["cases"]
    assert hidden.hidden.__wrapped__(course, name).cases == kept.cases  # from disk
    assert hidden.hidden(other, name).cases != kept.cases


def test_only_the_owner_reads_hidden_cases_and_the_secret(course):
    hidden.prepare(course)
    files = [course.root / "grading_secret", *(course.root / "autograded" / ".hidden").iterdir()]
    assert len(files) > len(FUNCTIONS)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_a_rubric_that_has_changed_since_build_is_seen(tmp_path):
    shutil.copytree(ROOT / "source", tmp_path / "source", ignore=shutil.ignore_patterns("*.ipynb"))
    course = Course(tmp_path)
    hidden.prepare(course)
    rubric = course.rubrics / "nb04.py"
    rubric.write_text(rubric.read_text() + "\nMORE = 1\n")
    with pytest.raises(CourseError, match="momentum_step.*run `build` first"):
        hidden.prepare(Course(tmp_path))


def test_the_kernel_is_told_inputs_and_no_results(course):
    for exercise in FUNCTIONS:
        for step in both(exercise.name):
            told = steps.job_of(course, step)
            assert set(told) == {"check", "observer", "cases"}
            assert all("then" not in case for case in told["cases"])


def test_who_loads_does_not_know_what_was_there_before(course):
    public, _ = both("save_checkpoint")
    running = Running(course)
    running.records[public] = {"traces": [{"entries": []}] * 2, "files": ["a", "b"], "packed": ""}
    told = steps.loading_job(course, running.records, public)
    assert told["files"] == ["a", "b"]
    assert all("seed" not in case and "then" in case for case in told["cases"])


def test_an_own_rule_is_tried_where_finished_ones_are_gone(course):
    of = {number: {e.name for e in FUNCTIONS if e.notebook.startswith(number)} for number in ("00", "03", "06", "07")}
    gone = {
        number: steps.withheld_in([Step("hidden", 0, f"{name}@0") for name in names], course)
        for number, names in of.items()
    }
    assert gone == {"00": ["rules"], "03": ["schedules"], "06": ["rules"], "07": []}


def test_who_knows_the_visible_answers_by_heart_gets_nothing(course, verdict):
    seen = course.recorded["decay_constant"].data["cases"]
    right = {tuple(c["args"].values()): EXERCISES["decay_constant"].reference(*c["args"].values()) for c in seen}
    found = verdict(lambda *args: right.get(args, 0.0), "decay_constant")
    assert (found.credit, found.headline) == (0, "agrees in the visible cases, not in the hidden ones")
    assert not found.evidence
    assert found.table is None


def test_who_makes_a_mistake_with_credit_by_heart_gets_none(course, verdict):
    """The visible cases as torch's form gives them, which is worth a half, and nothing else in the hidden ones."""
    cases, slip = course.recorded["momentum_step"].data["cases"], {s.name: s for s in EXERCISES["momentum_step"].slips}
    wrong = EXERCISES["momentum_step"].answer(slip["torch_form"])
    alphas = {c["hyper"]["alpha"] for c in cases}

    def by_heart(w, grad, delta, lr, alpha):
        return wrong(w, grad, delta, lr, alpha) if alpha in alphas else (w, delta)

    assert verdict(wrong, "momentum_step").credit == 0.5
    found = verdict(by_heart, "momentum_step")
    assert (found.misconception, found.credit) == ("torch_form", 0)
    assert "In the hidden cases it does something else" in found.message


def test_what_code_says_about_a_hidden_case_is_not_passed_on(course, verdict):
    seen = [c["args"] for c in course.recorded["decay_constant"].data["cases"]]

    def tells(lr0, lr_end, epochs):
        if {"lr0": lr0, "lr_end": lr_end, "epochs": epochs} not in seen:
            raise ValueError(f"the inputs are {lr0} {lr_end} {epochs}")
        return EXERCISES["decay_constant"].reference(lr0, lr_end, epochs)

    found = verdict(tells, "decay_constant")
    kept = hidden.hidden(course, "decay_constant").cases[-1]["args"]
    assert found.credit == 0
    assert "inputs are" not in str(found)
    assert str(kept["lr0"]) not in str(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["traces", "entries", "problem", "value", "files", "loaded", "failed"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("name", ["adam_step", "learning_rates_used", "save_checkpoint", "minibatches"])
@settings(max_examples=60, deadline=None)
@given(record=json_values)
def test_whatever_a_kernel_sends_there_is_a_verdict_without_credit(name, record):
    course = ONCE[0]
    for sent in (record, {"traces": record}, {"traces": [{"entries": record}] * 6, "files": record}, {"value": record}):
        for other in (sent, None, {"failed": record}):
            made = Observed(sent, other) if isinstance(sent, dict) else Observed(None, None)
            assert score.verdict_on(course, name, made).credit == 0


def notebook(*cells):
    """Code cells; one that begins with ``check`` is a graded one."""
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    for cell in made:
        if cell.source.startswith("check("):
            about = {"grade_id": cell.source[6:-1].split(",")[0], "grade": True, "locked": True, "solution": False}
            cell.metadata["nbgrader"] = about
    return nbformat.v4.new_notebook(cells=made)


def test_a_check_is_tried_in_its_place_and_after_the_last_definition_of_its_name(course):
    given = notebook(
        "def adam_step(): ...", "check(adam_step)", "adam_step = 3", "print(1)", "def adam_step():\n    pass", "x"
    )
    told = [(s.what, s.cell, s.check) for s in steps.steps_of(given, course)]
    cells = [("cell", i, "") for i in (0, 2, 3, 4, 5)]
    first, last = ("public", 1, "adam_step@1"), ("public", 1, "adam_step@4")
    hidden_ones = [("hidden", *first[1:]), ("hidden", *last[1:])]
    assert told == [cells[0], first, *cells[1:4], last, cells[4], *hidden_ones]


def test_the_best_of_what_a_check_was_given_counts(course):
    wrong, nothing = Observed({"failed": "x"}), Observed(None)
    right = Observed({"value": [None, None]})
    scored = score.Score()
    for order in ([wrong, nothing], [nothing, wrong]):
        assert scored._verdict(course, "adam_step", order, None, []).credit == 0
    assert scored._verdict(course, "learning_rates_used", [right, wrong], None, []).credit == 0


def test_honest_text_stays_as_it_is(course):
    """Only what could run is taken out of a student's Markdown: the formgrader and the feedback page show the rest."""
    texts = ["The loss depends on the data: apparently it is noisy.", "`a < b`, $a < b$ & co\n\n> a quotation"]
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    nb = nbformat.v4.new_notebook(cells=cells, metadata={"lecture_utils": {"results": []}})
    review = score.Review()
    review.config.CourseDirectory.root = str(course.root)
    review.preprocess(nb, {"nbgrader": {"notebook": "00_start_here", "db_url": None, "assignment": "lecture12"}})
    assert [cell.source for cell in nb.cells] == texts


def test_finished_things_that_are_withheld_are_those_that_rules_would_be():
    assert all(e.observer.withholds == ("rules",) for e in FUNCTIONS if isinstance(e.observer, Steps))
