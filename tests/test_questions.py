"""The midterm practice: its answers are right, what students get does not show them, and no answer breaks the judge."""

import base64
import contextlib
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from string import ascii_uppercase
from xml.etree import ElementTree

import jupytext
import nbformat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape
from nbclient import NotebookClient
from torch.optim import lr_scheduler

from lecture_utils.checks import CheckFailed, ask, check_answer, judge_question, quiz
from lecture_utils.checks.recorded import load as load_checks
from lecture_utils.checks.traces import Problem
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring import build, curves, paper, practice, questions
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.record import load_rubrics
from lecture_utils.instructor.authoring.sealed import seal
from lecture_utils.instructor.grading import score
from lecture_utils.instructor.reporting import feedback
from lecture_utils.instructor.reporting.results import Marked, Submission

NAME = "08_midterm_practice"
COURSE = Course()
EXERCISES = COURSE.exercises
QUESTIONS = {q.id: q for q in questions.asked_in(EXERCISES)}
SETS = [(q, which) for q in QUESTIONS.values() for which in range(len(q.numbers))]
RELEASE = COURSE.notebooks


def of_kind(*kinds):
    return [pytest.param(q, w, id=f"{q.id}-{w}") for q, w in SETS if q.kind in kinds]


def student_with(question, which):
    """An id that draws this set of numbers."""
    return next(s for s in map(str, itertools.count()) if question.numbers_of(s) == which)


def reasons():
    """Every explanation of every question, as it is shown."""
    found = {because for q, w in SETS for _, because in q.answers(w).values()}
    return found | {slip["because"] for q in QUESTIONS.values() if q.kind == "derivation" for slip in q.wrong}


# --- what is there -----------------------------------------------------------------------------------------------


def test_questions_of_five_kinds_over_seven_notebooks():
    kinds, topics = (Counter(x) for x in zip(*((q.kind, q.section[0]) for q in QUESTIONS.values()), strict=True))
    assert kinds == {"true_false": 23, "choice": 30, "derivation": 15, "matching": 6, "code": 15}
    assert min(topics[n] for n in "1234567") >= 10
    assert sum(q.points for q in QUESTIONS.values()) == 89
    assert sum(bool(q.curves) for q in QUESTIONS.values()) == 2


def test_every_section_of_the_notebooks_has_a_question():
    sections = {number for number in practice.sections(COURSE) if number[0] in "1234567"}
    assert sections == {q.section for q in QUESTIONS.values()}


def test_parts_of_one_question_share_its_number_and_follow_each_other():
    parts = [q for q in QUESTIONS.values() if q.part]
    assert [q.part for q in parts] == ["a", "b", "c"] * 2
    for three in (parts[:3], parts[3:]):
        assert {q.number for q in three} == {three[0].number}
        assert sum(q.points for q in three) == 3
        assert [q.label for q in three] == [f"{three[0].number}{part}" for part in "abc"]
    numbers = [q.number for q in QUESTIONS.values()]
    assert numbers == sorted(numbers)
    assert {*numbers} == {*range(1, numbers[-1] + 1)}


def test_true_and_false_and_all_letters_are_used():
    answers = [q.answer(w) for q, w in SETS if q.kind in ("true_false", "choice")]
    assert all(answers.count(a) >= 2 for a in (True, False, *"ABCD"))
    assert 0.3 < answers.count(True) / (answers.count(True) + answers.count(False)) < 0.7


@pytest.mark.parametrize(("question", "which"), of_kind(*questions.KINDS))
def test_every_answer_is_explained_and_every_option_differs(question, which):
    for answer, (_, because) in question.answers(which).items():
        assert len(because.split()) >= 4, answer
        assert "{" not in because, because
        assert not re.search(r"(?<![\w*)])\*[A-Za-z]+\*", because), because  # a card is no Markdown
    texts = [questions.fill(o["text"], question.numbers[which]) for o in question.lettered(which).values()]
    assert len(set(texts)) == len(texts)
    assert "{=" not in question.shown(which)
    minimum = {"true_false": 2, "choice": 4, "code": 4, "matching": 16, "derivation": 1}
    assert len(question.answers(which)) >= minimum[question.kind]


@pytest.mark.parametrize("question", [q for q in QUESTIONS.values() if q.kind == "matching"], ids=lambda q: q.id)
def test_each_letter_of_a_matching_question_is_used_at_most_once(question):
    for which in range(len(question.numbers)):
        letters = [*question.answer(which).values()]
        assert len(set(letters)) == len(letters) >= 4
        assert set(letters) <= set(ascii_uppercase[: len(question.properties)])
        assert letters != sorted(letters)


@pytest.mark.parametrize("question", [q for q in QUESTIONS.values() if q.options or q.items], ids=lambda q: q.id)
def test_letters_stand_in_an_order_of_each_students_own(question):
    """At least eight sets; each letter is right equally often, and no explanation knows a letter."""
    sets = range(len(question.numbers))
    assert len(sets) >= 8
    shown = {(question.shown(which), question.picture(which)[0] if question.curves else "") for which in sets}
    assert len(shown) == len(sets)
    for name in [item["name"] for item in question.items] or [None]:
        right = [question.answer(which) if name is None else question.answer(which)[name] for which in sets]
        letters = ascii_uppercase[: len(question.options or question.properties)]
        assert Counter(right) == dict.fromkeys(letters, len(sets) // len(letters))
    for because in (because for which in sets for _, because in question.answers(which).values()):
        assert not re.search(r"^[A-G] (describes|is|has|comes)\b|\b([Oo]ption|[Ll]etter|[Aa]nswer) [A-G]\b", because)


def test_code_prints_the_answer_in_another_process():
    pairs = [(q, w) for q, w in SETS if q.kind == "code"]
    codes = [re.search(r"```python\n(.*)\n```", q.shown(w), re.DOTALL)[1] for q, w in pairs]
    program = "import json, sys\nfor code in json.load(sys.stdin): exec(code, {})"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, input=json.dumps(codes), capture_output=True, text=True, check=True)
    printed = [json.loads(line) for line in run.stdout.splitlines()]
    assert printed == [q.answer(w) for q, w in pairs]
    for question, which in pairs:
        for slip in question.wrong:
            assert questions.evaluate(slip["answer"], question.numbers[which]) != question.answer(which)


# --- the answers, found once more by other means -----------------------------------------------------------------


def option(question, which, text):
    """The letter of the option with this text."""
    texts = {questions.fill(o["text"], question.numbers[which]): k for k, o in question.lettered(which).items()}
    return texts[text]


def noise_left(T, N, B):
    pair = -T / (N - 1)  # covariance of two draws without replacement: all N together have none left
    return f"{(B * T + B * (B - 1) * pair) / B**2:.3g}"


def one_parabola(h, lr):
    w = [1.0]
    for _ in range(50):
        w.append(w[-1] - lr * h * w[-1])
    if min(w) > 0:
        return "It approaches 0 from one side."
    if abs(abs(w[-1]) - 1) < 1e-6:
        return "It swings from side to side for ever, and neither grows nor shrinks."
    ways = ("It swings from side to side, and approaches 0.", "It swings further and further out.")
    return ways[abs(w[-1]) > 1]


def after_t_max(lr, T):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=T)
    for _ in range(2 * T):
        optimizer.step()
        scheduler.step()
    return f"{optimizer.param_groups[0]['lr']:.6g}"


def after_the_drop(alpha):
    p, delta = torch.zeros(1, dtype=torch.float64), 0.0
    optimizer = torch.optim.SGD([p], lr=1.0, momentum=alpha)
    for step in range(501):
        lr = 1.0 if step < 500 else 0.1
        optimizer.param_groups[0]["lr"], p.grad = lr, torch.ones(1, dtype=torch.float64)
        before = p.item()
        optimizer.step()
        delta = alpha * delta + lr
    return f"lecture {delta:.3g}, PyTorch {before - p.item():.3g}"


def one_plus_beta(beta):
    right = wrong = 0.0
    for _ in range(5000):
        right, wrong = beta * right + (1 - beta), beta * wrong + (1 + beta)
    return f"{math.sqrt(wrong / right):.3g} times shorter"


def uncorrected_start(b1, b2):
    g = 7.0
    return f"{(1 - b1) * g / math.sqrt((1 - b2) * g * g):.3g} $\\eta$"


def same_escape(lr, B):
    return f"$\\eta = {lr * 2:.6g}$, $B = {next(b for b in range(1, 99) if math.isclose(2 * lr / b, lr / B))}$"


def batch_in_place_of_decay(B, f):
    return str(next(b for b in range(1, 10**4) if math.isclose((1 / f / f) / B, 1 / b)))


def batch_for_share(S, g, p):
    return str(next(B for B in range(1, 10**4) if g**2 / p - S / B > -1e-9))


def epoch_seconds(N, a, b, B):
    return f"{sum(a + b * len(batch) for batch in torch.arange(N).split(B)) / 1000:.6g}"


def curves_of(question, which):
    """The mean loss of many runs with real noise, for each curve of a figure."""
    values, random = question.numbers[which], torch.Generator().manual_seed(0)
    h, noise = (questions.evaluate(question.curves[key], values) for key in ("h", "noise"))
    found = {}
    for name, rate in question.curves["rates"].items():
        w, losses = torch.ones(4000, dtype=torch.float64), [h / 2]
        for t in range(question.curves["steps"]):
            gradient = h * w + math.sqrt(noise) * torch.randn(len(w), generator=random, dtype=torch.float64)
            w = w - questions.evaluate(rate, {**values, "t": t}) * gradient
            losses.append(h / 2 * w.square().mean().item())
        found[name] = losses
    return found


def which_decay(h, P, Q, R):
    question = QUESTIONS["which_decay"]
    ends = {k: v[-1] for k, v in curves_of(question, question.numbers.index({"h": h, "P": P, "Q": Q, "R": R})).items()}
    return f"curve {max(ends, key=ends.get)}"


def floor_of_momentum(alpha, lr):
    """The variance after many steps, from the covariance of w and its velocity, against that of SGD."""
    ww = wd = dd = 0.0
    for _ in range(20000):
        a, b = 1 - lr, -alpha  # w' = (1 - lr) w - alpha d - lr e,  d' = lr w + alpha d + lr e
        new = (a * a * ww + 2 * a * b * wd + b * b * dd + lr**2, a * lr * ww + (a * alpha + b * lr) * wd + b * alpha * dd - lr**2,
               lr**2 * ww + 2 * lr * alpha * wd + alpha**2 * dd + lr**2)  # fmt: skip
        ww, wd, dd = new
    rates = {f"{rate:.3g}": floor_of(rate, 1.0, 1.0) for rate in (lr / (1 - alpha), lr * (1 - alpha), lr / (1 + alpha))}
    rates[str(lr)] = floor_of(lr, 1.0, 1.0)
    return min(rates, key=lambda text: abs(math.log(rates[text] / ww)))


def largest_rate(alpha, h):
    radius = EXERCISES["spectral_radius"].reference
    rates = [2 * (1 + alpha) / h, 2 / h, 2 * (1 - alpha) / h, 2 / h / (1 - alpha)]
    return next(f"{x:.4g}" for x in rates if radius(0.999 * x, alpha, h) < 1 < radius(1.001 * x, alpha, h))


def fair_step_length(alpha, lr):
    return f"{torch_last_step(lambda p: torch.optim.SGD(p, lr=lr, momentum=alpha), 1.0, 800)[0]:.3g}"


def from_side_to_side(lr, beta):
    w, r = 1.0, 0.0
    for _ in range(20000):
        r = beta * r + (1 - beta) * w * w
        w -= lr * w / (math.sqrt(r) + 1e-12)
    return f"{abs(w):.3g}"


def which_bug(beta, g):
    wrong = {
        "$\\beta$ and $1-\\beta$ are exchanged": 0.01 * g / math.sqrt(beta * g * g),
        "the square root is missing": 0.01 * g / ((1 - beta) * g * g),
        "$1+\\beta$ stands in place of $1-\\beta$": 0.01 * g / math.sqrt((1 + beta) * g * g),
    }
    told = f"moves by {0.01 / math.sqrt(beta):.3g}"
    question = QUESTIONS["which_bug"]
    assert told in question.shown(question.numbers.index({"beta": beta, "g": g}))
    return next(text for text, step in wrong.items() if f"moves by {step:.3g}" == told)


def two_layers(a, b):
    r = [0.0, 0.0]
    for _ in range(2000):
        r = [0.9 * x + 0.1 * g * g for x, g in zip(r, (a, b), strict=True)]
    ratio = (a / math.sqrt(r[0])) / (b / math.sqrt(r[1]))
    return f"gradient descent {a / b:.3g}, RMSProp {ratio:.3g}"


def rate_for_average(lr, alpha):
    def ends(rate):
        v, w = 0.0, torch.zeros(1, dtype=torch.float64)
        optimizer, w_paper = torch.optim.SGD([w], lr=rate, momentum=alpha), 0.0
        for g in (1.0, -2.0, 0.5, 3.0):
            v = alpha * v + (1 - alpha) * g
            w_paper, w.grad = w_paper - lr * v, torch.tensor([g], dtype=torch.float64)
            optimizer.step()
        return math.isclose(w.item(), w_paper, rel_tol=1e-9)

    return next(f"{x:.3g}" for x in (lr, lr / (1 - alpha), lr * alpha, lr * (1 - alpha)) if ends(x))


BY_OPTION = {f.__name__: f for f in (noise_left, one_parabola, after_t_max, after_the_drop, one_plus_beta)}
BY_OPTION |= {f.__name__: f for f in (batch_for_share, epoch_seconds, which_decay, floor_of_momentum, largest_rate)}
BY_OPTION |= {f.__name__: f for f in (fair_step_length, from_side_to_side, which_bug, two_layers, rate_for_average)}
BY_OPTION |= {f.__name__: f for f in (uncorrected_start, same_escape, batch_in_place_of_decay)}


@pytest.mark.parametrize(("question", "which"), [p for p in of_kind("choice") if p.values[0].id in BY_OPTION])
def test_choice_is_what_a_simulation_gives(question, which):
    assert question.answer(which) == option(question, which, BY_OPTION[question.id](**question.numbers[which]))


def test_rmsprop_call_is_the_lectures_rule():
    grads = torch.tensor([1.0, -0.5, 2.0, 0.3, -1.0])
    w, r = 0.0, 0.0
    for g in grads.tolist():
        r = 0.9 * r + 0.1 * g * g
        w -= 0.01 * g / (math.sqrt(r) + 1e-8)
    right = []
    for letter, o in QUESTIONS["rmsprop_call"].lettered(0).items():
        params = [torch.zeros(())]
        optimizer = eval(o["text"].strip("`"), {"torch": torch, "params": params})
        for g in grads:
            params[0].grad = g
            optimizer.step()
        right += [letter] * math.isclose(params[0].item(), w, rel_tol=1e-5)
    assert right == [QUESTIONS["rmsprop_call"].answer(0)]


def test_adam_call_takes_the_steps_of_its_formula():
    question, right = QUESTIONS["adam_call"], []
    grads = torch.tensor([1e-3, -2e-3, 5e-4])
    m = r = w = 0.0
    for t, g in enumerate(grads.tolist(), 1):
        m, r = 0.8 * m + 0.2 * g, 0.99 * r + 0.01 * g * g
        w -= 0.0005 * m / (1 - 0.8**t) / (math.sqrt(r / (1 - 0.99**t)) + 1e-6)
    for letter, o in question.lettered(0).items():
        params = [torch.zeros(())]
        try:
            optimizer = eval(o["text"].strip("`"), {"torch": torch, "params": params})
        except TypeError:
            assert "raises a TypeError" in o["because"]
            continue
        for g in grads:
            params[0].grad = g
            optimizer.step()
        right += [letter] * math.isclose(params[0].item(), w, rel_tol=1e-5)
    assert right == [question.answer(0)]


def right_text(name):
    return QUESTIONS[name].lettered(0)[QUESTIONS[name].answer(0)]["text"]


def test_adadelta_and_amsgrad_are_what_the_right_options_say():
    p, q = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    delta = torch.optim.Adadelta([p], lr=1.0, rho=0.9, eps=1e-6)
    ams = torch.optim.Adam([q], lr=0.1, betas=(0.0, 0.9), amsgrad=True)
    r = squares = largest = w = 0.0
    for g in (3.0, -1.0, -1.0, 0.5, 2.0):
        p.grad = q.grad = torch.tensor([g], dtype=torch.float64)
        delta.step()
        ams.step()
        r = 0.9 * r + 0.1 * g * g
        step = math.sqrt(squares + 1e-6) / math.sqrt(r + 1e-6) * g  # past steps over past gradients
        squares, w, largest = 0.9 * squares + 0.1 * step * step, w - step, max(largest, r)
    assert p.item() == pytest.approx(w)
    assert ams.state[q]["max_exp_avg_sq"].item() == pytest.approx(largest)
    assert "its own squared steps" in right_text("adadelta")
    assert "*largest* $r$ so far" in right_text("amsgrad")


@pytest.mark.parametrize(("question", "which"), [p for p in of_kind("matching") if p.values[0].id == "which_curve"])
def test_curves_belong_to_the_rates_that_they_are_matched_with(question, which):
    """The picture shows what many runs with real noise do, and of all five rates the right one comes nearest."""
    values, runs = question.numbers[which], curves_of(question, which)
    drawn = {n: curves.losses(values["h"], 0.004 * values["h"] ** 2, [values[n] / values["h"]] * 100) for n in "PQRS"}
    for name, letter in question.answer(which).items():
        rates = {
            k: float(re.search(r"= ([\d.]+)", questions.fill(o["text"], values))[1])
            for k, o in question.lettered(which).items()
        }
        ends = {k: curves.losses(values["h"], 0.004 * values["h"] ** 2, [rate] * 100) for k, rate in rates.items()}
        distance = {k: sum(abs(math.log(a / b)) for a, b in zip(runs[name], v, strict=True)) for k, v in ends.items()}
        assert min(distance, key=distance.get) == letter
        assert all(math.isclose(a, b, rel_tol=0.2) for a, b in zip(runs[name], drawn[name], strict=True))


@pytest.mark.parametrize("question", [q for q in QUESTIONS.values() if q.curves], ids=lambda q: q.id)
def test_figures_are_described_in_numbers_and_small(question):
    for which in range(len(question.numbers)):
        alt, source = question.picture(which)
        svg = base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode()
        tree = ElementTree.fromstring(svg)
        assert tree.get("aria-label") == alt
        assert all(f"{name}: " in alt for name in question.curves["rates"])
        assert len(re.findall(r"\d", alt)) > 30
        assert svg.count("<polyline") == len(question.curves["rates"])
        assert len(source) < 9000
        shown = [alt] + [because for _, because in question.answers(which).values()]
        assert not re.search(r"\bnan\b|\binf\b", " ".join(shown))


def expected_missing(c, size):
    """By the chance of having seen k classes, draw after draw."""
    seen = [1.0] + [0.0] * c
    for _ in range(size):
        seen = [(seen[k] * k / c if k else 0) + (seen[k - 1] * (c - k + 1) / c if k else 0) for k in range(c + 1)]
    return sum(p * (c - k) for k, p in enumerate(seen))


def floor_of(lr, curvature, noise_variance):
    v = 0.0
    for _ in range(20000):
        v = (1 - lr * curvature) ** 2 * v + lr**2 * noise_variance
    return v


def torch_cosine(step, total, high, low):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=high)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, eta_min=low)
    for _ in range(step):
        optimizer.step()
        scheduler.step()
    return optimizer.param_groups[0]["lr"]


def torch_last_step(make, grad, steps, start=0.0):
    p = torch.tensor([start], dtype=torch.float64)
    optimizer = make([p])
    for _ in range(steps):
        before, p.grad = p.item(), torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
    return before - p.item(), p.item()


def root_of(f, low, high):
    """Where a rising function passes zero."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if f(middle) > 0 else (middle, high)
    return low


def all_steps(lr0, k, grad_norm, t=0):
    return (lr0 * grad_norm * torch.exp(-k * torch.arange(t, t + 20000, dtype=torch.float64))).sum().item()


def velocity(lr, alpha, grad, sign=1, steps=1500):
    delta = 0.0
    for _ in range(steps):
        delta, grad = alpha * delta + lr * grad, sign * grad
    return abs(delta)


def share_of_good_rates(f, R):
    rates = torch.linspace(0, math.log(R), 2_000_001, dtype=torch.float64)
    return ((rates > 0.1) & (rates < 0.1 + math.log(f))).double().mean().item()


DERIVED = {
    "distance_left": lambda lr0, k, grad_norm, t: all_steps(lr0, k, grad_norm, t),
    "largest_k": lambda lr0, grad_norm, distance: root_of(lambda k: distance - all_steps(lr0, k, grad_norm), 1e-3, 20),
    "along_the_floor": lambda lr, alpha, grad: velocity(lr, alpha, grad),
    "across_the_floor": lambda lr, alpha, grad: velocity(lr, alpha, grad, -1),
    "momentum_for_ratio": lambda ratio: root_of(lambda a: velocity(1, a, 1) / velocity(1, a, 1, -1) - ratio, 0.0, 0.99),
    "rolling_on": lambda delta, alpha: sum(delta * alpha**k for k in range(1, 2000)),
    "overshoot_over": lambda beta2, q: root_of(lambda t: q - 1 / math.sqrt(1 - beta2**t), 1e-3, 10**5),
    "lucky_guess": lambda f, R, k: sum(
        share_of_good_rates(f, R) * (1 - share_of_good_rates(f, R)) ** j for j in range(k)
    ),
    "missing_classes": lambda c, size: expected_missing(c, size),
    "cosine_to_floor": torch_cosine,
    "epochs_to_share": lambda k, p: next(t for t in (i / 1e4 for i in range(10**7)) if math.exp(-k * t) <= p),
    "velocity_after": lambda lr, alpha, n: torch_last_step(lambda p: torch.optim.SGD(p, lr=lr, momentum=alpha), 1.0, n)[
        0
    ],
    "length_of_step": lambda lr, beta, t: (
        torch_last_step(lambda p: torch.optim.RMSprop(p, lr=lr, alpha=beta, eps=0), -3.0, t)[0] * -1
    ),
    "adamw_shrinks": lambda w0, lr, weight_decay, n: torch_last_step(
        lambda p: torch.optim.AdamW(p, lr=lr, weight_decay=weight_decay), 0.0, n, w0
    )[1],
}


@pytest.mark.parametrize("question", [q for q in QUESTIONS.values() if q.kind == "derivation"], ids=lambda q: q.id)
def test_derivation_is_what_a_loop_gives(question):
    from random import Random

    for case in question.cases(Random("again")):
        value = questions.evaluate(question.formula, case["args"])
        if question.id == "rate_for_floor":
            args = {k: v for k, v in case["args"].items() if k != "variance"}
            assert floor_of(value, **args) == pytest.approx(case["args"]["variance"], rel=1e-9)
        else:
            assert value == pytest.approx(DERIVED[question.id](**case["args"]), rel=1e-5, abs=2e-4), case


def rates(make, n=13, lr=0.8):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler, used = make(optimizer), []
    for _ in range(n):
        used.append(round(optimizer.param_groups[0]["lr"], 6))
        optimizer.step()
        scheduler.step()
    return used


def test_schedulers_have_the_properties_they_are_matched_with():
    right = QUESTIONS["which_scheduler"].answer(0)
    with pytest.raises(TypeError, match="metrics"):
        rates(lambda o: lr_scheduler.ReduceLROnPlateau(o))
    stairs = rates(lambda o: lr_scheduler.StepLR(o, 4, gamma=0.5))
    constant = rates(lambda o: lr_scheduler.ConstantLR(o, 0.5, 4))
    cosine = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 6))
    assert rates(lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (t + 1)))[4] == pytest.approx(0.8 / 5)
    assert stairs == [0.8] * 4 + [0.4] * 4 + [0.2] * 4 + [0.1]
    assert constant == [0.4] * 4 + [0.8] * 9
    assert (cosine[0], cosine[6], cosine[12]) == (0.8, 0.0, 0.8)
    words = {"ReduceLROnPlateau": "told a loss", "StepLR": "stairs", "ConstantLR": "returns to the full"}
    words |= {"CosineAnnealingLR": "rises again", "LambdaLR": "function of yours"}
    texts = {letter: p["text"] for letter, p in QUESTIONS["which_scheduler"].lettered(0).items()}
    assert all(words[name] in texts[letter] for name, letter in right.items())


def test_forms_of_momentum_walk_as_they_are_matched():
    """Each pair of formulas, turned into code, against torch.optim.SGD at the rate that makes it the same."""
    question, grads, lr, alpha = QUESTIONS["four_forms"], [1.0, -2.0, 0.5, 3.0], 0.1, 0.8

    def walk(text, lr):
        new = re.search(r"\\alpha v ([+-]) ?(.*?)\\nabla", text)
        factor = {"": 1, "\\eta": lr, "(1-\\alpha)": 1 - alpha, "(1-\\eta)": 1 - lr}[new[2].strip()]
        sign, out = (1 if "$w + v$" in text else -1), (lr if "\\eta v" in text else 1)
        w = v = 0.0
        for g in grads:
            v = alpha * v + (-1 if new[1] == "-" else 1) * factor * g
            w += sign * out * v
        return w

    p = torch.zeros(1, dtype=torch.float64)
    optimizer = torch.optim.SGD([p], lr=lr, momentum=alpha)
    for g in grads:
        p.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    text = {name: question.lettered(0)[letter]["text"] for name, letter in question.answer(0).items()}
    for name, rate in {"lecture": lr, "Keras": lr, "PyTorch": lr, "average": lr / (1 - alpha)}.items():
        assert walk(text[name], rate) == pytest.approx(p.item()), name
    assert "$w + v$" in text["Keras"]
    assert "\\eta v$" in text["PyTorch"]
    assert "\\eta\\nabla" in text["lecture"]


def adam(grads, root=True, eps=1e-8, corrected=True, t_stays=False):
    """Steps of Adam in units of the rate, with one thing changed."""
    m = r = 0.0
    steps = []
    for t, g in enumerate(grads, 1):
        m, r, t = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * g * g, 1 if t_stays else t
        a, b = (m / (1 - 0.9**t), r / (1 - 0.999**t)) if corrected else (m, r)
        below = (math.sqrt(b) if root else b) + eps
        steps.append(a / below if below else math.nan)
    return steps


def test_changes_of_adam_do_what_they_are_matched_with():
    question = QUESTIONS["what_breaks"]
    texts = {name: question.lettered(0)[letter]["text"] for name, letter in question.answer(0).items()}
    assert adam([2.0], corrected=False)[0] == pytest.approx(3.16, abs=0.01)
    assert adam([2.0] * 20000, t_stays=True)[-1] == pytest.approx(0.316, abs=0.001)
    assert adam([2000.0], root=False)[0] == pytest.approx(adam([2.0], root=False)[0] / 1000)
    assert math.isnan(adam([0.0], eps=0)[0])
    assert adam([0.0])[0] == 0
    left = {}
    for scale in (0.01, 100.0):
        torch.manual_seed(0)
        p = torch.ones(200)
        optimizer = torch.optim.Adam([p], lr=0.001, weight_decay=0.1)
        for _ in range(500):
            p.grad = scale * torch.randn(200)
            optimizer.step()
        left[scale] = p.mean().item()
    assert left[0.01] < 0.8 < left[100.0]
    words = {"no bias correction": "$3\\,\\eta$", "t stays 1": "0.3", "no square root": "shorter"}
    words |= {"no epsilon": "nan", "L2 in the gradient": "hardly decayed"}
    assert all(word in texts[name] for name, word in words.items())


def test_true_and_false_are_what_numbers_say():
    answer = {q.id: q.answer(0) for q in QUESTIONS.values() if q.kind == "true_false"}
    grads = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = torch.randint(50, (200000,), generator=torch.Generator().manual_seed(1))
    assert answer["single_example"] == torch.allclose(grads[draws].mean(0), grads.mean(0), atol=0.02)
    still = [grads[torch.randperm(50)[:16]].square().mean() for _ in range(50)]  # weights that do not move
    assert answer["shaking_curve"] == (torch.stack(still).std() < 1e-6)
    assert answer["long_enough"] == (sum(0.5 * math.exp(-0.1 * t) for t in range(10**4)) > 10)
    assert answer["sum_or_average"] == math.isclose(sum(0.1 * 0.9**k for k in range(10**4)), 0.1)
    radius = EXERCISES["spectral_radius"].reference
    assert answer["more_momentum"] == (radius(0.5, 0.85, 1.0) > radius(0.5, 0.8, 1.0))
    step = EXERCISES["rmsprop_step"].reference
    ends = []
    for scale in (1, 1000):
        w, r = torch.tensor(1.0).double(), torch.tensor(0.0).double()
        for _ in range(20):
            w, r = step(w, scale * w, r, 0.05, 0.9, 1e-12)
        ends.append(w.item())
    assert answer["loss_times_1000"] == math.isclose(*ends, rel_tol=1e-6)
    assert answer["first_step"] == all(math.isclose(adam([g])[0], 1, rel_tol=1e-4) for g in (1000.0, 0.001))


def test_more_true_and_false_are_what_numbers_say():
    answer = {q.id: q.answer(0) for q in QUESTIONS.values() if q.kind == "true_false"}
    assert answer["noise_of_the_fitted"] == (torch.zeros(50, 3)[torch.randint(50, (99, 4))].mean(1).var() == 0)
    updates = [1 + 1 / batch for batch in (100, 200)]  # of a noisy parabola, in units of the noise scale
    assert answer["far_beyond_the_scale"] == (updates[1] / updates[0] < 0.6)
    x = torch.randn(6, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w, y = torch.zeros(10, dtype=torch.float64), x.sum(1)
    for i in torch.randint(6, (6000,), generator=torch.Generator().manual_seed(1)):
        w = w - 0.05 * (x[i] @ w - y[i]) * x[i]
    assert answer["constant_rate"] == ((x @ w - y).square().mean() < 1e-20)
    net = torch.randn(10, 4, requires_grad=True)
    loss = (net * torch.randn(10, 4)).sin().sum(1)
    (own,) = torch.autograd.grad(loss[3], net, retain_graph=True)
    (together,) = torch.autograd.grad(loss.sum(), net)
    assert answer["side_by_side"] == (not torch.allclose(together[3], own[3]))


def test_true_and_false_on_momentum_are_what_runs_say():
    answer = {q.id: q.answer(0) for q in QUESTIONS.values() if q.kind == "true_false"}
    momentum, nesterov = (EXERCISES[name].reference for name in ("momentum_step", "nesterov_step"))

    def ends(alpha, lr, steps):
        (w, d), (n, e) = [(torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64))] * 2
        for _ in range(steps):
            w, d = momentum(w, w, d, lr, alpha)
            n, e = nesterov(n, lambda w: w, e, lr, alpha)
        return w.item(), n.item(), e.item()

    plain = (1 - 0.3) ** 20
    assert answer["alpha_zero"] == all(math.isclose(x, plain) for x in ends(0.0, 0.3, 20)[:2])
    assert answer["as_far_as_momentum"] == all(abs(x) < 1 for x in ends(0.9, 2.0, 400)[:2])
    p = torch.ones(1, dtype=torch.float64)
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(7):
        p.grad = p.clone()
        optimizer.step()
    _, n, e = ends(0.9, 0.1, 7)
    assert answer["where_the_parameter_is"] == math.isclose(p.item(), n - 0.9 * e)


def test_true_and_false_on_adaptive_rules_are_what_runs_say():
    answer = {q.id: q.answer(0) for q in QUESTIONS.values() if q.kind == "true_false"}
    step = EXERCISES["rmsprop_step"].reference
    h, c = torch.tensor([1.0, 50.0]).double(), math.sqrt(0.5)
    turn = torch.tensor([[c, -c], [c, c]]).double()

    def walk(matrix, start):
        w, r = start, torch.zeros(2).double()
        for _ in range(30):
            w, r = step(w, matrix @ w, r, 0.05, 0.9, 1e-12)
        return w

    start = torch.tensor([1.0, 0.5]).double()
    old, new = walk(torch.diag(h), start), walk(turn @ torch.diag(h) @ turn.T, turn @ start)
    assert answer["turned_landscape"] == torch.allclose(turn @ old, new, atol=1e-3)
    lengths = [0.01 * g / (g * g) for g in (0.1, 10.0)]  # without the root, in the long run
    assert answer["no_root"] == math.isclose(*lengths)
    assert answer["never_longer"] == (max(map(abs, adam([0.01] * 3000 + [1.0] * 30))) < 1.5)
    assert answer["fresh_adam"] == all(math.isclose(adam([g])[0], 1, rel_tol=1e-3) for g in (1e-3, 10.0))


def test_true_and_false_on_torch_are_what_torch_does():
    answer = {q.id: q.answer(0) for q in QUESTIONS.values() if q.kind == "true_false"}

    def trained(order, **options):
        torch.manual_seed(0)
        params = [torch.randn(3), torch.randn(3)]
        optimizer = torch.optim.Adam([params[k] for k in order], lr=0.1, **options)
        for k in range(5):
            for p in params:
                p.grad = torch.sin(p + k)
            optimizer.step()
        return params, optimizer

    params, saved = trained([0, 1])
    swapped = torch.optim.Adam([params[1], params[0]])
    swapped.load_state_dict(saved.state_dict())  # raises nothing
    noticed = torch.equal(swapped.state[params[0]]["exp_avg"], saved.state[params[0]]["exp_avg"])
    assert answer["another_order"] == noticed
    ways = [trained([0, 1], **options)[0] for options in ({"foreach": False}, {"foreach": True}, {"fused": True})]
    assert answer["foreach_and_fused"] == all(torch.allclose(torch.cat(ways[0]), torch.cat(way)) for way in ways[1:])


def test_every_question_is_derived_twice_or_known_to_be_a_judgement():
    judgement = {"two_changes", "better_of_two", "around_adam", "three_state_dicts", "who_does_what", "forgotten_parts"}
    judgement |= {"what_first", "learnt_by_heart", "cosine_or_constant", "why_multiply", "named_most", "speaks_against"}
    judgement |= {"before_anything"}
    numeric = {"single_example", "shaking_curve", "long_enough", "sum_or_average", "more_momentum"}
    numeric |= {"loss_times_1000", "first_step", "rmsprop_call", "which_scheduler", "four_forms", "what_breaks"}
    numeric |= {"noise_of_the_fitted", "far_beyond_the_scale", "constant_rate", "side_by_side", "another_order"}
    numeric |= {"alpha_zero", "as_far_as_momentum", "where_the_parameter_is", "turned_landscape", "no_root"}
    numeric |= {"never_longer", "fresh_adam", "foreach_and_fused", "adam_call", "adadelta", "amsgrad", "which_curve"}
    numeric |= {*BY_OPTION, *DERIVED, "rate_for_floor"} | {q.id for q in QUESTIONS.values() if q.kind == "code"}
    assert numeric | judgement == set(QUESTIONS)


# --- spelling, and what the judge says -----------------------------------------------------------------------------

SPELLINGS = [
    # (question, how to write the right answer)
    ("noise_left", str.lower),
    ("noise_left", lambda a: f"  {a}. "),
    ("noise_left", lambda a: f"({a.lower()})"),
    ("single_example", lambda a: "True"),
    ("single_example", lambda a: " t "),
    ("halving", str),
    ("halving", lambda a: a * 1.001),
    ("gain_history", lambda a: round(a, 3)),
    ("gain_history", lambda a: math.floor(a * 1000) / 1000),
    ("batch_lengths", tuple),
    ("batch_lengths", lambda a: [str(x) for x in a]),
    ("four_forms", lambda a: dict(reversed(a.items()))),
    ("four_forms", lambda a: {k: v.lower() for k, v in a.items()}),
]


@pytest.mark.parametrize(("name", "spell"), SPELLINGS)
def test_right_answers_are_right_however_they_are_written(name, spell, checks_file):
    question = QUESTIONS[name]
    for which in range(len(question.numbers)):
        answer = spell(question.answer(which))
        verdict = judge_question(load_checks(checks_file)[name], answer, student_with(question, which))
        assert (verdict.passed, verdict.credit) == (True, 1.0), (answer, verdict)


@pytest.mark.parametrize(("question", "which"), of_kind("true_false", "choice", "code"))
def test_every_known_answer_gets_its_own_explanation(question, which, checks_file):
    spec, student = load_checks(checks_file)[question.id], student_with(question, which)
    assert judge_question(spec, question.answer(which), student).passed
    for answer, (right, because) in question.answers(which).items():
        value = [float(x) for x in answer.split(", ")] if question.form()["is"] == "numbers" else answer
        verdict = judge_question(spec, value, student)
        assert (verdict.passed, verdict.message) == (right, because)
        assert right or verdict.misconception == (answer.capitalize() if question.kind == "true_false" else answer)


def test_matching_gives_a_part_of_the_credit_for_each_right_pair():
    exercise = EXERCISES["which_scheduler"]
    answer = QUESTIONS["which_scheduler"].answer(0)
    swapped = answer | {"StepLR": answer["LambdaLR"], "LambdaLR": answer["StepLR"]}
    verdict = judge_question(exercise, swapped, "anna")
    assert not verdict.passed
    assert verdict.credit == pytest.approx(3 / 5)
    assert verdict.headline == "3 of 5 pairs are right"
    assert verdict.message.count("✔") == 3


def test_an_unknown_number_is_not_right_and_gets_no_explanation():
    verdict = judge_question(EXERCISES["halving"], 123.4, "anna")
    assert (verdict.kind, verdict.credit) == ("different", 0.0)
    assert "none of the usual slips" in verdict.message


HOSTILE = [
    "x" * 10**6,
    "9" * 10**6,
    "A" * 19,
    "\ud800",
    "nan",
    "inf",
    math.nan,
    math.inf,
    10**5000,
    -(10**400),
    [],
    [[1]],
    [math.nan] * 3,
    list(range(10**5)),
    [None],
    {},
    {"StepLR": "A"},
    {"lecture": ["A"], "Keras": {}, "PyTorch": 1, "average": "ABCDE"},
    {f"k{i}": "A" for i in range(10**4)},
    True,
    1j,
    b"A",
    object(),
]


@pytest.mark.parametrize("name", ["noise_left", "single_example", "batch_lengths", "gain_history", "four_forms"])
@pytest.mark.parametrize("exam", [None, "anna"])
def test_hostile_values_get_no_credit_and_a_reason(name, exam):
    for value in [*HOSTILE, torch.tensor([1.0, 2.0])]:
        if name == "single_example" and value is True:
            continue
        verdict = judge_question(EXERCISES[name], value, "anna", exam)
        assert (verdict.passed, verdict.credit) == (False, 0.0), value
        assert verdict.message
        assert len(str(verdict)) < 1500
    deep = []
    for _ in range(10**4):
        deep = [deep]
    assert not judge_question(EXERCISES[name], deep, "anna", exam).passed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=9), children, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(json_values, json_values)
def test_judge_never_raises(value, student):
    for name in ("noise_left", "single_example", "batch_lengths", "gain_history", "four_forms"):
        assert 0 <= judge_question(EXERCISES[name], value, student).credit <= 1
        assert judge_question(EXERCISES[name], value, student, "anna").credit == 0 or student == "anna"


STRANGERS = {"other": "ben", "empty": "", "none": None, "number": 3, "list": ["anna"], "long": "x" * 10**6}
STRANGERS |= {"huge": 10**5000, "surrogate": "\ud800"}


@pytest.mark.parametrize("student", STRANGERS.values(), ids=STRANGERS)
def test_an_exam_counts_answers_for_the_own_id_only(student):
    question = QUESTIONS["noise_left"]
    answer = question.answer(question.numbers_of("anna"))
    assert judge_question(EXERCISES["noise_left"], answer, " Anna", "anna").credit == 1
    composed, with_an_accent = "rené", "rene\u0301"  # one name, as different systems write it
    answer_of_rene = question.answer(question.numbers_of(composed))
    assert judge_question(EXERCISES["noise_left"], answer_of_rene, with_an_accent, composed).credit == 1
    verdict = judge_question(EXERCISES["noise_left"], answer, student, "anna")
    assert (verdict.kind, verdict.credit) == ("other_student", 0.0)
    assert len(verdict.message) < 200


# --- numbers per student ---------------------------------------------------------------------------------------------


def test_numbers_depend_on_the_student_and_the_question_only():
    drawn = [q for q in QUESTIONS.values() if len(q.numbers) > 1]
    assert len(drawn) >= 14
    for question in drawn:
        assert {question.numbers_of(f"student{i}") for i in range(60)} == set(range(len(question.numbers)))
        assert question.numbers_of("Anna") == question.numbers_of(" anna ")
    papers = {tuple(q.numbers_of(f"student{i}") for q in drawn) for i in range(60)}
    assert len(papers) == 60
    assert quiz.which_set("noise_left", "anna", 4) == 0  # on every machine, for ever


# --- what travels ----------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.tuples(st.booleans(), st.text(max_size=40)), min_size=1, max_size=4))
def test_sealed_answers_open_with_the_answer_only(answers):
    try:
        sealed = seal("q", 0, answers)
    except UnicodeEncodeError:
        return
    assert {a: quiz.unseal("q", 0, a, sealed) for a in answers} == answers
    assert quiz.unseal("q", 1, next(iter(answers)), sealed) is None
    assert len({len(text) for text in sealed.values()}) == 1
    assert list(sealed) == sorted(sealed)


def test_practice_shows_no_answer_legibly():
    notebook = nbformat.read(RELEASE / f"{NAME}.ipynb", as_version=4)
    entries = {n: e for n, e in load_checks(RELEASE / "checks.json").items() if e.notebook == NAME}
    quizzes = json.dumps([e.question for e in entries.values()], ensure_ascii=False)
    code = "\n".join(c.source for c in notebook.cells)
    for question, which in SETS:
        for _, because in question.answers(which).values():
            assert because not in quizzes
            assert because not in code
        assert question.kind != "derivation" or question.formula not in code + quizzes
    sources = [c.source for c in notebook.cells]
    assert all(practice._answer_source(q) in sources for q in QUESTIONS.values() if q.kind != "derivation")


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    build.exam(COURSE, folder)
    return folder


def leaks(folder):
    """What of the answers can be found in the files of a folder, by somebody who has the rubrics to compare with."""
    text = "\n".join(f.read_text(encoding="utf-8") for f in folder.rglob("*") if f.is_file())
    plain = text.encode().decode("unicode_escape", "ignore") + text
    found = {because for because in reasons() if because in text or because[:40] in plain}
    for question, which in SETS:
        for answer in question.answers(which):
            key, _ = quiz.derive_key(question.id, which, answer)
            found |= {key} if key in text or key[:12] in text else set()
        if question.kind == "derivation":
            formulas = [question.formula, *(w["formula"] for w in question.wrong)]
            found |= {f for f in formulas if len(f) > 8 and (f in text or json.dumps(f)[1:-1] in text)}
        if question.kind == "code" and question.id != "new_rate":  # which prints what stands in it
            answer = re.escape(str(question.answer(which)))
            found |= {answer} if re.search(rf"(?<![\d.]){answer}(?![\d.])", question.shown(which)) else set()
        if question.items:
            found |= {v for k, v in question.answer(which).items() if f'"{k}": "{v}"' in plain}
        elif question.kind != "derivation":
            given = practice._answer_source(question, question.answer(which)).partition("  #")[0]
            found |= {question.id} if given in plain else set()
    return found


def test_exam_holds_no_answer_explanation_or_hash(exam):
    assert sorted(f.name for f in exam.iterdir()) == [f"{NAME}.ipynb", "checks.json"]
    assert leaks(exam) == set()
    entries = load_checks(exam / "checks.json")
    assert set(entries) == set(QUESTIONS)
    assert {key for e in entries.values() for key in e.data} <= {"notebook", "points", "observer", "cases", "question"}
    assert {key for e in entries.values() for key in e.question} <= {
        "id", "number", "kind", "section", "form", "texts", "pictures",
    }  # fmt: skip
    assert (
        "study guide" not in (exam / f"{NAME}.ipynb").read_text(encoding="utf-8").lower().split("what to remember")[0]
    )


def test_search_for_leaks_can_find_them(exam, tmp_path):
    """The same search over the practice files and the solutions finds what there is."""
    shutil.copy(RELEASE / "checks.json", tmp_path)
    hashes = sum(len(set(q.answers(w))) for q, w in SETS)
    assert len(leaks(tmp_path)) > hashes * 0.9
    shutil.copy(exam / "checks.json", tmp_path)
    shutil.copy(COURSE.solutions / f"{NAME}.ipynb", tmp_path)
    assert {QUESTIONS["single_example"].id, QUESTIONS["rate_for_floor"].formula} <= leaks(tmp_path)


def run(notebook, folder):
    NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(folder)}}).execute()
    shown = {}
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id") or cell.source.partition(" = ask(")[0]
        if cell.cell_type == "code" and name in QUESTIONS:  # the cell that asks, and the check
            text = "".join(o.get("data", {}).get("text/plain", "") for o in cell.outputs)
            before, errors = shown.get(name, ("", []))
            shown[name] = (before + text, errors + [o.ename for o in cell.outputs if o.output_type == "error"])
    return shown, "".join(
        o.get("data", {}).get("text/plain", "") for c in notebook.cells[-3:] for o in c.get("outputs", [])
    )


def test_exam_records_answers_and_says_nothing_about_them(exam):
    """Right and wrong answers are told the same, and so is a derivation that runs."""
    notebook = nbformat.read(exam / f"{NAME}.ipynb", as_version=4)
    cells = {q.id: practice._answer_source(q) for q in QUESTIONS.values() if q.kind != "derivation"}
    wrong = {"truth": True, "letter": "B", "number": 1.5, "numbers": [1, 2]}
    for cell in notebook.cells:
        cell.source = cell.source.replace('student = "your id"', 'student = "anna"')
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = cell.source.replace("raise NotImplementedError()", "return 0.5")
        for name, source in cells.items():
            if cell.source == source:
                form = QUESTIONS[name].form()
                value = dict.fromkeys(form.get("keys", []), "A") or wrong.get(form["is"])
                cell.source = practice._answer_source(QUESTIONS[name], value)
    shown, board = run(notebook, exam)
    assert set(shown) == set(QUESTIONS)
    for name, (text, errors) in shown.items():
        assert not errors, name
        assert "recorded" in text, name
        assert "decided at grading" in text
        assert not re.search(r"not right|: right|agrees|looks like", text), text
    assert "89 of 89 answers recorded" in board


@pytest.mark.parametrize(
    ("name", "value", "student", "said"),
    [
        ("noise_left", "B", "anna", "recorded: B"),
        ("noise_left", "E", "anna", "One of the letters A, B, C, D"),
        ("noise_left", None, "anna", "not written yet"),
        ("gain_history", "1/2", "anna", "A plain number is expected"),
        ("four_forms", {"lecture": "A"}, "anna", "Keep the dictionary as it was"),
        ("noise_left", "B", "your id", "Write your own id"),
    ],
)
def test_exam_checks_the_form(exam, monkeypatch, capsys, name, value, student, said):
    monkeypatch.chdir(exam)
    good = said.startswith("recorded")
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    with contextlib.nullcontext() if good else pytest.raises(CheckFailed):
        check_answer(name, value, student)
    assert said in capsys.readouterr().out


# --- grading -----------------------------------------------------------------------------------------------------------


def answered(**answers):
    """The released notebook of anna's with these answer cells."""
    notebook = nbformat.from_dict(json.loads(json.dumps(COURSE.released[NAME])))
    for cell in notebook.cells:
        cell.source = cell.source.replace('student = "your id"', 'student = "Anna"')
        name = cell.source.partition(" = ask(")[0]
        cell.source = answers.get(name, cell.source)
    return notebook


def test_the_answer_to_a_question_is_found_whatever_its_cell_looks_like():
    texts = {
        "noise_left": 'noise_left = "B"',
        "single_example": "x = 1\nsingle_example = ask('single_example', student, x)",
    }
    notebook = answered(**texts)
    checks = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("locked")}
    for name, text in texts.items():
        assert score._answer(notebook, checks[name]) == text
    assert score._answer(notebook, checks["shaking_curve"]) == practice._answer_source(QUESTIONS["shaking_curve"])
    assert score._answer(notebook, checks["rate_for_floor"]).startswith("def rate_for_floor(")


def test_feedback_shows_question_answer_and_verdict_in_the_order_of_the_questions():
    question = QUESTIONS["noise_left"]
    text = 'noise_left = ask("noise_left", student, "B")'
    results = [Marked(NAME, q.id, 0, q.points, "different", card=f"<p>card of {q.id}</p>") for q in QUESTIONS.values()]
    notebook = answered(noise_left=text)
    for cell in notebook.cells:
        if cell.source == text:
            cell.outputs = [nbformat.v4.new_output("display_data", {"text/plain": "what ask displays"})]
    page = feedback.notebook_page(COURSE, Submission("anna", tuple(results)), NAME, notebook)
    parts = re.split('<section id="', page)[1:]
    assert [part.partition('"')[0] for part in parts] == [*QUESTIONS]
    part = next(part for part in parts if part.startswith("noise_left"))
    assert f"Question {question.label} " in part
    assert f"{question.label} · Multiple choice · 1 point" in part
    assert (
        part.index("drawn <em>without</em> replacement")
        < part.index("noise_left = ask(")
        < part.index("card of noise_left")
    )
    right = question.lettered(question.numbers_of("anna"))[question.answer(question.numbers_of("anna"))]
    assert questions.fill(right["text"], question.numbers[question.numbers_of("anna")]) in part
    assert "what ask displays" not in part
    assert "<pre>shaking_curve" not in page  # what was not answered is not shown as if it were


# --- notebook, paper, guide ------------------------------------------------------------------------------------------


def source():
    return jupytext.read(COURSE.source / f"{NAME}.py", fmt="py:percent")


def test_generated_cells_come_and_go():
    plain = build.as_source(source())
    notebook = source()
    practice.expand(COURSE, notebook)
    assert len(notebook.cells) >= len(source().cells) + 3 * len(QUESTIONS)
    practice.collapse(notebook)
    assert build.as_source(notebook) == plain


def test_an_edited_generated_cell_is_refused_with_the_place_to_edit(tmp_path):
    copy = tmp_path / f"{NAME}.py"
    shutil.copy(COURSE.source / f"{NAME}.py", copy)
    notebook = build.read_source(COURSE, copy)
    nbformat.write(notebook, copy.with_suffix(".ipynb"))
    assert build.edits(copy) is None
    next(c for c in notebook.cells if c.metadata.get("generated")).source += " More."
    nbformat.write(notebook, copy.with_suffix(".ipynb"))
    with pytest.raises(CourseError, match="questions.toml"):
        build.edits(copy)


def test_seed_cell_holds_the_id_that_the_solutions_are_made_for():
    assert f'student = "{quiz.NOBODY}"' in [c.source for c in source().cells]


def headings(file):
    cells = nbformat.read(file, as_version=4).cells
    lines = [line for c in cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    return {re.sub(r"[`*]", "", line.lstrip("# ")).replace(" ", "-") for line in lines if line.startswith("#")}


def test_links_of_questions_and_guide_lead_to_headings():
    from urllib.parse import unquote

    cells = nbformat.read(RELEASE / f"{NAME}.ipynb", as_version=4).cells
    found = [
        hit for c in cells if c.cell_type == "markdown" for hit in re.findall(r"\]\((\w+\.ipynb)#([^)]+)\)", c.source)
    ]
    assert len(found) > 80
    known = {file: headings(RELEASE / file) for file, _ in found}
    for file, anchor in found:
        assert unquote(anchor) in known[file], (file, anchor)


def test_study_guide_names_every_question_and_appendix_every_correction():
    cells = practice._guide_cells(COURSE, "")
    numbers = {
        int(n) for c in cells for row in c.source.splitlines()[4:] for n in re.findall(r"\d+", row.split("|")[3])
    }
    without = {q.number for q in QUESTIONS.values()} - numbers
    assert len(without) <= 2, without
    (table,) = practice._corrected_cells(COURSE, "")
    lines = sum(f.read_text(encoding="utf-8").count("# > Lecture notes ▸") for f in COURSE.sources)
    rows = table.source.splitlines()[2:]
    assert len(rows) == lines >= 22
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)
    assert {row.split("|")[2].strip() for row in rows} <= set(practice.LABELS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    paper.write(COURSE, "anna", folder)
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()}


def test_paper_asks_everything_and_answers_nothing(pages):
    asked = pages["midterm.html"]
    assert asked.count("<section>") == len(QUESTIONS)
    for because in reasons():
        assert escape(because) not in asked
        assert because not in asked
    for question in QUESTIONS.values():
        assert question.kind != "derivation" or question.formula not in asked
    assert "✔" not in asked
    assert "check_answer" not in asked


@pytest.mark.parametrize("page", ["midterm.html", "midterm_key.html"])
def test_paper_needs_no_internet_and_shows_formulas_as_mathml(pages, page):
    text = pages[page]
    assert not re.search(r'<script|<link|src=(?!"data:image/svg)|https?://(?!www\.w3\.org)', text)
    assert text.count("<math") > 40
    assert "$" not in text
    assert "@@" not in text
    assert re.search(r"@page \{ size: A4", text)
    assert "break-inside: avoid" in text


def test_key_has_the_right_answer_and_every_explanation(pages):
    key = pages["midterm_key.html"]
    for question in QUESTIONS.values():
        which = question.numbers_of("anna")
        for right, because in question.answers(which).values():
            assert escape(because.removeprefix("Yes: ")) in key, (question.id, right)
    assert key.count("✔") == sum(max(1, len(q.items)) for q in QUESTIONS.values())


def test_papers_of_two_students_differ(pages, tmp_path):
    paper.write(COURSE, "ben", tmp_path)
    assert (tmp_path / "midterm.html").read_text(encoding="utf-8") != pages["midterm.html"].replace("anna", "ben")


# --- records with mistakes -------------------------------------------------------------------------------------------

GOOD = 'id = "q"\nkind = "choice"\nsection = "1.1"\ntext = "?"\n'


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (GOOD.replace("choice", "essay"), "kind is one of"),
        (GOOD + 'texts = "?"', "texts"),
        (GOOD + 'options = [{text = "a", because = "b", right = true}, {text = "c", because = "d", right = true}]', "2 opt"),
        (GOOD + 'options = [{text = "a", right = true}]', "because"),
        (GOOD + 'options = [{text = "a", because = "{=B/2}", right = true}]', "'B' is not defined"),
        (GOOD.replace("choice", "true_false"), "right is true or false"),
        (GOOD.replace("choice", "matching") + 'items = [{name = "a", right = "C", because = "b"}]\n'
         'properties = [{text = "d", because = "e"}]', "right of a is one of the letters A"),
        (GOOD + 'options = [{text = "a", because = "b", right = true}]\n[[question]]\n' + GOOD, "this id already"),
        (GOOD + 'options = [', "cannot be read as TOML"),
        ('id = "q"\nkind = "code"\nsection = "1.1"\ntext = "?"\ncode = "print(2)"\nbecause = "b"\n'
         'wrong = [{answer = "1 + 1", because = "c"}]', "1 + 1 is 2, as another answer is"),
    ],
)  # fmt: skip
def test_a_record_with_a_mistake_is_named(tmp_path, record, said):
    file = tmp_path / "questions.toml"
    file.write_text(f"[[question]]\n{record}\n", encoding="utf-8")
    with pytest.raises(CourseError, match=re.escape(said)) as error:
        questions.validate(questions.load(file))
    assert "q" in str(error.value)


def test_every_answer_of_the_course_can_be_worked_out():
    questions.validate(QUESTIONS.values())


def test_reading_the_rubrics_runs_no_code_of_questions(monkeypatch):
    monkeypatch.setattr(questions, "evaluate", lambda *_: pytest.fail("an expression was worked out"))
    monkeypatch.setattr(questions, "_run", lambda *_: pytest.fail("code was run"))
    assert len(questions.asked_in(load_rubrics(COURSE.rubrics))) == len(QUESTIONS)


def test_check_answer_of_a_function_names_its_check(capsys):
    for say in (lambda: check_answer("momentum_step", 3, "anna"), lambda: ask("momentum_step", "anna")):
        with contextlib.suppress(CheckFailed):
            say()
        assert "its check is check(momentum_step)" in capsys.readouterr().out


def test_form_of_an_answer_is_a_problem_with_a_sentence():
    with pytest.raises(Problem, match="True or False"):
        quiz.normal(1, {"is": "truth"})
