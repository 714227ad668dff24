"""Observers beyond stepping rules: index batches, predictions, and training runs that are resumed."""

import os
import subprocess
from contextlib import nullcontext
from random import Random

import pytest
import torch
from conftest import EXERCISES

from lecture_utils.checks import judge, observers
from lecture_utils.checks.observers import observe
from lecture_utils.checks.resume import resume

SAVE, LOAD = EXERCISES["save_checkpoint"].reference


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
        (first_batch, "`return` inside the loop"),
        (lambda n, batch_size, generator: None, "returns None"),
        (endless, "number of batches"),
    ],
)
def test_unusable_batches_are_explained(function, said, checks_file):
    verdict = judge(function, "minibatches", checks_file)
    assert not verdict.passed
    assert said in str(verdict).replace("\n  ", " ")


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


# --- answers -----------------------------------------------------------------------------------------------------


def test_a_wrong_prediction_is_named_and_the_number_not_told(checks_file):
    answer = [list(part) for part in EXERCISES["learning_rates_used"].reference]
    answer[2], answer[3] = [0.8, 0.4, 0.2], [0.2, 0.1, 0.0, 0.0, 0.0]
    verdict = judge(answer, "learning_rates_used", checks_file)
    assert verdict.misconception == "per_epoch"  # the first of the two
    assert "0.05" not in str(verdict)


@pytest.mark.parametrize("answer", [[None] * 4, [], 3, "0.3", None, [[10**30]] * 4])
def test_an_answer_that_is_not_there_is_no_crash(answer, checks_file):
    verdict = judge(answer, "learning_rates_used", checks_file)
    assert not verdict.passed
    assert verdict.kind in ("not_written", "type")


def test_two_slips_in_two_settings_the_first_is_named(checks_file):
    right = EXERCISES["make_optimizer"].reference

    def make_optimizer(name, params):
        if name == "rmsprop":
            return torch.optim.RMSprop(params, lr=0.001)
        return torch.optim.Adam(params) if name == "adam" else right(name, params)

    found = judge(make_optimizer, "make_optimizer", checks_file)
    assert (found.misconception, found.credit) == ("rmsprop_memory", pytest.approx(3 / 5))
    assert "Other settings differ, too." in found.message


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
    assert "here w has the shape ()" in found.message


def test_words_are_taken_in_any_case_and_the_first_wrong_one_is_explained(checks_file):
    right = EXERCISES["evidence_board"].reference
    assert judge([f" {word.title()} " for word in right], "evidence_board", checks_file).passed
    verdict = judge([*right[:2], "supports", *right[3:]], "evidence_board", checks_file)
    assert verdict.evidence == "Case: experiment C, the convolutional network."
    assert right[2] not in str(verdict)


@pytest.mark.parametrize("wrong", [[0], [5], [1, 2, 4], range(6)])
def test_credit_of_an_answer_is_the_share_of_its_parts_that_are_right(wrong, checks_file):
    answer = ["supports" if k in wrong and r != "supports" else "against" if k in wrong else r
              for k, r in enumerate(EXERCISES["evidence_board"].reference)]  # fmt: skip
    assert judge(answer, "evidence_board", checks_file).credit == pytest.approx(1 - len(wrong) / 6)


@pytest.mark.parametrize(("entry", "said"), [(float("nan"), "nan, number 2"), (0.001, "0.001, number 2")])
def test_the_entry_of_a_list_that_is_not_so_is_shown(entry, said, checks_file):
    used = EXERCISES["learning_rates_used"].reference
    verdict = judge([[0.3, entry, *used[0][2:]], *used[1:]], "learning_rates_used", checks_file)
    assert verdict.credit == 0.75
    assert said in verdict.evidence


@pytest.mark.parametrize(
    ("part", "said"),
    [("maybe", "'maybe'; it must be one of supports, against, silent"), (1, "it must be one of"), (None, "None")],
)
def test_what_is_none_of_the_words_is_said_so(part, said, checks_file):
    verdict = judge([part] * 6, "evidence_board", checks_file)
    assert verdict.credit == 0
    assert said in str(verdict)


# --- None as an answer, and optimizers made by name --------------------------------------------------------------


def test_none_is_an_answer_only_where_the_exercise_says_so(checks_file):
    verdict = judge(lambda lrs, losses: None, "best_learning_rate", checks_file)
    assert verdict.misconception == "always_none"
    assert judge(lambda lr, alpha, form: None, "to_torch_lr", checks_file).kind == "none"
    (trace,) = observe(lambda x: None, "values", [{"args": {"x": 1.0}}], {"arguments": ["x"], "none": True})
    assert trace.entries[0][0] == "result: None"


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

CASE = EXERCISES["save_checkpoint"].cases(Random(1))[0]


def test_what_is_kept_in_a_variable_does_not_reach_the_new_process(checks_file):
    kept = {}

    def save(path, model, optimizer, scheduler, epoch, generator):
        SAVE(path, model, optimizer, scheduler, epoch, generator)
        kept["epoch"] = epoch + 1

    def load(path, model, optimizer, scheduler, generator):
        LOAD(path, model, optimizer, scheduler, generator)
        return kept["epoch"]

    verdict = judge((save, load), "save_checkpoint", checks_file)
    assert verdict.kind == "crashed"
    assert "KeyError" in verdict.message


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
    running = subprocess.run(["ps", "-o", "stat=,args="], capture_output=True, text=True).stdout.splitlines()
    assert not [line for line in running if "resume import serve" in line and line.startswith("R")]
    assert judge((SAVE, LOAD), "save_checkpoint", checks_file).passed  # a new server takes over


def test_a_process_that_ends_itself_is_no_crash_of_ours(checks_file):
    verdict = judge(
        (SAVE, lambda path, model, optimizer, scheduler, generator: os._exit(0)), "save_checkpoint", checks_file
    )
    assert not verdict.passed
    assert verdict.kind == "crashed"


def test_the_clock_of_a_check_starts_when_the_process_is_there(monkeypatch):
    happened = []
    monkeypatch.setattr(observers, "start_server", lambda: happened.append("process"))
    monkeypatch.setattr(observers, "time_limit", lambda seconds: happened.append("clock") or nullcontext())
    observe((SAVE, LOAD), "resume", [], {})
    assert happened == ["process", "clock"]


def test_one_function_alone_is_refused_with_a_sentence(checks_file):
    assert "check(save_checkpoint, load_checkpoint)" in judge(SAVE, "save_checkpoint", checks_file).message


@pytest.mark.parametrize("threads", [1, 2])
def test_resuming_does_not_depend_on_the_threads_of_the_notebook(threads):
    torch.set_num_threads(threads)
    try:
        (trace,) = observe((SAVE, LOAD), "resume", [CASE], {})
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
    assert trace.problem is None
    assert all(bool(value) for _, value in trace.entries)


def test_the_random_numbers_of_the_notebook_go_on_as_before():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(resume((SAVE, LOAD), CASE))
    assert torch.equal(torch.rand(1), expected)
