"""Every exercise: its reference is right, and every misconception is wrong in its own way and is named."""

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from conftest import EXERCISES as ALL

from lecture_utils.checks import judge, observers
from lecture_utils.checks.calling import TimedOut
from lecture_utils.checks.judge import load
from lecture_utils.checks.observers import observe
from lecture_utils.checks.record import record
from lecture_utils.checks.traces import decode, same
from lecture_utils.environment import CourseError

EXERCISES = {n: e for n, e in ALL.items() if e.observer != "question"}  # test_questions.py has those
MISCONCEPTIONS = [(e, m) for e in EXERCISES.values() for m in e.misconceptions]


def by_name(pair):
    return f"{pair[0].name}-{pair[1].name}"


def traces(exercise, function, cases):
    return observe(function, exercise.observer, cases, exercise.settings)


def equal(exercise, one, other):
    return all(same(a, b, exercise.rtol) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_reference_passes(exercise, checks_file):
    verdict = judge(exercise.reference, exercise.name, checks_file)
    assert verdict.passed
    assert verdict.credit == 1


@pytest.mark.parametrize("pair", MISCONCEPTIONS, ids=by_name)
def test_misconception_is_named(pair, checks_file):
    exercise, wrong = pair
    verdict = judge(wrong.wrong, exercise.name, checks_file)
    assert not verdict.passed
    messages = {m.name: m.message for m in exercise.misconceptions}
    assert messages[verdict.misconception] == wrong.message
    assert verdict.credit == wrong.credit < 1


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_misconceptions_differ_from_each_other(exercise):
    recorded = record(exercise)["misconceptions"]
    for a, b in combinations(recorded, 2):
        alike = all(same(decode(x), decode(y), exercise.rtol) for x, y in zip(a["traces"], b["traces"], strict=True))
        assert not alike or a["message"] == b["message"], (a["name"], b["name"])


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_hidden_cases_also_tell_right_from_wrong(exercise):
    for seed in range(2 if exercise.observer == "resume" else 20):  # that one trains in processes of its own
        cases = exercise.cases(Random(f"hidden {seed}"))
        right = traces(exercise, exercise.reference, cases)
        assert not any(t.problem for t in right), seed
        for wrong in exercise.misconceptions:
            assert not equal(exercise, traces(exercise, wrong.wrong, cases), right), (wrong.name, seed)


@pytest.mark.parametrize("exercise", [e for e in EXERCISES.values() if e.observer != "answer"], ids=lambda e: e.name)
def test_hidden_cases_are_too_many_to_know_by_heart(exercise):
    drawn = {json.dumps(exercise.cases(Random(seed))) for seed in range(1000)}
    assert len(drawn) > 800


@pytest.mark.parametrize("name", [n for n, e in EXERCISES.items() if e.observer == "steps"])
def test_stepping_cases_are_hard_enough(name):
    cases = EXERCISES[name].cases(Random(1))
    shapes = {str(shape(t["w"])) for c in cases for t in c["start"]}
    assert len(shapes) >= 2
    assert "()" in shapes or any(len(c["start"]) > 1 for c in cases)
    assert all(c["steps"] >= 5 for c in cases)
    assert any(isinstance(h, list) and len(set(h)) > 1 for c in cases for h in c["hyper"].values())


def shape(numbers):
    return (len(numbers), *shape(numbers[0])) if isinstance(numbers, list) else ()


@pytest.mark.parametrize("pair", MISCONCEPTIONS, ids=by_name)
def test_message_is_plain_text_and_does_not_show_the_line(pair):
    message = pair[1].message
    assert "return w" not in message
    assert " = alpha * " not in message
    assert not re.search(r"\*\w+\*", message)  # cards and reports render no Markdown


def test_a_busy_machine_does_not_change_what_is_recorded(monkeypatch):
    """The time of a student's check is over at once here; recording does not go by it."""

    @contextmanager
    def over(seconds):
        if seconds <= observers.TIME_LIMIT:
            raise TimedOut
        yield

    monkeypatch.setattr(observers, "time_limit", over)
    exercise = ALL["momentum_step"]
    stopped = observe(exercise.reference, exercise.observer, exercise.cases(Random(1)), exercise.settings)
    assert stopped[-1].problem.kind == "timeout"
    assert not any("problem" in trace for trace in record(exercise)["reference"])


def test_a_reference_that_fails_is_not_recorded():
    """It would count for every answer that fails there."""
    with pytest.raises(CourseError, match="momentum_step.*its own reference fails"):
        record(replace(ALL["momentum_step"], reference=lambda w, grad, delta, lr, alpha: w / undefined))  # noqa: F821


def test_recorded_file_holds_no_code(checks_file):
    text = checks_file.read_text(encoding="utf-8")
    assert not re.search(r"\blambda[^\"]*:", text)
    assert "def " not in text
    assert set(load(checks_file)) == set(ALL)


def test_every_mistake_of_the_course_plan_is_there():
    """The mistakes that the course promises to name, by exercise."""
    promised = {
        "gradient_step": "uphill lr_forgotten nothing_returned",
        "minibatches": "unshuffled same_order with_replacement remainder_dropped remainder_filled",
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
        "find_the_bug": "left_weights left_root left_order",
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
    for exercise, names in promised.items():
        assert set(names.split()) <= {m.name for m in EXERCISES[exercise].misconceptions}
