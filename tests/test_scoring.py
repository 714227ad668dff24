"""Scoring outside the kernel: hidden cases, what the kernel is told, and what it may send."""

import json

import nbformat
import pytest
from conftest import EXERCISES
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture_utils.checks.traces import Kind
from lecture_utils.instructor.grading import emit, score
from lecture_utils.instructor.grading.reading import Reading

TRACED = [e for e in EXERCISES.values() if e.draw is not None and e.observer.turns == 1]


@pytest.fixture(autouse=True, scope="module")
def a_secret(tmp_path_factory):
    """A secret of the tests' own."""
    before, score.SECRET = score.SECRET, tmp_path_factory.mktemp("secret") / "grading_secret"
    for cached in (score.secret, score.hidden):
        cached.cache_clear()
    yield
    score.SECRET = before
    for cached in (score.secret, score.hidden):
        cached.cache_clear()


def observed(function, name):
    """What a kernel sends for ``function``, after its way through JSON."""
    return json.loads(json.dumps(emit._raw((function,), score.job(name))))


def verdict(function, name):
    return score._verdict(name, observed(function, name), None)


@pytest.mark.parametrize("exercise", TRACED, ids=lambda e: e.name)
def test_the_reference_gets_everything_and_each_mistake_its_own_credit(exercise):
    assert verdict(exercise.reference, exercise.name).credit == 1
    for slip in exercise.slips:
        found = verdict(exercise.answer(slip), exercise.name)
        assert (found.kind, found.credit) == (Kind.MISCONCEPTION, slip.credit), slip.name


@pytest.mark.parametrize("name", [e.name for e in TRACED])
def test_hidden_cases_follow_the_public_ones_and_depend_on_the_secret(name, monkeypatch, tmp_path):
    public, kept = score.public(name).data["cases"], score.hidden(name).cases
    assert score.job(name)["cases"] == public + kept
    assert kept
    assert kept != public
    monkeypatch.setattr(score, "SECRET", tmp_path / "other")
    monkeypatch.setattr(score, "secret", score.secret.__wrapped__)
    assert score.hidden.__wrapped__(name).cases != kept


def test_the_kernel_is_told_inputs_and_no_results():
    for name, exercise in EXERCISES.items():
        told = score.job(name)
        assert set(told) <= {"observer", "cases", "turn"}
        if exercise.observer.turns > 1:
            assert all("then" not in case for case in told["cases"])
            again = score.second_turn({0: told}, {0: {"results": ["", ""]}})[0]
            assert all("seed" not in case and "then" in case for case in again["cases"])


def test_who_knows_the_visible_answers_by_heart_gets_nothing():
    seen = score.public("decay_constant").data["cases"]
    right = {tuple(c["args"].values()): EXERCISES["decay_constant"].reference(*c["args"].values()) for c in seen}
    found = verdict(lambda *args: right.get(args, 0.0), "decay_constant")
    assert (found.credit, found.headline) == (0, "agrees in the visible cases, not in the hidden ones")
    assert not found.evidence
    assert found.table is None


def test_who_makes_a_mistake_with_credit_by_heart_gets_none():
    """The visible cases as torch's form gives them, which is worth a half, and nothing else in the hidden ones."""
    cases, slip = score.public("momentum_step").data["cases"], {s.name: s for s in EXERCISES["momentum_step"].slips}
    wrong = EXERCISES["momentum_step"].answer(slip["torch_form"])
    alphas = {c["hyper"]["alpha"] for c in cases}

    def by_heart(w, grad, delta, lr, alpha):
        return wrong(w, grad, delta, lr, alpha) if alpha in alphas else (w, delta)

    assert verdict(wrong, "momentum_step").credit == 0.5
    found = verdict(by_heart, "momentum_step")
    assert (found.misconception, found.credit) == ("torch_form", 0)
    assert "In the hidden cases it does something else" in found.message


def test_what_code_says_about_a_hidden_case_is_not_passed_on():
    seen = [c["args"] for c in score.public("decay_constant").data["cases"]]

    def tells(lr0, lr_end, epochs):
        if {"lr0": lr0, "lr_end": lr_end, "epochs": epochs} not in seen:
            raise ValueError(f"the inputs are {lr0} {lr_end} {epochs}")
        return EXERCISES["decay_constant"].reference(lr0, lr_end, epochs)

    found = verdict(tells, "decay_constant")
    hidden = score.hidden("decay_constant").cases[-1]["args"]
    assert found.credit == 0
    assert "inputs are" not in str(found)
    assert str(hidden["lr0"]) not in str(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["traces", "entries", "problem", "value", "results", "failed"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("name", ["adam_step", "learning_rates_used", "save_checkpoint", "minibatches"])
@settings(max_examples=60, deadline=None)
@given(record=json_values)
def test_whatever_a_kernel_sends_there_is_a_verdict_without_credit(name, record):
    for sent in (record, {"traces": record}, {"results": [record, record]}, {"traces": [{"entries": record}] * 6}):
        assert score._verdict(name, sent, None).credit == 0


def notebook(answer, **more):
    cells = [nbformat.v4.new_code_cell(source) for source in more.values()]
    check = nbformat.v4.new_code_cell("check(adam_step)")
    check.metadata["nbgrader"] = {"grade_id": "adam_step", "grade": True, "locked": True, "solution": False}
    return nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(answer), check])


OWN = "def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):\n    optimizer = w - lr * m\n    return helper(optimizer), m, r, t + 1"
SEEN = {  # how an answer may use the finished rule: its text, other cells
    "by its name": (OWN.replace("helper", "torch.optim.Adam"), {}),
    "an alias": (OWN, {"a": "from torch.optim import Adam as helper"}),
    "inside a helper": (OWN, {"a": "import torch.optim as o\ndef helper(w):\n    return o.AdamW([w])"}),
    "two helpers away": (OWN, {"a": "def helper(w):\n    return deeper(w)", "b": "def deeper(w):\n    return torch.optim.adam.adam(w)"}),
    "by getattr": (OWN.replace("helper", 'getattr(torch.optim, "NAdam")'), {}),
    "the functional form": (OWN, {"a": "from torch.optim.adam import _single_tensor_adam as helper"}),
    "the course's own": (OWN, {"a": "from lecture_utils.stacked import adam as helper"}),
    "the sources": (OWN, {"a": "from source.lecture12.rubrics.nb06 import adam_step as helper"}),
    "a pattern": (OWN, {"a": "match torch.optim:\n    case object(AdamW=helper):\n        pass"}),
    "a name that only a lambda has as its own": (OWN.replace("helper", "(lambda M: 0) and M.Adam"), {"a": "import torch.optim as M"}),
    "an import in a block": (OWN, {"a": "if True:\n    from torch.optim import Adam as helper"}),
    "another name for getattr": (OWN.replace("helper", "g(g(torch, 'opt' + 'im'), 'Ad' + 'am')"), {"a": "g = getattr"}),
    "a dotted name": (OWN, {"a": "import pkgutil\nhelper = pkgutil.resolve_name('torch.optim.Adam')"}),
    "a text that is run": (OWN, {"a": "from timeit import main\nhelper = main(['from torch.optim import Adam as A; A(w)'])"}),
    "a module written by a magic": (OWN, {"a": "%%writefile mine.py\nfrom torch.op\\", "b": "from mine import helper"}),
    "the optimizers of torch.distributed": (OWN, {"a": "import torch.distributed.optim as d\nhelper = d._FunctionalAdam"}),
    "eval": (OWN, {"a": "helper = eval('torch.opt' + 'im.Ad' + 'am')"}),
}  # fmt: skip


@pytest.mark.parametrize("answer", SEEN.values(), ids=SEEN)
def test_the_finished_rule_in_disguise_is_seen(answer):
    assert Reading(notebook(answer[0], **answer[1])).doubt(score.exercises()["adam_step"])


HONEST = """model.eval(); pattern = re.compile("a+"); print("compile and open Adam by hand")
%matplotlib inline
import lecture_utils.figures
get_ipython().run_line_magic("matplotlib", "inline")
%timeit -n 10 helper(1)
notes = open("notes.txt", "w")"""


def test_an_own_rule_is_not_suspected():
    others = {"a": "def helper(w):\n    return w", "b": "optimizer = torch.optim.SGD(model.parameters())", "c": HONEST}
    assert not Reading(notebook(OWN, **others)).doubt(score.exercises()["adam_step"])


def test_deeply_nested_code_and_magics_are_read():
    chain = "x" + ".a" * 1000 + "()"  # more than ast.unparse can take
    assert not Reading(notebook(OWN, a=f"def helper(w):\n    return w\n{chain}")).doubt(score.exercises()["adam_step"])
    magic = "%%time\nfrom torch.optim.adam import _single_tensor_adam as helper"
    assert Reading(notebook(OWN, a=magic)).doubt(score.exercises()["adam_step"])


def test_the_secret_is_made_once_and_only_for_its_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(score, "SECRET", tmp_path / "grading_secret")
    first = score.secret.__wrapped__()
    assert score.secret.__wrapped__() == first
    assert len(first) >= 32
    assert (tmp_path / "grading_secret").stat().st_mode & 0o077 == 0
    (tmp_path / "grading_secret").write_text("short")
    with pytest.raises(ValueError, match="--force"):
        score.secret.__wrapped__()


def test_resumed_runs_are_looked_at_where_the_notebook_reaches_for_the_observer():
    """Their digests are made beside the student's code: who replaces what makes them could pass without an answer."""
    cells = [
        'import sys\nO = sys.modules["lecture_utils.checks.observers"]',
        "def save_checkpoint(path, model, optimizer, scheduler, epoch, generator): ...",
    ]
    for code, suspected in ((cells, True), (cells[1:], False)):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in code])
        assert bool(Reading(notebook).doubt(EXERCISES["save_checkpoint"])) is suspected


def test_honest_text_stays_as_it_is():
    """Only what could run is taken out of a student's Markdown: the formgrader and the feedback page show the rest."""
    texts = ["The loss depends on the data: apparently it is noisy.", "`a < b`, $a < b$ & co\n\n> a quotation"]
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    nb = nbformat.v4.new_notebook(cells=cells)
    score.Review().preprocess(nb, {"nbgrader": {"notebook": "00_start_here"}})
    assert [cell.source for cell in nb.cells] == texts
