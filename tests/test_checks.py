"""What a check says: to right answers in any shape, and to everything that can go wrong."""

import functools
import json
import operator
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import EXERCISES
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture_utils.checks import judge
from lecture_utils.checks.recorded import find_exercise

# --- right answers, written differently --------------------------------------------------------------------------


def in_place(w, grad, delta, lr, alpha):
    delta.mul_(alpha).add_(grad, alpha=lr)
    w -= delta
    return w, delta


def destroys_its_arguments(w, grad, delta, lr, alpha):
    result = w - alpha * delta - lr * grad, alpha * delta + lr * grad
    for tensor in (w, grad, delta):
        tensor.fill_(7)
    return result


def as_list(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return [w - delta, delta]


def through_numpy(w, grad, delta, lr, alpha):
    delta = alpha * delta.numpy() + lr * grad.numpy()
    return w.numpy() - delta, delta


def with_other_names(weights, g, v, eta, a):
    v = a * v + eta * g
    return weights - v, v


def with_default(w, grad, delta, lr, alpha=0.9):
    delta = alpha * delta + lr * grad
    return w - delta, delta


def with_stars(*args):
    return in_place(*args)


def tracked(w, grad, delta, lr, alpha):
    w = w.requires_grad_()
    delta = alpha * delta + lr * grad
    return w - delta, delta


class Rule:
    def __call__(self, w, grad, delta, lr, alpha):
        return as_list(w, grad, delta, lr, alpha)


@pytest.mark.parametrize(
    "answer",
    [
        in_place,
        destroys_its_arguments,
        as_list,
        through_numpy,
        with_other_names,
        with_default,
        with_stars,
        tracked,
        Rule(),
        Rule().__call__,
        functools.partial(as_list),
        torch.no_grad()(as_list),
    ],
    ids=lambda answer: getattr(answer, "__qualname__", type(answer).__name__),
)
def test_right_answers_pass_however_they_are_written(answer, checks_file):
    verdict = judge(answer, "momentum_step", checks_file)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(
    "answer",
    [
        lambda lr, alpha: lr / (1 - alpha),
        lambda lr, alpha: torch.tensor(lr) / (1 - alpha),
        lambda lr, alpha: np.float32(lr) / np.float32(1 - alpha),
        lambda lr, alpha: float(lr * sum(alpha**k for k in range(5000))),
        lambda lr, alpha: np.array(lr / (1 - alpha)),
    ],
)
def test_scalars_may_be_floats_or_tensors(answer, checks_file):
    assert judge(answer, "effective_learning_rate", checks_file).passed


@pytest.mark.parametrize(
    "answer",
    [
        lambda alpha, steps: [alpha ** (steps - 1 - i) for i in range(steps)],
        lambda alpha, steps: torch.tensor([alpha**i for i in range(steps)]).flip(0),
        lambda alpha, steps: alpha ** np.arange(steps)[::-1],
        lambda alpha, steps: alpha ** torch.arange(steps - 1, -1, -1),
    ],
)
def test_tensors_may_be_lists_or_arrays(answer, checks_file):
    assert judge(answer, "velocity_weights", checks_file).passed


def test_eigenvalues_may_come_from_a_solver_in_single_precision(checks_file):
    def radius(lr, alpha, curvature):
        matrix = torch.tensor([[1 - lr * curvature, -alpha], [lr * curvature, alpha]])
        return torch.linalg.eigvals(matrix).abs().max()

    assert judge(radius, "spectral_radius", checks_file).passed


def warmup_in_float32(step, warmup_steps, total_steps):
    done = torch.tensor(max(0, step - warmup_steps) / (total_steps - warmup_steps)).clamp(max=1)
    return (step + 1) / warmup_steps if step < warmup_steps else ((1 + torch.cos(torch.pi * done)) / 2).item()


def overshoot_in_float32(t, beta1, beta2):
    return (1 - beta1 ** t.float()) / torch.sqrt(1 - beta2 ** t.float())


@pytest.mark.parametrize(
    ("answer", "name"), [(warmup_in_float32, "warmup_cosine"), (overshoot_in_float32, "bias_correction_overshoot")]
)
def test_single_precision_passes(answer, name, checks_file):
    assert judge(answer, name, checks_file).passed


TERMS = st.permutations(["alpha * delta", "lr * grad"])


@settings(max_examples=60, deadline=None)
@given(
    inner=TERMS,
    scale=st.sampled_from([1.0, 2.0, 0.1, 3.7, 1e3]),
    split=st.floats(-3, 3),
    order=st.sampled_from(["w - new", "-(new - w)", "w + (-1) * new", "w - 0.5 * new - 0.5 * new"]),
)
def test_algebraically_equal_rewrites_pass(checks_file, inner, scale, split, order):
    """Sums in another order, scaled back and forth, or split in two."""
    body = f"({inner[0]} + {inner[1]}) * {scale} / {scale} + {split} * lr * grad - {split} * lr * grad"
    step = f"lambda w, grad, delta, lr, alpha: (lambda new: ({order}, new))({body})"
    verdict = judge(eval(step), "momentum_step", checks_file)
    assert verdict.passed, str(verdict)


@settings(max_examples=40, deadline=None)
@given(
    ahead=st.sampled_from(["w - alpha * delta", "w + alpha * (-delta)", "-(alpha * delta - w)", "w - delta * alpha"]),
    final=st.sampled_from(["w - new", "ahead - lr * g", "w - alpha * delta - lr * g"]),
)
def test_nesterov_may_be_written_from_the_look_ahead_point(checks_file, ahead, final):
    def step(w, grad_fn, delta, lr, alpha):
        scope = {"w": w, "delta": delta, "lr": lr, "alpha": alpha}
        scope["ahead"] = eval(ahead, scope)
        scope["g"] = grad_fn(scope["ahead"])
        scope["new"] = eval("alpha * delta + lr * g", scope)
        return eval(final, scope), scope["new"]

    assert judge(step, "nesterov_step", checks_file).passed


# --- wrong answers: each kind has its own sentence ---------------------------------------------------------------


def generator_for_tuple(w, grad, delta, lr, alpha):
    yield w
    yield delta


def crashes(w, grad, delta, lr, alpha):
    velocity = alpha * delta
    return w - velocity - lr * gradient  # noqa: F821  (that is the mistake)


def copies_of(w, grad, delta, lr, alpha):
    return map(torch.clone, (w, delta))


def leaves(w, grad, delta, lr, alpha):
    raise SystemExit(3)


def shrinks(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return (w - delta).sum(), delta


BAD = {
    "untouched": (
        lambda w, grad, delta, lr, alpha: exec("raise NotImplementedError()"),
        "not_written",
        "not written yet",
    ),
    "not implemented by torch": (
        lambda w, grad, delta, lr, alpha: (torch.complex(w, w).max(), delta),
        "crashed",
        "NotImplementedError",
    ),
    "name error": (crashes, "crashed", "The line is: return w - velocity - lr * gradient"),
    "exit": (leaves, "crashed", "SystemExit"),
    "wrong shape": (shrinks, "shape", "wrong shape: expected (2,), got ()"),
    "none": (lambda w, grad, delta, lr, alpha: None, "none", "returns None"),
    "none inside": (lambda w, grad, delta, lr, alpha: (w, None), "none", "The returned delta is None"),
    "single precision": (
        lambda w, grad, delta, lr, alpha: tuple(t.float() for t in as_list(w, grad, delta, lr, alpha)),
        "dtype",
        "is float32, but w came in as float64",
    ),
    "integers": (lambda w, grad, delta, lr, alpha: (w.long(), delta), "dtype", "is int64"),
    "nan": (lambda w, grad, delta, lr, alpha: (w / 0 * 0, alpha * delta + lr * grad), "nonfinite", "nan or inf"),
    "generator": (generator_for_tuple, "generator", "It is a generator"),
    "map": (copies_of, "generator", "list( ) around a map"),
    "huge number": (lambda w, grad, delta, lr, alpha: (10**30, delta), "type", "is 1000"),
    "array of text": (
        lambda w, grad, delta, lr, alpha: (np.array(["a"]), delta),
        "type",
        "array of numbers is expected",
    ),
    "too few arguments": (lambda w, grad, delta, lr: (w, delta), "arity", "but yours takes (w, grad, delta, lr)"),
    "too many arguments": (lambda w, grad, delta, lr, alpha, beta: w, "arity", "5 arguments"),
    "three results": (lambda w, grad, delta, lr, alpha: (w, delta, lr), "too_many", "2 things, (w, delta)"),
    "text": (lambda w, grad, delta, lr, alpha: ("w", delta), "type", "of type str"),
    "a function": (lambda w, grad, delta, lr, alpha: (w.sum, delta), "type", "meant to be called"),
    "complex": (lambda w, grad, delta, lr, alpha: (w * 1j, delta), "complex", "complex number"),
    "ragged list": (lambda w, grad, delta, lr, alpha: ([w, [w, w]], delta), "type", "different shapes"),
}


@pytest.mark.parametrize(("answer", "kind", "sentence"), BAD.values(), ids=BAD)
def test_each_kind_of_bad_answer_has_its_own_sentence(answer, kind, sentence, checks_file):
    verdict = judge(answer, "momentum_step", checks_file)
    assert verdict.kind == kind
    assert verdict.misconception is None
    assert verdict.credit == 0
    assert sentence in str(verdict)


def test_endless_loop_is_stopped_with_a_message(checks_file):
    def forever(w, grad, delta, lr, alpha):
        while True:
            try:
                delta = alpha * delta
            except Exception:
                pass

    verdict = judge(forever, "momentum_step", checks_file, limit=0.2)
    assert verdict.kind == "timeout"
    assert "loop that never ends" in verdict.message


def test_two_mistakes_at_once_are_both_named(checks_file):
    def twice_wrong(w, grad, delta, lr, alpha):
        delta = (1 - alpha) * delta + lr * grad
        return w + delta, delta

    verdict = judge(twice_wrong, "momentum_step", checks_file)
    assert verdict.kind == "misconception"
    assert verdict.message.splitlines()[0] == "Two things at once:"
    assert "w moves up the hill" in verdict.message
    assert len(verdict.message.splitlines()) == 3


def test_a_mistake_in_each_of_three_results_is_named(checks_file):
    def three(w, grad, m, r, t, lr, beta1, beta2, eps):
        t = t + 1
        m = beta1 * m + grad
        r = beta2 * r + (1 + beta2) * grad**2
        return w - lr * (m / (1 - beta1**t)) / (r / (1 - beta2**t) + eps).sqrt(), m, r, t

    message = judge(three, "adam_step", checks_file).message
    assert message.startswith("Three things at once:")
    for said in ("its full weight", "1 + β₂", "ε inside the root"):
        assert said in message


def test_what_no_slip_explains_has_no_name(checks_file):
    def odd(w, grad, delta, lr, alpha):
        delta = alpha * delta + lr * grad + 0.1
        return w - 0.7 * delta, delta

    verdict = judge(odd, "momentum_step", checks_file)
    assert (verdict.kind, verdict.misconception, verdict.credit) == ("different", None, 0)
    assert "none of the usual slips" in verdict.message


def test_one_result_is_named_where_the_rest_is_odd(checks_file):
    def odd(w, grad, m, r, t, lr, beta1, beta2, eps):
        t = t + 1
        m = beta1 * m + (1 - beta1) * grad
        r = beta2 * r + (1 - beta2) * grad
        return w - lr * m.sin() / (r.abs() + 2 * eps), m, r, t

    verdict = judge(odd, "adam_step", checks_file)
    assert verdict.message.startswith("Looked at r alone, this looks like: r averages the gradient, not its square")
    assert "There is something else, too" in verdict.message
    assert verdict.credit == 0


def test_first_wrong_step_is_told(checks_file):
    calls = []

    def forgets_later(w, grad, delta, lr, alpha):
        calls.append(1)
        delta = alpha * delta + lr * grad * (1 if len(calls) <= 3 else 2)  # three tensors take turns
        return w - delta, delta

    verdict = judge(forgets_later, "momentum_step", checks_file)
    assert verdict.headline.startswith("step 1 agrees, step 2 does not")


@pytest.mark.parametrize(
    ("w_off", "delta_off", "told"),
    [
        (0.1, 0, "step 1 differs (delta is right, w is not)"),
        (0, 0.1, "step 1 differs (w is right, delta is not)"),
        (0.1, 0.1, "step 1 differs"),
    ],
)
def test_what_is_right_in_a_wrong_step_is_told(checks_file, w_off, delta_off, told):
    def off(w, grad, delta, lr, alpha):
        delta = alpha * delta + lr * grad
        return w - delta + w_off, delta + delta_off

    assert judge(off, "momentum_step", checks_file).headline == told


def test_state_kept_outside_the_arguments_does_not_pass(checks_file):
    memory = {}

    def keeps_its_own(w, grad, delta, lr, alpha):
        memory["v"] = alpha * memory.get("v", delta) + lr * grad
        return w - memory["v"], memory["v"]

    assert not judge(keeps_its_own, "momentum_step", checks_file).passed


def rows(verdict):
    return {row.name: row for row in verdict.table.rows}


def test_the_table_can_be_calculated_by_hand(checks_file):
    """What goes in is all that goes into the number that is expected."""

    def late(w, grad, delta, lr, alpha):
        delta = alpha * delta + max(lr, 0.1) * grad  # the drop of the rate is missed
        return w - delta, delta

    verdict = judge(late, "momentum_step", checks_file)
    given = {name: json.loads(row.given) for name, row in rows(verdict).items()}
    expected = torch.tensor(json.loads(rows(verdict)["w"].expected))
    delta = given["alpha"] * torch.tensor(given["delta"]) + given["lr"] * torch.tensor(given["grad"])
    assert torch.allclose(torch.tensor(given["w"]) - delta, expected, atol=2e-3)
    assert re.match(r"Step \d, tensor 1 of 3\. Case: 5 steps", verdict.table.title)


def test_the_numbers_of_the_tensor_that_differs_are_shown(checks_file):
    """Two tensors of one shape: the second is wrong alone."""

    calls = []

    def second(w, grad, delta, lr, alpha):
        calls.append(1)
        delta = alpha * delta + lr * grad
        return w - delta + (len(calls) == 2), delta

    verdict = judge(second, "momentum_step", checks_file)
    case = find_exercise("momentum_step", checks_file).data["cases"][0]
    assert "tensor 2 of 3" in verdict.table.title
    assert json.loads(rows(verdict)["w"].given) == case["start"][1]["w"]
    assert json.loads(rows(verdict)["grad"].given) == case["grads"][0][1]


def test_the_first_wrong_number_is_marked(checks_file):
    def second_entry(w, grad, delta, lr, alpha):
        delta = alpha * delta + lr * grad
        return w - delta + (torch.tensor([0.0, 0.5]) if w.shape == (2,) else 0), delta

    verdict = judge(second_entry, "momentum_step", checks_file)
    row = rows(verdict)["w"]
    start, end = row.mark
    assert float(row.yours[start:end]) == pytest.approx(json.loads(row.yours)[1])
    assert f"→{row.yours[start:end]}←" in str(verdict)


BEST = EXERCISES["best_learning_rate"].reference


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("bias_correction_overshoot", lambda t, a, b: t, "t                "),
        ("nesterov_step", lambda w, grad_fn, delta, lr, alpha: (w + grad_fn(w), delta), "x ↦ "),
        ("best_learning_rate", lambda *given: BEST(*given) or 7, "None"),
        ("stationary_variance", lambda lr, h, s: lr * s / h / (2 - lr * h) if 0 < lr * h < 2 else 7, "raised"),
    ],
)
def test_what_goes_in_is_shown(name, answer, said, checks_file):
    assert said in str(judge(answer, name, checks_file).table)


def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    raise NotImplementedError()


def test_another_function_that_is_not_written_yet_is_named(checks_file):
    verdict = judge(lambda *args: adam_step(*args[:-1]), "adamw_step", checks_file)
    assert (verdict.kind, verdict.message) == (
        "crashed",
        "It calls adam_step, which is not written yet: do that one first.",
    )
    assert judge(adam_step, checks_file=checks_file).kind == "not_written"


class WithoutSuper(torch.optim.Optimizer):
    def __init__(self, params, **arguments):
        self.params = list(params)


def in_another_order(w, grad, m, r, t, lr, beta1, beta2, eps):
    m, r = beta1 * m + (1 - beta1) * grad, beta2 * r + (1 - beta2) * grad**2
    return m, r, float("nan"), w


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("MyAdam", WithoutSuper, "must call that of torch.optim.Optimizer"),
        ("adam_step", in_another_order, "step 1 differs"),
        ("exponential_lambda", lambda k: None, "defined inside must be returned"),
        ("best_momentum", lambda: 0, "with 1 argument, (kappa)"),
    ],
)
def test_what_used_to_break_the_check_has_its_sentence(name, answer, said, checks_file):
    assert said in str(judge(answer, name, checks_file))


def test_the_table_shows_digits_that_differ(checks_file):
    verdict = judge(lambda lr, alpha: lr / (1 - alpha) * 1.0001, "effective_learning_rate", checks_file)
    assert rows(verdict)["result"].expected != rows(verdict)["result"].yours


def test_an_error_is_named_only_after_one_that_ends_in_the_same_way(checks_file):
    """A crash of another kind, or elsewhere, shows the student's line instead."""

    def crashes_later(w, grad, delta, lr, alpha):
        if lr < 0.05:
            return w - missing, delta  # noqa: F821
        delta = alpha * delta + lr * grad
        return w - delta, delta

    verdict = judge(crashes_later, "momentum_step", checks_file)
    assert (verdict.kind, verdict.misconception) == ("crashed", None)
    assert "return w - missing, delta" in verdict.message


# --- where the numbers come from ---------------------------------------------------------------------------------


def test_finds_the_file_beside_and_above_the_working_folder(checks_file, tmp_path, monkeypatch):
    release = tmp_path / "notebooks" / "lecture12"
    release.mkdir(parents=True)
    for name in ("checks.json", "checks.npz"):
        shutil.copy(checks_file.with_name(name), release)
    for folder in (tmp_path, release, tmp_path / "solutions"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        assert not judge(operator.add, "effective_learning_rate").passed


def test_the_search_ends_at_the_folder_of_the_course(checks_file, tmp_path, monkeypatch):
    """Another course's file above an unzipped bundle is not taken for its own."""
    shutil.copy(checks_file, tmp_path / "checks.json")
    (tmp_path / "bundle" / "lecture_utils").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "bundle")
    with pytest.raises(FileNotFoundError):
        judge(as_list, "momentum_step")


def test_unknown_exercise_is_a_lookup_error_with_a_suggestion(checks_file):
    with pytest.raises(LookupError, match="Did you mean momentum_step"):
        judge(as_list, "momentum_stp", checks_file)


def test_missing_file_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nbgrader_config.py").touch()  # the search ends at a course's root
    with pytest.raises(FileNotFoundError, match="belongs beside the notebook"):
        judge(as_list, "momentum_step")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((t, "from the course's zip file again") for t in ("", "{", '{"format": 2}', "[]", "\xff")),
        ('{"format": 99, "exercises": {}}', "another format"),
        ('{"format": 1, "exercises": {}}', "an older format .1. than this .*take the course's new zip file"),
    ],
)
def test_corrupt_file_says_what_to_do(tmp_path, text, said):
    file = tmp_path / "checks.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=said):
        judge(as_list, "momentum_step", file)


@pytest.mark.parametrize("content", [None, b"", b"PK", b"other"])
def test_missing_or_damaged_tables_say_what_to_do(tmp_path, checks_file, content):
    shutil.copy(checks_file, tmp_path)
    if content == b"other":
        np.savez(tmp_path / "checks.npz", nothing=np.zeros(1))
    elif content is not None:
        (tmp_path / "checks.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"checks.npz is missing or damaged .*zip file again"):
        judge(crashes, "momentum_step", tmp_path / "checks.json")
    assert judge(as_list, "momentum_step", tmp_path / "checks.json").passed  # which needs no tables


def test_what_cannot_be_called_is_a_type_error(checks_file):
    with pytest.raises(TypeError, match="the function momentum_step itself"):
        judge(torch.tensor(1.0), "momentum_step", checks_file)


def test_recorded_numbers_are_strict_json(checks_file):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads(checks_file.read_text(encoding="utf-8"), parse_constant=refuse)
