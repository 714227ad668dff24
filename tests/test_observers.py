"""Observers beyond stepping rules: index batches, predictions, and training runs that are resumed."""

import multiprocessing
import os
from contextlib import nullcontext
from copy import deepcopy
from itertools import combinations
from random import Random

import numpy as np
import pytest
import torch
from conftest import EXERCISES
from torch.nn import functional as F

from lecture_utils.checks import judge, judge_question, observers
from lecture_utils.checks.observers import Batches, Resume, Values, interpret, observe, perform
from lecture_utils.checks.quiz import which_set
from lecture_utils.checks.recorded import load
from lecture_utils.checks.traces import Entry, Trace, same


def SAVE(path, model, optimizer, scheduler, epoch, generator):
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    torch.save(parts | {"epoch": epoch, "rng": torch.get_rng_state(), "generator": generator.get_state()}, path)


def LOAD(path, model, optimizer, scheduler, generator):
    there = torch.load(path)
    for name, part in {"model": model, "optimizer": optimizer, "scheduler": scheduler}.items():
        part.load_state_dict(there[name])
    generator.set_state(there["generator"])
    torch.set_rng_state(there["rng"])
    return there["epoch"] + 1


# --- batches -----------------------------------------------------------------------------------------------------


def by_yield(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]


def by_sorting(n, batch_size, generator):
    return list(torch.rand(n, generator=generator).argsort().split(batch_size))


def by_loader(n, batch_size, generator):
    return torch.utils.data.DataLoader(range(n), batch_size, shuffle=True, generator=generator)


@pytest.mark.parametrize("function", [by_yield, by_sorting, by_loader])
def test_any_way_to_shuffle_passes(function, checks_file):
    assert judge(function, "minibatches", checks_file).passed


def lists(n, batch_size, generator):
    return torch.randperm(n, generator=generator).reshape(-1).tolist()


def uncut(n, batch_size, generator):
    return torch.randperm(n, generator=generator)


def arrays(n, batch_size, generator):
    return [batch.numpy() for batch in torch.randperm(n, generator=generator).split(batch_size)]


def first_batch(n, batch_size, generator):
    for batch in torch.randperm(n, generator=generator).split(batch_size):
        return batch


def endless(n, batch_size, generator):
    while True:
        yield torch.arange(batch_size)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lists, "int64 tensor of indices; one is of type int"),
        (arrays, "one is of type ndarray"),
        (uncut, "cut it into batches"),
        (first_batch, "return inside the loop"),
        (lambda n, batch_size, generator: None, "returns None"),
        (endless, "does it ever end?"),
    ],
)
def test_unusable_batches_are_explained(function, said, checks_file):
    verdict = judge(function, "minibatches", checks_file)
    assert not verdict.passed
    assert said in str(verdict).replace("\n  ", " ")


def alternating(n, batch_size, generator):
    """A "shuffle" by a call counter: two orders that take turns."""
    alternating.calls = getattr(alternating, "calls", 0) + 1
    order = torch.randperm(n, generator=torch.Generator().manual_seed(alternating.calls % 2))
    return order.split(batch_size)


def rolled(n, batch_size, generator):
    turn = int(torch.randint(n, (), generator=generator))
    return torch.arange(n).roll(turn).split(batch_size)


def within_halves(n, batch_size, generator):
    half = n // 2
    order = torch.cat([torch.randperm(half, generator=generator), half + torch.randperm(n - half, generator=generator)])
    return order.split(batch_size)


def biased(n, batch_size, generator):
    """Each index changes places with any other: the classic wrong shuffle, made worse by going on too short."""
    order = torch.arange(n)
    for i in range(n // 2):
        j = int(torch.randint(n, (), generator=generator))
        order[[i, j]] = order[[j, i]]
    return order.split(batch_size)


@pytest.mark.parametrize("function", [alternating, rolled, within_halves, biased])
def test_what_only_looks_shuffled_is_refused(function, checks_file):
    assert not judge(function, "minibatches", checks_file).passed


@pytest.mark.parametrize("name", ["minibatches", "stratified_minibatches"])
def test_a_fair_shuffle_is_never_refused(name):
    """The judgement over many epochs is a test of chance: on 300 draws of cases not one right answer may fail."""
    exercise = EXERCISES[name]
    answers = [exercise.reference] + ([by_sorting, by_loader] if name == "minibatches" else [])
    for seed in range(300):
        for case in [c for c in exercise.draw(Random(f"fair {seed}")) if c["epochs"] > 2]:
            for answer in answers[: 1 if seed % 10 else None]:
                (trace,) = observe(answer, exercise.observer, [case])
                over = {e.name: bool(e.value) for e in trace.entries if e.place.startswith("over")}
                assert over == dict.fromkeys(over, True)
                assert len(over) == 3


def test_properties_of_batches_are_worked_out_from_raw_indices():
    """Nothing that runs beside student code says yes or no: indices are all that is sent."""
    case = {"args": {"n": 6, "batch_size": 4}, "seed": 1, "epochs": 2, "text": ""}
    observer = Batches(("n", "batch_size", "generator"))
    (raw,) = perform(by_yield, observer, [case])
    assert {e.name for e in raw.entries} == {"batch"}
    assert all(e.value.dtype == torch.int64 for e in raw.entries)
    claimed = Trace([Entry("epoch 1", "the order is shuffled", torch.tensor([True]))])
    (seen,) = interpret([claimed], observer, [case])
    assert not all(bool(e.value.all()) for e in seen.entries if e.value.dtype == torch.bool)


def test_torchs_own_generator_is_left_alone(checks_file):
    torch.manual_seed(5)
    expected = torch.rand(1)
    for function in (by_yield, lists):  # a check that ends early, too
        torch.manual_seed(5)
        judge(function, "minibatches", checks_file)
        assert torch.equal(torch.rand(1), expected)


def dealt(labels, batch_size, generator):
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    count = -(-len(labels) // batch_size)
    return [order[i::count] for i in range(count)]


def test_stratifying_by_dealing_out_like_cards_makes_batches_that_are_too_short(checks_file):
    verdict = judge(dealt, "stratified_minibatches", checks_file)
    assert (verdict.misconception, verdict.credit) == ("dealt_out", 0.7)


# --- an epoch of training -----------------------------------------------------------------------------------------


def trained_on(batches):
    """A right answer that takes its batches from ``batches(n, batch_size, generator)``."""

    def train_epoch(model, optimizer, x, y, batch_size, generator):
        model.train()
        losses, sizes = [], []
        for batch in batches(len(x), batch_size, generator):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            losses.append(loss.item())
            sizes.append(len(batch))
        return np.average(losses, weights=sizes)

    return train_epoch


def sorted_inside(n, batch_size, generator):
    return [batch.sort().values for batch in by_yield(n, batch_size, generator)]


WAYS = [by_yield, by_sorting, by_loader, sorted_inside]


@pytest.mark.parametrize("batches", WAYS)
def test_an_epoch_on_any_batches_passes(batches, checks_file):
    assert judge(trained_on(batches), "train_epoch", checks_file).passed


def test_an_epoch_in_any_order_has_the_numbers_of_the_examples_in_their_own_order():
    """Those of a plain linear layer under torch.optim, for which nothing changes places."""
    exercise = EXERCISES["train_epoch"]
    for case in [c for c in exercise.draw(Random("own order")) if c["dtype"] == "float64"]:
        x, y, size = torch.tensor(case["x"], dtype=torch.float64), torch.tensor(case["y"]), case["args"]["batch_size"]
        model = torch.nn.Linear(2, 3, dtype=torch.float64)
        model.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in case["start"].items()})
        optimizer = torch.optim.SGD(model.parameters(), **case["hyper"])
        expected = {}
        for place in ("epoch 1", "epoch 2"):
            mean = trained_on(lambda n, size, _: torch.arange(n).split(size))(model, optimizer, x, y, size, None)
            expected[place, "weight after the epoch"] = model.weight.detach().clone()
            expected[place, "bias after the epoch"] = model.bias.detach().clone()
            expected[place, "returned loss"] = torch.tensor(mean)
        for batches in WAYS:
            (trace,) = observe(trained_on(batches), exercise.observer, [case])
            found = {(e.place, e.name): e.value for e in trace.entries if (e.place, e.name) in expected}
            assert set(found) == set(expected)
            for key, value in found.items():
                torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-12)


def test_a_right_epoch_is_never_refused():
    """Nor in single precision, nor by chance: 0 of 100 draws, and no two orders alike."""
    exercise = EXERCISES["train_epoch"]
    for seed in range(100):
        cases = exercise.draw(Random(f"right {seed}"))
        right = observe(exercise.reference, exercise.observer, cases)
        found = observe(trained_on(WAYS[seed % len(WAYS)]), exercise.observer, cases)
        assert not any(trace.problem for trace in right)
        assert all(same(a, b, exercise.rtol) for a, b in zip(found, right, strict=True)), seed


def test_cases_of_an_epoch_hold_no_coincidence():
    """The last batch is shorter and not of one; every class comes; a step is no small thing."""
    for seed in range(100):
        for case in EXERCISES["train_epoch"].draw(Random(seed)):
            n, size = len(case["y"]), case["args"]["batch_size"]
            assert 1 < n % size < size
            assert n > 2 * size
            assert set(case["y"]) == {0, 1, 2}
            assert len({tuple(row) for row in case["x"]}) == n
            assert case["hyper"]["lr"] > 0.3
    assert any(case["hyper"]["momentum"] for case in EXERCISES["train_epoch"].draw(Random(1)))


def test_what_should_hold_of_an_epoch_is_worked_out_from_raw_values():
    """Nothing that runs beside student code says yes or no."""
    exercise = EXERCISES["train_epoch"]
    cases = exercise.draw(Random(1))
    raw = perform(exercise.reference, exercise.observer, cases)
    told = {"rows", "training", "scores", "slopes", "step", "weight", "bias", "returned"}
    assert {e.name for trace in raw for e in trace.entries} == told
    claimed = Trace([Entry(e.place, e.name, e.value) for e in interpret(raw, exercise.observer, cases)[0].entries])
    (seen,) = interpret([claimed], exercise.observer, cases[:1])
    assert not seen.entries
    assert seen.problem


def test_what_the_model_is_given_to_measure_it_is_no_batch(checks_file):
    """Before and after training, with gradients and without, in either mode."""

    def measured(model, optimizer, x, y, batch_size, generator):
        with torch.no_grad():
            model(x)
        mean = trained_on(by_yield)(model, optimizer, x, y, batch_size, generator)
        model.eval()
        model(x[:3]).argmax(1)
        return mean

    assert judge(measured, "train_epoch", checks_file).passed


def test_other_batches_than_own_ones_are_looked_at_as_they_come(checks_file):
    """Who calls a wrong `minibatches` is told what is wrong with them."""
    dropped = trained_on(lambda n, size, generator: list(by_yield(n, size, generator))[: n // size])
    assert judge(dropped, "train_epoch", checks_file).misconception == "remainder_not_counted"
    again = trained_on(lambda n, size, _: by_yield(n, size, torch.Generator().manual_seed(4)))
    assert judge(again, "train_epoch", checks_file).misconception == "same_order"

    def minibatches(n, batch_size, generator):
        raise NotImplementedError()

    verdict = judge(trained_on(minibatches), "train_epoch", checks_file)
    assert "minibatches, which is not written yet" in verdict.message


@pytest.mark.parametrize(("result", "text"), [
    (lambda mean: [mean, mean], "It returns a list; one plain number"),
    (lambda mean: np.array(mean), "It returns a ndarray; one plain number"),
    (lambda mean: (mean, {}), "It returns a tuple; one plain number"),
    (lambda mean: "1.2", "It returns a str; one plain number"),
])  # fmt: skip
def test_one_plain_number_is_asked_for(result, text, checks_file):
    verdict = judge(lambda *args: result(trained_on(by_yield)(*args)), "train_epoch", checks_file)
    assert (verdict.kind, verdict.credit) == ("type", 0)
    assert verdict.message.startswith(text)


def test_another_model_than_the_one_handed_in_is_told(checks_file):
    verdict = judge(lambda model, *rest: trained_on(by_yield)(deepcopy(model), *rest), "train_epoch", checks_file)
    assert verdict.message == "No example of x goes through the model that is handed in."


# --- answers that are lists, drawn per student ----------------------------------------------------------------------

STUDENT = "anna"


def right_list(name):
    question = EXERCISES[name].question
    return question.answer(which_set(name, STUDENT, len(question.numbers)))


@pytest.mark.parametrize("name", ["learning_rates_used", "evidence_board"])
def test_a_list_is_right_for_the_students_own_numbers_only(name, checks_file):
    recorded, question = load(checks_file)[name], EXERCISES[name].question
    for student in ("anna", "ben", "", "your id"):
        which = which_set(name, student, len(question.numbers))
        for k in range(len(question.numbers)):
            for judged in (recorded, EXERCISES[name]):
                assert judge_question(judged, question.answer(k), student).passed == (k == which)


def test_the_entries_of_a_list_are_told_one_by_one(checks_file):
    recorded = load(checks_file)["learning_rates_used"]
    values = EXERCISES["learning_rates_used"].question.numbers[which_set("learning_rates_used", STUDENT, 8)]
    answer = right_list("learning_rates_used")
    answer[2], answer[3] = [values["c"] * f for f in (1, 0.5, 0.25)], [1.0, 2.0, 3.0, 4.0, 5.0]
    verdict = judge_question(recorded, answer, STUDENT)
    lines = verdict.message.splitlines()
    assert [line[0] for line in lines] == list("✔✔✘✘")
    assert "In which loop does scheduler.step() stand?" in lines[2]
    assert "none of the usual slips" in lines[3]
    assert verdict.credit == 0.5
    assert f"{values['c'] / 16:g}" not in str(verdict)  # what is right is not told


def test_of_choices_only_the_number_of_right_ones_is_told(checks_file):
    recorded, right = load(checks_file)["evidence_board"], right_list("evidence_board")
    assert judge_question(recorded, [f" {word.title()} " for word in right], STUDENT).passed
    told = set()
    for k in range(6):
        answer = [*right[:k], "silent" if right[k] != "silent" else "against", *right[k + 1 :]]
        verdict = judge_question(recorded, answer, STUDENT)
        assert verdict.credit == pytest.approx(5 / 6)
        told.add(str(verdict))
    assert len(told) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([None] * 4, "Replace each None"),
        ([], "A list with 4 entries"),
        (3, "A list with 4 entries"),
        ("0.3", "A list with 4 entries"),
        (None, "Replace None"),
        ([[1.0], None, [1.0], [1.0]], "There is a None left, for block B"),
        ([[10**30]] * 4, ""),
        ([["a"]] * 4, "block A: A plain number is expected"),
    ],
)
def test_an_answer_that_is_not_there_has_its_sentence(answer, said, checks_file):
    verdict = judge_question(load(checks_file)["learning_rates_used"], answer, STUDENT)
    assert not verdict.passed
    assert verdict.credit == 0
    assert said in verdict.message


# --- optimizers made by name ---------------------------------------------------------------------------------------


def test_slips_in_two_settings_are_both_named(checks_file):
    right = EXERCISES["make_optimizer"].reference

    def make_optimizer(name, params):
        if name == "rmsprop":
            return torch.optim.RMSprop(params, lr=0.001)
        return torch.optim.Adam(params) if name == "adam" else right(name, params)

    found = judge(make_optimizer, "make_optimizer", checks_file)
    assert found.misconception == "rmsprop_memory + adam_rate"
    assert found.message.startswith("Two things at once:")
    assert found.credit == pytest.approx(0.7 * 0.7)


def test_groups_without_a_rate_are_told(checks_file):
    class NoRate(torch.optim.Optimizer):
        def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-8):
            super().__init__(params, {})

        def step(self):
            pass

    def spoils_the_group(optimizer, epoch, lr0, k):
        optimizer.param_groups[0] = lr0

    for wrong, name in ((NoRate, "MyAdam"), (spoils_the_group, "adjust_learning_rate")):
        assert 'holds the learning rate as "lr"' in judge(wrong, name, checks_file).message


def test_a_crash_with_another_tensor_than_the_first_names_its_shape(checks_file):
    found = judge(lambda w, grad, r, lr, beta, eps: (w, r) if len(w) else None, "rmsprop_step", checks_file)
    assert "this one has the shape" in found.message


# --- None and numbers as answers -----------------------------------------------------------------------------------


def test_none_is_an_answer_only_where_the_exercise_says_so(checks_file):
    verdict = judge(lambda lrs, losses: None, "best_learning_rate", checks_file)
    assert verdict.misconception == "always_none"
    assert judge(lambda lr, alpha, form: None, "to_torch_lr", checks_file).kind == "none"
    (trace,) = observe(lambda x: None, Values(("x",), none=True), [{"args": {"x": 1.0}}])
    assert [e.name for e in trace.entries] == ["None"]


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("growing_batch", lambda lr0, b, lrs, most: torch.tensor([32, 64]), "Whole numbers are asked for"),
        ("growing_batch", lambda lr0, b, lrs, most: [32.0] * len(lrs), "one of yours is 32.0, of type float"),
        ("warmup_cosine", lambda s, w, n: torch.tensor(1.0), "It returns a tensor; a plain number is asked for"),
        ("exponential_lambda", lambda k: lambda e: torch.exp(torch.tensor(-k * e)), "a scheduler needs a plain number"),
    ],
)
def test_what_later_cells_cannot_use_is_refused(name, answer, said, checks_file):
    verdict = judge(answer, name, checks_file)
    assert not verdict.passed
    assert said in verdict.message


MAKE = EXERCISES["make_optimizer"].reference


def from_a_table(name, params):
    """All five made, one handed out: wasteful, but right."""
    return {n: MAKE(n, params) for n in ("sgd", "momentum", "nesterov", "rmsprop", "adam")}[name]


def fused(name, params):
    return torch.optim.Adam(params, lr=1e-4, fused=True) if name == "adam" else MAKE(name, params)


@pytest.mark.parametrize("function", [from_a_table, fused])
def test_any_way_to_make_the_optimizer_passes(function, checks_file):
    assert judge(function, "make_optimizer", checks_file).passed


@pytest.mark.parametrize(
    ("made", "said"),
    [(lambda n, p: None, "is None"), (lambda n, p: torch.optim.SGD, "of type type"), (lambda n: 0, "2 arguments")],
)
def test_what_is_no_optimizer_is_said_so(made, said, checks_file):
    verdict = judge(made, "make_optimizer", checks_file)
    assert not verdict.passed
    assert said in str(verdict)


# --- resuming ----------------------------------------------------------------------------------------------------

CASE = EXERCISES["save_checkpoint"].draw(Random(1))[0]


kept = {}


def test_what_is_kept_in_a_variable_is_not_there_in_the_new_process(checks_file):
    """As in a real one: the notebook's imports and functions are there, its variables are not."""

    def save(path, model, optimizer, scheduler, epoch, generator):
        SAVE(path, model, optimizer, scheduler, epoch, generator)
        kept["epoch"] = epoch + 1

    def load(path, model, optimizer, scheduler, generator):
        LOAD(path, model, optimizer, scheduler, generator)
        return kept["epoch"]

    verdict = judge((save, load), "save_checkpoint", checks_file)
    assert verdict.kind == "crashed"
    assert "NameError: name 'kept' is not defined" in verdict.message


FORGOTTEN = ["forgot_model", "forgot_optimizer", "forgot_scheduler", "forgot_rng", "forgot_generator"]


@pytest.mark.parametrize("names", [c for size in (2, 3) for c in combinations(FORGOTTEN, size)][::3], ids="+".join)
def test_all_that_is_forgotten_is_told(names, checks_file):
    exercise = EXERCISES["save_checkpoint"]
    slips = {s.name: s for s in exercise.slips}
    edit = {k: v for name in names for k, v in slips[name].edit.items()}
    verdict = judge(exercise.changed(edit), "save_checkpoint", checks_file)
    assert set(verdict.misconception.split(" + ")) == set(names)


def test_an_error_in_the_new_process_shows_the_students_line(checks_file):
    def load(path, model, optimizer, scheduler, generator):
        return torch.load(path)["step"] + 1

    verdict = judge((SAVE, load), "save_checkpoint", checks_file)
    assert 'return torch.load(path)["step"] + 1' in verdict.message


def whole_model(path, model, optimizer, scheduler, epoch, generator):
    torch.save(model, path)


def three_things(path, model, optimizer, scheduler, generator):
    return model, optimizer, LOAD(path, model, optimizer, scheduler, generator)


def in_double(path, model, optimizer, scheduler, generator):
    model.double()
    return 3


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ((whole_model, lambda path, *four: torch.load(path)), "Save what state_dict() gives"),
        ((SAVE, three_things), "returns 3 things. Only the next epoch"),
        ((SAVE, in_double), "It stops with RuntimeError"),  # in training, after load_checkpoint
        ((lambda *six: None, LOAD), "torch.save"),
    ],
    ids=["whole model", "three things", "cannot go on", "no file"],
)
def test_what_goes_wrong_with_a_checkpoint_is_said(functions, said, checks_file):
    text = str(judge(functions, "save_checkpoint", checks_file)).replace("\n  ", " ")
    assert said in text
    assert "\x1b" not in text


def test_who_brings_nothing_back_gets_no_points(checks_file):
    verdict = judge((SAVE, lambda path, *four: None), "save_checkpoint", checks_file)
    assert (verdict.misconception, verdict.credit) == ("nothing_loaded", 0)


def test_an_endless_load_is_stopped_and_leaves_no_process(checks_file):
    def load(path, model, optimizer, scheduler, generator):
        while True:
            pass

    verdict = judge((SAVE, load), "save_checkpoint", checks_file, limit=4)
    assert verdict.kind == "timeout"
    assert not multiprocessing.active_children()
    assert judge((SAVE, LOAD), "save_checkpoint", checks_file).passed


def test_a_process_that_ends_itself_is_no_crash_of_ours(checks_file):
    verdict = judge(
        (SAVE, lambda path, model, optimizer, scheduler, generator: os._exit(0)), "save_checkpoint", checks_file
    )
    assert not verdict.passed
    assert verdict.kind == "crashed"


def test_the_clock_of_a_check_starts_when_the_process_is_there(monkeypatch):
    happened = []
    monkeypatch.setattr(observers.resume, "start_server", lambda: happened.append("process"))
    monkeypatch.setattr(observers, "time_limit", lambda seconds: happened.append("clock") or nullcontext())
    observe((SAVE, LOAD), Resume(), [])
    assert happened == ["process", "clock"]


def test_one_function_alone_is_refused_with_a_sentence(checks_file):
    assert "check(save_checkpoint, load_checkpoint)" in judge(SAVE, "save_checkpoint", checks_file).message


@pytest.mark.parametrize("threads", [1, 2])
def test_resuming_does_not_depend_on_the_threads_of_the_notebook(threads):
    torch.set_num_threads(threads)
    try:
        (trace,) = observe((SAVE, LOAD), Resume(), [CASE])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
    assert trace.problem is None
    assert all(bool(entry.value) for entry in trace.entries)


def test_the_random_numbers_of_the_notebook_go_on_as_before():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    observe((SAVE, LOAD), Resume(), [CASE])
    assert torch.equal(torch.rand(1), expected)
