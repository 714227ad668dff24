"""Every exercise: its reference is right, every mistake is told from it and named, and the build says what is wrong."""

import json
import math
import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, zip_longest
from random import Random

import numpy as np
import pytest
import torch
from conftest import EXERCISES as ALL
from wrong_answers import KEPT_ASIDE, REAL

from lecture_utils.checks import judge, observers
from lecture_utils.checks.calling import TimedOut
from lecture_utils.checks.judge import compare
from lecture_utils.checks.observers import Steps, observe, perform
from lecture_utils.checks.recorded import find_exercise, load
from lecture_utils.checks.sketch import close as sketch_close
from lecture_utils.checks.traces import Kind, Trace, close, encode, same, tolerances
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.cases import case
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.exercise import Exercise, exercise
from lecture_utils.instructor.authoring.files import stale
from lecture_utils.instructor.authoring.record import _exact_sketch, _pairs, record, reference_of, see
from lecture_utils.instructor.authoring.trees import edit_of

EXERCISES = {
    n: e for n, e in ALL.items() if e.draw is not None
}  # test_questions.py and test_observers.py have the rest
SLIPS = [(e, s) for e in EXERCISES.values() for s in e.slips]
BY_NAME = {"argvalues": EXERCISES.values(), "ids": EXERCISES}


def by_name(pair):
    return f"{pair[0].name}-{pair[1].name}"


@pytest.fixture(scope="module")
def records():
    """What build records of each exercise, without pairs, made again."""
    made: dict[str, object] = {}

    def of(name):
        if name not in made:
            made[name] = record(EXERCISES[name], pairs=False)
        return made[name]

    return of


# --- what is recorded is current, and right ----------------------------------------------------------------------


def test_nothing_recorded_is_stale():
    assert stale(Course()) == []


@pytest.mark.parametrize("name", EXERCISES)
def test_what_is_recorded_can_be_made_again(name, records, checks_file):
    """The singles all, of the pairs some: a whole build takes minutes."""
    again, kept = records(name), find_exercise(name, checks_file)
    assert [[s.name, s.message, s.credit] for s in again.slips] == kept.data["slips"]
    assert np.allclose(again.tables.singles, kept.tables.singles, atol=1e-4, equal_nan=True)
    assert np.allclose(again.tables.parts, kept.tables.parts, atol=1e-4, equal_nan=True)
    rows = dict(zip(map(tuple, kept.tables.which.tolist()), kept.tables.pairs, strict=True))
    pairs = [p for p in _pairs(again) if p[2] is None and (p[0], p[1]) in rows]
    for a, b, _, edit in random.Random(1).sample(pairs, min(15, len(pairs))):
        whole = _exact_sketch(EXERCISES[name], EXERCISES[name].changed(edit), again.cases).whole
        assert sketch_close(rows[a, b], whole), (again.slips[a].name, again.slips[b].name)


@pytest.mark.parametrize("exercise", **BY_NAME)
def test_reference_passes(exercise, checks_file):
    verdict = judge(exercise.reference, exercise.name, checks_file)
    assert verdict.passed
    assert verdict.credit == 1


@pytest.mark.parametrize("pair", SLIPS, ids=by_name)
def test_mistake_is_named(pair, checks_file):
    exercise, slip = pair
    verdict = judge(exercise.answer(slip), exercise.name, checks_file)
    assert not verdict.passed
    messages = {s.name: s.message for s in exercise.slips}
    assert messages[verdict.misconception] == slip.message
    assert verdict.credit == slip.credit < 1


# --- the mutation score: no change of a reference goes unseen ---------------------------------------------------


@pytest.mark.parametrize("name", EXERCISES)
def test_every_change_of_the_reference_is_refused(name, records):
    """All generic slips; the few that change nothing are listed in the rubric, with the reason."""
    made = records(name)  # raises CourseError for any other
    assert {s.name for s in made.survivors} == set(EXERCISES[name].equivalents)
    assert all(len(why) > 10 for why in EXERCISES[name].equivalents.values())


@pytest.mark.parametrize("name", EXERCISES)
def test_hidden_cases_also_tell_right_from_wrong(name, records):
    """Other seeds: written slips in all of them, generic ones in one."""
    exercise, slow = EXERCISES[name], EXERCISES[name].observer.slow
    for seed in range(1 if slow else 3):
        cases = json.loads(json.dumps(exercise.draw(Random(f"hidden {seed}"))))
        right = reference_of(exercise, cases)[0]
        for slip in exercise.slips if seed or slow else records(name).slips:
            seen = see(exercise, exercise.answer(slip), cases)[0]
            assert not all(same(a, b, exercise.rtol) for a, b in zip(seen, right, strict=True)), (slip.name, seed)


@pytest.mark.parametrize("exercise", **BY_NAME)
def test_hidden_cases_are_too_many_to_know_by_heart(exercise):
    assert len({json.dumps(exercise.draw(Random(seed))) for seed in range(1000)}) > 800


STEPPING = [n for n, e in EXERCISES.items() if isinstance(e.observer, Steps)]


@pytest.mark.parametrize("name", STEPPING)
def test_stepping_cases_are_hard_enough(name):
    cases = EXERCISES[name].draw(Random(1))
    runs, single = [c for c in cases if c["steps"] > 1], [c for c in cases if c["steps"] == 1]
    assert all(c["steps"] >= 5 for c in runs)
    assert single or len(EXERCISES[name].observer.returns) == 1
    shapes = [[shape(t["w"]) for t in c["start"]] for c in runs]
    assert any(() in s for s in shapes)
    assert any(len(set(s)) < len(s) for s in shapes)  # two of one shape
    assert all(len(s) > 1 for s in shapes)
    assert any(isinstance(h, list) and len(set(h)) > 1 for c in runs for h in c["hyper"].values())
    assert any(c["dtype"] == "float32" for c in runs)


def shape(numbers):
    return (len(numbers), *shape(numbers[0])) if isinstance(numbers, list) else ()


@pytest.mark.parametrize("name", STEPPING)
def test_no_coincidence_makes_two_mistakes_alike(name):
    """No hyperparameter is another, or what another leaves of 1; no β is the square of the other."""
    for seed in range(50):
        for c in EXERCISES[name].draw(Random(seed))[:2]:
            values = {k: v[0] if isinstance(v, list) else v for k, v in c["hyper"].items()}
            for (a, x), (b, y) in combinations(values.items(), 2):
                assert abs(x - y) > 1e-9, (a, b, seed)
                assert abs(x + y - 1) > 1e-9 or "eps" in (a, b), (a, b, seed)
                assert not a.startswith("beta") or abs(x - y * y) > 1e-9, (a, b, seed)
                assert not b.startswith("beta") or abs(y - x * x) > 1e-9, (a, b, seed)


# --- right answers in float32 are right --------------------------------------------------------------------------

REWRITTEN = {
    "nesterov_step": "ahead = w - alpha * delta\nnew = ahead - lr * grad_fn(ahead)\nreturn new, w - new",
    "momentum_step": "new = w - alpha * delta - lr * grad\nreturn new, w - new",
    "adam_step": "t = t + 1\nm = m + (1 - beta1) * (grad - m)\nr = r + (1 - beta2) * (grad * grad - r)\n"
    "return w - lr / (1 - beta1**t) * m / ((r / (1 - beta2**t)) ** 0.5 + eps), m, r, t",
    "rmsprop_step": "r = r + (1 - beta) * (grad * grad - r)\nreturn w - lr / (r ** 0.5 + eps) * grad, r",
    "torch_momentum_step": "buf = grad if buf is None else buf + (momentum - 1) * buf + grad - dampening * grad\nreturn w - lr * buf, buf",
    "reachable_distance": "return float(lr0 * grad_norm / (1 - torch.exp(torch.tensor(-k))))",
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_right_rewritings_in_float32_are_never_refused(name):
    """0 of 300 draws: what is small beside the numbers of its step may be off by what rounding does to those."""
    exercise, space = EXERCISES[name], {"torch": torch}
    body = "\n".join(f"    {line}" for line in REWRITTEN[name].splitlines())
    exec(f"def rewritten({', '.join(exercise.observer.arguments)}):\n{body}", space)
    for seed in range(100):
        cases = json.loads(json.dumps(exercise.draw(Random(f"float32 {seed}"))))
        cases = [c | {"dtype": "float32"} if "dtype" in c else c for c in cases]
        right = reference_of(exercise, cases)[0]
        found = observe(space["rewritten"], exercise.observer, cases)
        assert all(same(a, b, exercise.rtol) for a, b in zip(found, right, strict=True)), seed


# --- how many wrong answers are named ----------------------------------------------------------------------------


@dataclass
class Rate:
    """Of wrong answers that were ``tried``: how many had all their mistakes named, and how many a name that is not so."""

    tried: int = 0
    named: int = 0
    untrue: list = field(default_factory=list)

    def __str__(self):
        return f"{self.named} of {self.tried} named ({self.named / max(self.tried, 1):.1%}), {len(self.untrue)} untrue"


class Measure:
    """How the answers of wrong_answers.py, one slip or more at once, are named."""

    def __init__(self, name, checks_file, made):
        self.exercise, self.recorded, self.name = EXERCISES[name], find_exercise(name, checks_file), name
        self.slips = {s.name: s for s in made.slips}
        self.edits = {}
        for what, changes in KEPT_ASIDE[name].items():
            tree = self.exercise.tree
            self.edits[what] = {k: v for old, new in changes.items() for k, v in edit_of(tree, old, new).items()}
        cases = self.recorded.data["cases"]
        self.seen = {
            what: see(self.exercise, self.exercise.changed(edit), cases)[0] for what, edit in self.edits.items()
        }
        self.told = {what: self.named(edit) for what, edit in self.edits.items()}

    def named(self, edit):
        """What a wrong answer is told, as (slip, the result that it is told of); None where it passes."""
        cases = self.recorded.data["cases"]
        raw = perform(self.exercise.changed(edit), self.exercise.observer, cases, 2.0)
        finding = compare(self.recorded, raw)
        if finding.case is None:
            return None
        found = finding.named
        if found is None:
            problem = raw[0].problem  # a wrong number of results, None, a tensor: each has a sentence that says so
            return [(problem.kind, "")] if problem and problem.kind != Kind.CRASHED else []
        return list(zip_longest([self.recorded.slips[k].name for k in found.slips], found.results, fillvalue=""))

    def is_so(self, told, edit, known=frozenset()):
        """Whether each named slip was made, or does the same on other numbers than the visible ones.

        The same in all that comes back; where a result was looked at alone, the same in that.
        """
        if all(name in known or name not in self.slips for name, _ in told):
            return True
        if any(result for _, result in told):
            return all(name in known or self.alike([name], edit, result) for name, result in told)
        return self.alike([name for name, _ in told], edit)

    def alike(self, names, edit, result=""):
        slips = [self.slips[n] for n in names]
        if len(slips) > 1 and not all(s.edit for s in slips):
            return False
        combined = {k: v for s in slips if s.edit for k, v in s.edit.items()}
        answers = (
            self.exercise.answer(slips[0]) if len(slips) == 1 else self.exercise.changed(combined),
            self.exercise.changed(edit),
        )
        for seed in range(3):
            cases = json.loads(json.dumps(self.exercise.draw(Random(f"another {seed}"))))
            one, other = (see(self.exercise, answer, cases)[0] for answer in answers)
            if result:
                one, other = (
                    [Trace([e for e in t.entries if e.name == result and e.step == 1]) for t in seen]
                    for seen in (one, other)
                )
            if not all(same(a, b, 1e-5) for a, b in zip(one, other, strict=True)):
                return False
        return True

    def alone(self, rate):
        for what, edit in self.edits.items():
            told = self.told[what]
            assert told is not None, f"{self.name}: {what} passes"
            rate.tried += 1
            rate.named += bool(told)
            if not self.is_so(told, edit):
                rate.untrue.append((self.name, what, told))

    def together(self, size, rate, most):
        """``size`` slips at once; three only in the three results of a rule."""
        ends = {w for w, told in self.told.items() if any(name not in self.slips for name, _ in told)}
        chosen = [c for c in combinations(self.edits, size) if self.apart(c) and not ends & set(c)]
        if size == 3:
            chosen = [c for c in chosen if len({self.result(w) for w in c}) == 3]
        random.Random(5).shuffle(chosen)
        for whats in chosen[:most]:
            edit = {k: v for what in whats for k, v in self.edits[what].items()}
            told = self.named(edit)
            if told is None or len({self.effect(w) for w in whats}) < size:
                continue  # one undoes the other
            so = self.is_so(told, edit, {name for what in whats for name, _ in self.told[what]})
            rate.tried += 1
            rate.named += so and (len(told) >= size or (bool(told) and not told[0][1]))
            if not so:
                rate.untrue.append((self.name, whats, told))

    def apart(self, whats):
        """Whether the slips change different places, none inside of another."""
        return len(set().union(*(self.edits[w] for w in whats))) == sum(len(self.edits[w]) for w in whats)

    def effect(self, what):
        return json.dumps([encode(trace) for trace in self.seen[what]])

    def result(self, what):
        """The result that a slip is in: the one it changes in the first step, or w, which the others go into."""
        changed = set()
        for trace, right in zip(self.seen[what], self.recorded.reference, strict=True):
            for a, b, tolerance in zip(trace.entries, right.entries, tolerances(right, 1e-5), strict=False):
                changed |= {a.name} if a.step == 1 and not close(a.value, b.value, tolerance) else set()
        return next(iter(sorted(changed - {"w"})), "w")


@pytest.fixture(scope="module")
def rates(checks_file, records):
    found = {size: Rate() for size in (1, 2, 3)}
    for name in KEPT_ASIDE:
        measure = Measure(name, checks_file, records(name))
        measure.alone(found[1])
        measure.together(2, found[2], most=66)
        if isinstance(measure.exercise.observer, Steps) and len(measure.exercise.observer.returns) > 2:
            measure.together(3, found[3], most=150)
    for size, rate in found.items():
        print(f"{size} at once: {rate}")
    return found


# Three at once: in AdaDelta each result is made of the one before, so that none of three can be told alone.
@pytest.mark.parametrize(("size", "least"), [(1, 0.97), (2, 0.92), (3, 0.59)])
def test_wrong_answers_kept_aside_are_named(rates, size, least):
    """Names that are not so, in at most 0.5 %: a name is so where its slip does what the answer does."""
    rate = rates[size]
    assert rate.tried > 50
    assert rate.named / rate.tried >= least, rate
    assert len(rate.untrue) / rate.tried <= 0.005, rate.untrue


def test_most_of_what_real_people_write_is_named(checks_file):
    verdicts = []
    for name, answers in REAL.items():
        for text in answers.values():
            space = {"torch": torch, "math": math}
            exec(text, space)
            verdicts.append(judge(space[name], name, checks_file))
    assert not any(v.passed for v in verdicts)
    assert sum(v.kind == "misconception" for v in verdicts) / len(verdicts) >= 0.8


# --- what the build refuses --------------------------------------------------------------------------------------


def made_up(points=1):
    """An exercise of this test's own."""

    def scaled(a, b, c):
        total = a - b
        return c * total

    made = exercise("00_start_here", points=points)(scaled)
    made.cases(lambda random: [case(a=1.5, b=2.25, c=0.75), case(a=-3.5, b=0.5, c=2.5)])
    return made


def test_a_slip_must_fit_just_once():
    with pytest.raises(CourseError, match="slip lost of scaled: “a [+] b” fits 0 times"):
        made_up().slip("lost", "a + b", "a", "lost.")
    with pytest.raises(CourseError, match="“b” fits 2 times"):
        doubled().slip("which", "b", "a", "b for a.")


def doubled():
    def twice_b(a, b):
        return a * b + b

    return exercise("00_start_here", points=1)(twice_b)


def test_two_slips_that_behave_alike_must_say_the_same():
    made = made_up()
    made.slip("one", "a - b", "a + b", "plus.")
    made.slip("two", "total = a - b", "total = b + a", "more.")
    with pytest.raises(CourseError, match="one and two behave alike"):
        record(made)
    alike = made_up()
    alike.slip("one", "a - b", "a + b", "plus.")
    alike.slip("two", "total = a - b", "total = b + a", "plus.")
    assert "two" not in {s.name for s in record(alike).slips}


def test_cases_that_cannot_tell_are_refused():
    made = made_up()
    made.cases(lambda random: [case(a=3.0, b=1.0, c=1.0)])
    with pytest.raises(CourseError, match="the cases of scaled cannot tell from the reference: .*`c` is missing"):
        record(made)
    made.slip("unscaled", "c * total", "total", "not scaled.")
    with pytest.raises(CourseError, match="cannot tell the slip unscaled from the reference"):
        record(made)


def test_a_list_of_equivalents_is_kept_true():
    made = made_up()
    made.equivalent("`c` is missing as a factor in what is returned.", "it is not, really.")
    with pytest.raises(CourseError, match="said to be equivalent, and it is not"):
        record(made)


def test_a_mistake_needs_words_and_a_name_of_its_own():
    made = made_up()
    with pytest.raises(CourseError, match="needs a docstring"):
        made.mistake(lambda a, b, c: 0, name="zero")
    made.slip("minus", "a - b", "a + b", "plus.")
    with pytest.raises(CourseError, match="two slips called minus"):
        made.slip("minus", "c * total", "total", "plus.")


def test_a_reference_that_fails_is_not_recorded():
    """It would count for every answer that fails there."""
    made = made_up()
    made.reference = lambda a, b, c: a / undefined  # noqa: F821
    with pytest.raises(CourseError, match="scaled.*its own reference fails"):
        record(made)


# --- what travels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", SLIPS, ids=by_name)
def test_message_is_plain_text_and_does_not_show_the_line(pair):
    message = pair[1].message
    assert "return w" not in message
    assert " = alpha * " not in message
    assert not re.search(r"\*\w+\*", message)  # cards and reports render no Markdown but `code`
    assert message.count("`") % 2 == 0


def test_a_busy_machine_does_not_change_what_is_recorded(monkeypatch):
    """The time of a student's check is over at once here; recording does not go by it."""

    @contextmanager
    def over(seconds):
        if seconds <= observers.TIME_LIMIT:
            raise TimedOut
        yield

    monkeypatch.setattr(observers, "time_limit", over)
    exercise = ALL["momentum_step"]
    cases = exercise.draw(Random(1))
    assert observe(exercise.reference, exercise.observer, cases)[-1].problem.kind == "timeout"
    assert not any(trace.problem for trace in reference_of(exercise, cases)[0])


def test_recorded_file_holds_no_code(checks_file):
    entries = json.loads(checks_file.read_text(encoding="utf-8"))["exercises"].values()
    text = json.dumps([{key: value for key, value in e.items() if key != "question"} for e in entries])
    assert not re.search(r"\blambda[^\"]*:", text)
    assert "def " not in text
    assert set(load(checks_file)) == set(ALL)
    assert all(isinstance(e, Exercise) for e in ALL.values())


def test_every_mistake_of_the_course_plan_is_there():
    """The mistakes that the course promises to name, by exercise."""
    promised = {
        "gradient_step": "uphill lr_forgotten nothing_returned",
        "minibatches": "unshuffled same_order with_replacement remainder_dropped remainder_filled",
        "train_epoch": "zero_forgotten step_first no_step mean_of_means sum graph_kept unshuffled whole_set eval_mode "
        "after_the_step last_loss in_the_loop labels_in_order zero_between",
        "gradient_noise": "no_population_factor b_squared deviation n_minus_1_as_well",
        "noise_scale": "inverted norm_not_squared mean_of_norms",
        "stratified_minibatches": "not_shuffled only_classes_present leftovers_lost",
        "exponential_decay": "hyperbolic power_of_k growing compounding",
        "decay_constant": "log10 log2 sign epochs_minus_1",
        "stationary_variance": "small_step lr_squared curvature_forgotten no_error",
        "reachable_distance": "integral first_term_left_out",
        "growing_batch": "inverse compounding truncated",
        "adjust_learning_rate": "first_group_only attribute compounding epoch_plus_1",
        "exponential_lambda": "absolute_rate shared_variable compounding",
        "warmup_cosine": "starts_at_zero cosine_over_total rises_again jump",
        "save_checkpoint": "forgot_model forgot_optimizer forgot_scheduler forgot_rng forgot_generator parameters_only "
        "epoch_repeated scheduler_order",
        "gain_step": "notes_formula zero_counts_as_agreement subtracted old_gain scalar_gain",
        "rmsprop_step": "one_plus_beta no_root eps_inside old_r variance beta_exchanged",
        "find_the_bug": "left_order left_root left_gradient",
        "adam_step": "no_correction only_m_corrected only_r_corrected t_not_advanced t_from_zero power_forgotten "
        "betas_swapped corrected_stored eps_inside short_form precedence",
        "bias_correction_overshoot": "inverse no_root",
        "adamw_step": "l2_in_the_gradient decay_without_lr decay_after sign",
        "MyAdam": "shared_counter own_dictionary not_under_no_grad first_groups_lr default_lr",
        "momentum_step": "torch_form ema sign velocity_not_returned old_velocity alpha_on_gradient",
        "velocity_weights": "ema newest_first off_by_one",
        "torch_momentum_step": "lecture_form dampened_first_step dampening_on_buffer",
        "nesterov_step": "gradient_at_w wrong_side look_ahead_kept alpha_twice",
        "spectral_radius": "real_part smallest gradient_descent",
        "best_momentum": "not_squared kappa_for_root",
        "make_optimizer": "beta_as_momentum alpha_and_momentum dampening_alpha dampening_one_minus_eta no_look_ahead",
        "to_torch_lr": "inverse swapped nothing_changes",
        "best_learning_rate": "min_over_seeds skips_failed_runs nan_wins edge_accepted",
    }
    for name, mistakes in promised.items():
        assert set(mistakes.split()) <= {s.name for s in EXERCISES[name].slips}, name
