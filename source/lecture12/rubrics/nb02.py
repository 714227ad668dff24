"""Rubric of 02_learning_rate_decay."""

import math

from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "02_learning_rate_decay"


def _case(**args):
    return {
        "args": args,
        "text": ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in args.items()),
    }


# --- exponential_decay -------------------------------------------------------------------------------------------


def exponential_decay(lr0, k, t):
    return lr0 * math.exp(-k * t)


def _compounding(lr0, k, t):
    for epoch in range(1, int(t) + 1):
        lr0 = lr0 * math.exp(-k * epoch)
    return lr0


def decay_cases(random):
    lr0, k = round(random.uniform(0.1, 0.9), 2), round(random.uniform(0.03, 0.09), 3)
    return [_case(lr0=lr0, k=k, t=0), _case(lr0=lr0, k=k, t=3), _case(lr0=round(lr0 / 2, 3), k=2 * k, t=20)]


EXPONENTIAL = (
    Misconception(
        "hyperbolic",
        "1/(1 + kt). Some courses call that exponential; it falls much more slowly in the end.",
        lambda lr0, k, t: lr0 / (1 + k * t),
    ),
    Misconception(
        "power_of_k", "k to the power t. The base is e; k says how fast it goes.", lambda lr0, k, t: lr0 * k**t
    ),
    Misconception("growing", "a rate that grows: look at the sign.", lambda lr0, k, t: lr0 * math.exp(k * t)),
    Misconception(
        "compounding",
        "the factor of epoch t applied to the rate of epoch t − 1, which is smaller already. The formula starts from the "
        "first rate each time.",
        _compounding,
    ),
    Misconception("lr0_forgotten", "the factor alone: where is the first rate?", lambda lr0, k, t: math.exp(-k * t)),
    Misconception(
        "one_minus_k",
        "1 − k to the power t. That is close while k is small, but it is not e to the power −kt.",
        lambda lr0, k, t: lr0 * (1 - k) ** t,
        credit=0.3,
    ),
    Misconception(
        "one_epoch_ahead",
        "the rate of the epoch after: at t = 0 it is still lr0.",
        lambda lr0, k, t: lr0 * math.exp(-k * (t + 1)),
        credit=0.5,
    ),
    Misconception(
        "precedence",
        "t multiplies outside the exponent: a power binds more strongly than a product.",
        lambda lr0, k, t: lr0 * math.e**-k * t,
    ),
    Misconception(
        "time_constant",
        "−t/k in the exponent. k is a rate per epoch, so it multiplies t.",
        lambda lr0, k, t: lr0 * math.exp(-t / k),
    ),
    Misconception("t_forgotten", "one factor for all epochs: t does nothing.", lambda lr0, k, t: lr0 * math.exp(-k)),
)


# --- decay_constant ----------------------------------------------------------------------------------------------


def decay_constant(lr0, lr_end, epochs):
    return math.log(lr0 / lr_end) / epochs


def constant_cases(random):
    cases = []
    for epochs in (10, 25, 100):
        lr0, drop = round(random.uniform(0.1, 0.9), 2), random.choice([5, 20, 50])
        cases.append(_case(lr0=lr0, lr_end=round(lr0 / drop, 4), epochs=epochs + random.randint(0, 5)))
    return cases


CONSTANT = (
    Misconception(
        "log10",
        "a logarithm to base 10. The inverse of e to the power x is the natural one.",
        lambda a, b, n: math.log10(a / b) / n,
        credit=0.3,
    ),
    Misconception(
        "log2",
        "a logarithm to base 2. The inverse of e to the power x is the natural one.",
        lambda a, b, n: math.log2(a / b) / n,
        credit=0.3,
    ),
    Misconception(
        "sign",
        "a negative k: the rate would grow. One minus too many, or a fraction upside down.",
        lambda a, b, n: math.log(b / a) / n,
        credit=0.5,
    ),
    Misconception(
        "epochs_minus_1",
        "a run of one epoch less. From lr0 at t = 0 to lr_end at t = epochs there are `epochs` steps.",
        lambda a, b, n: math.log(a / b) / (n - 1),
        credit=0.5,
    ),
    Misconception(
        "epochs_plus_1",
        "a run of one epoch more. From lr0 at t = 0 to lr_end at t = epochs there are `epochs` steps.",
        lambda a, b, n: math.log(a / b) / (n + 1),
        credit=0.5,
    ),
    Misconception(
        "no_logarithm",
        "the ratio itself, spread over the epochs. Which function undoes e to the power x?",
        lambda a, b, n: a / b / n,
    ),
    Misconception(
        "linear",
        "a straight line from lr0 to lr_end. An exponential loses a share per epoch, not an amount.",
        lambda a, b, n: (a - b) / n,
    ),
    Misconception(
        "hyperbolic",
        "the constant of 1/(1 + kt). Solve the exponential formula instead.",
        lambda a, b, n: (a / b - 1) / n,
    ),
    Misconception(
        "factor",
        "the factor per epoch, e to the power −k. Asked for is k itself.",
        lambda a, b, n: (b / a) ** (1 / n),
        credit=0.3,
    ),
    Misconception(
        "share_per_epoch",
        "the share that is lost in each epoch, 1 − e to the power −k. Asked for is k itself.",
        lambda a, b, n: 1 - (b / a) ** (1 / n),
        credit=0.3,
    ),
    Misconception(
        "not_per_epoch", "k for the whole run. It is per epoch.", lambda a, b, n: math.log(a / b), credit=0.3
    ),
    Misconception(
        "multiplied",
        "a product with the number of epochs. The longer the run, the smaller k may be.",
        lambda a, b, n: math.log(a / b) * n,
    ),
)


# --- stationary_variance -----------------------------------------------------------------------------------------


def stationary_variance(lr, curvature, noise_variance):
    _stable(lr, curvature)
    return lr * noise_variance / (curvature * (2 - lr * curvature))


def _stable(lr, curvature):
    if not 0 < lr * curvature < 2:
        raise ValueError("there is a stationary variance for 0 < lr * curvature < 2 only")


def _checked(formula):
    def wrong(lr, curvature, noise_variance):
        _stable(lr, curvature)
        return formula(lr, curvature, noise_variance)

    return wrong


def _no_error(lr, h, s2):
    return lr * s2 / (h * (2 - lr * h))


def _infinity(lr, h, s2):
    return _no_error(lr, h, s2) if 0 < lr * h < 2 else math.inf


def _not_a_number(lr, h, s2):
    return _no_error(lr, h, s2) if 0 < lr * h < 2 else math.nan


def _nothing(lr, h, s2):
    return _no_error(lr, h, s2) if 0 < lr * h < 2 else None


def _another_error(lr, h, s2):
    assert 0 < lr * h < 2
    return _no_error(lr, h, s2)


def _only_above(lr, h, s2):
    if lr * h >= 2:
        raise ValueError
    return _no_error(lr, h, s2)


def _at_two_allowed(lr, h, s2):
    if lr * h > 2 or lr * h <= 0:
        raise ValueError
    return math.inf if lr * h == 2 else _no_error(lr, h, s2)


def _at_one(lr, h, s2):
    if not 0 < lr * h < 1:
        raise ValueError
    return _no_error(lr, h, s2)


def variance_cases(random):
    cases = []
    for lr_h in (0.05, 0.8, 1.9):
        h = random.choice([0.5, 2.0, 4.0])
        cases.append(_case(lr=lr_h / h, curvature=h, noise_variance=round(random.uniform(0.5, 3), 2)))
    return [
        *cases,
        _case(lr=0.5, curvature=4.0, noise_variance=1.0),
        _case(lr=0.8, curvature=3.0, noise_variance=1.0),
        _case(lr=-0.1, curvature=3.0, noise_variance=1.0),
    ]


_NOT_STATIONARY = "At ηh ≥ 2 every step lands further away, at η ≤ 0 nothing pulls back: raise a ValueError there."
_NO_ERROR = f"the formula is used where nothing is stationary. {_NOT_STATIONARY}"
_ANSWERED = (
    f"an answer comes back where there is none: a number, nan, None or an error can be overlooked. {_NOT_STATIONARY}"
)
VARIANCE = (
    Misconception(
        "small_step",
        "ησ²/2h, which holds for small steps only. Keep the square of (1 − ηh).",
        _checked(lambda lr, h, s2: lr * s2 / (2 * h)),
        credit=0.5,
    ),
    Misconception(
        "small_step_no_error",
        "ησ²/2h, which holds for small steps only, and even where the run diverges.",
        lambda lr, h, s2: lr * s2 / (2 * h),
        credit=0.3,
    ),
    Misconception(
        "lr_squared",
        "η² above the line. One of the two cancels against the denominator.",
        _checked(lambda lr, h, s2: lr**2 * s2 / (h * (2 - lr * h))),
        credit=0.3,
    ),
    Misconception(
        "curvature_forgotten",
        "one h is missing below the line: steeper valleys hold the noise in better.",
        _checked(lambda lr, h, s2: lr * s2 / (2 - lr * h)),
        credit=0.3,
    ),
    Misconception(
        "factor_not_squared",
        "the factor (1 − ηh) is not squared. The variance of a times w is a² times that of w.",
        _checked(lambda lr, h, s2: lr * s2 / h),
        credit=0.3,
    ),
    Misconception(
        "noise_once",
        "the noise of a single step, η²σ². Every earlier step has left some too.",
        _checked(lambda lr, h, s2: lr**2 * s2),
    ),
    Misconception(
        "deviation",
        "the standard deviation. Asked for is its square.",
        _checked(lambda lr, h, s2: math.sqrt(lr * s2 / (h * (2 - lr * h)))),
        credit=0.5,
    ),
    Misconception(
        "noise_squared",
        "σ to the fourth power: `noise_variance` is σ² already.",
        _checked(lambda lr, h, s2: lr * s2**2 / (h * (2 - lr * h))),
        credit=0.5,
    ),
    Misconception("no_error", _NO_ERROR, _no_error, credit=0.7),
    Misconception("infinity", _ANSWERED, _infinity, credit=0.7),
    Misconception("not_a_number", _ANSWERED, _not_a_number, credit=0.7),
    Misconception("nothing", _ANSWERED, _nothing, credit=0.7),
    Misconception("zero", _ANSWERED, lambda lr, h, s2: _no_error(lr, h, s2) if 0 < lr * h < 2 else 0.0, credit=0.7),
    Misconception(
        "error_returned",
        "where nothing is stationary, what comes back is no number: an error as a result, or a text. `return` hands it over "
        "like any other value; it takes another word to stop with an error.",
        lambda lr, h, s2: _no_error(lr, h, s2) if 0 < lr * h < 2 else ValueError("not stationary"),
        credit=0.7,
    ),
    Misconception(
        "another_error",
        "it stops where nothing is stationary, as it should, but with another error than a ValueError. (An assert raises "
        "an AssertionError.)",
        _another_error,
        credit=0.7,
    ),
    Misconception(
        "negative_allowed",
        "a negative rate gets an answer. It walks uphill, and nothing is stationary.",
        _only_above,
        credit=0.7,
    ),
    Misconception(
        "two_allowed",
        "ηh = 2 gets an answer. The formula divides by zero there; it is outside already.",
        _at_two_allowed,
        credit=0.7,
    ),
    Misconception(
        "error_above_one",
        "a ValueError from ηh = 1 on. Between 1 and 2 a run swings from side to side, but it still settles.",
        _at_one,
        credit=0.5,
    ),
)


# --- reachable_distance ------------------------------------------------------------------------------------------


def reachable_distance(lr0, k, grad_norm):
    return lr0 * grad_norm / (1 - math.exp(-k))


def distance_cases(random):
    return [
        _case(lr0=round(random.uniform(0.05, 0.5), 2), k=k, grad_norm=round(random.uniform(0.5, 5), 1))
        for k in (0.002, 0.4, 1.5)  # so slow a decay that a sum over some hundred steps falls short
    ]


DISTANCE = (
    Misconception(
        "integral",
        "η₀G/k, an integral over time. Steps are taken once per t: sum them.",
        lambda lr0, k, g: lr0 * g / k,
        credit=0.5,
    ),
    Misconception(
        "first_term_left_out",
        "the sum from t = 1. The first step, at t = 0, uses the whole η₀.",
        lambda lr0, k, g: lr0 * g * math.exp(-k) / (1 - math.exp(-k)),
        credit=0.5,
    ),
    Misconception(
        "gradient_forgotten",
        "the sum of the rates. A step is as long as the rate times the gradient.",
        lambda lr0, k, g: lr0 / (1 - math.exp(-k)),
        credit=0.5,
    ),
    Misconception(
        "ratio_k",
        "a geometric series with ratio k. From one rate to the next the ratio is e to the power −k.",
        lambda lr0, k, g: lr0 * g / (1 - k),
    ),
    Misconception("one_step", "the first step alone.", lambda lr0, k, g: lr0 * g),
    Misconception(
        "upside_down",
        "a product with 1 − e to the power −k. In the sum of a geometric series it is the denominator.",
        lambda lr0, k, g: lr0 * g * (1 - math.exp(-k)),
    ),
    Misconception(
        "growing",
        "the ratio of a growing series: check the sign of the exponent.",
        lambda lr0, k, g: lr0 * g / (1 - math.exp(k)),
    ),
    Misconception(
        "hundred_steps",
        "a sum over a hundred steps. It goes on for ever, and has a closed form.",
        lambda lr0, k, g: sum(lr0 * g * math.exp(-k * t) for t in range(100)),
        credit=0.5,
    ),
)


# --- growing_batch -----------------------------------------------------------------------------------------------


def growing_batch(lr0, batch0, lrs, max_batch):
    return [min(max_batch, max(batch0, round(batch0 * lr0 / lr))) for lr in lrs]


def _sizes(size):
    return lambda lr0, batch0, lrs, max_batch: [size(lr0, batch0, lr, max_batch) for lr in lrs]


def _from_the_last(lr0, batch0, lrs, max_batch):
    sizes, size = [], batch0
    for lr in lrs:
        size = min(max_batch, max(batch0, round(size * lr0 / lr)))
        sizes.append(size)
    return sizes


def _capped_first(lr0, batch0, lrs, max_batch):
    """Keeps a cap, forgets the floor."""
    return [min(max_batch, round(batch0 * lr0 / lr)) for lr in lrs]


def _never_falls(lr0, batch0, lrs, max_batch):
    sizes = [batch0]
    for lr in lrs:
        sizes.append(min(max_batch, max(sizes[-1], round(batch0 * lr0 / lr))))
    return sizes[1:]


def _ratio_of_neighbours(lr0, batch0, lrs, max_batch):
    return [min(max_batch, max(batch0, round(batch0 * a / b))) for a, b in zip([lr0, *lrs[:-1]], lrs, strict=True)]


def batch_cases(random):
    cases = []
    for factors in ([1, 0.7, 0.45, 0.3, 0.2, 0.013], [0.5, 1, 1.7, 0.6, 0.37]):
        lr0 = round(random.uniform(0.1, 0.9), 2)
        batch0 = random.choice([17, 23, 51])  # some sizes round up, some down
        args = {
            "lr0": lr0,
            "batch0": batch0,
            "lrs": [round(lr0 * f, 5) for f in factors],
            "max_batch": 40 * batch0 // 3,
        }
        text = f"lr0={lr0}, batch0={batch0}, lrs={args['lrs']}, max_batch={args['max_batch']}"
        cases.append({"args": args, "plain": True, "text": text})
    return cases


GROWING = (
    Misconception(
        "inverse",
        "batches that would shrink with the rate. Where the rate would be halved, η/B is kept by doubling B.",
        _sizes(lambda lr0, b, lr, most: min(most, max(b, round(b * lr / lr0)))),
    ),
    Misconception(
        "inverse_uncut",
        "batches that shrink with the rate. Where the rate would be halved, η/B is kept by doubling B.",
        _sizes(lambda lr0, b, lr, most: min(most, round(b * lr / lr0))),
    ),
    Misconception(
        "compounding",
        "each batch grows from the last one by the whole ratio lr0/lr. That ratio counts from the "
        "beginning: apply it to batch0.",
        _from_the_last,
    ),
    Misconception(
        "ratio_of_neighbours",
        "the ratio of two neighbouring rates, applied to batch0. It counts from lr0.",
        _ratio_of_neighbours,
    ),
    Misconception(
        "truncated",
        "the sizes are cut off, not rounded.",
        _sizes(lambda lr0, b, lr, most: min(most, max(b, int(b * lr0 / lr + 1e-9)))),
        credit=0.5,
    ),
    Misconception(
        "rounded_up",
        "the sizes are rounded up, not to the nearest.",
        _sizes(lambda lr0, b, lr, most: min(most, max(b, math.ceil(b * lr0 / lr - 1e-9)))),
        credit=0.5,
    ),
    Misconception(
        "not_rounded",
        "half examples: a batch size is a whole number.",
        _sizes(lambda lr0, b, lr, most: min(most, max(b, b * lr0 / lr))),
        credit=0.5,
    ),
    Misconception(
        "not_capped",
        "a batch larger than max_batch.",
        _sizes(lambda lr0, b, lr, most: max(b, round(b * lr0 / lr))),
        credit=0.5,
    ),
    Misconception(
        "shrinks",
        "a batch smaller than batch0, where the schedule would raise the rate above lr0.",
        _capped_first,
        credit=0.5,
    ),
    Misconception(
        "no_limits",
        "neither max_batch nor batch0 limits the sizes.",
        _sizes(lambda lr0, b, lr, most: round(b * lr0 / lr)),
        credit=0.3,
    ),
    Misconception(
        "never_falls",
        "a batch never becomes smaller than the one before. It may: only batch0 is a floor.",
        _never_falls,
        credit=0.5,
    ),
    Misconception(
        "squared",
        "the square of the ratio. The noise floor goes with η/B, one power of each.",
        _sizes(lambda lr0, b, lr, most: min(most, max(b, round(b * (lr0 / lr) ** 2)))),
        credit=0.3,
    ),
)


def _exercise(reference, points, arguments, cases, misconceptions, **settings):
    return Exercise(
        reference.__name__,
        notebook=NOTEBOOK,
        points=points,
        observer="values",
        settings={"arguments": arguments.split(), **settings},
        cases=cases,
        reference=reference,
        misconceptions=misconceptions,
    )


EXERCISES = [
    _exercise(stationary_variance, 3, "lr curvature noise_variance", variance_cases, VARIANCE, raises="ValueError"),
    _exercise(exponential_decay, 1, "lr0 k t", decay_cases, EXPONENTIAL),
    _exercise(decay_constant, 2, "lr0 lr_end epochs", constant_cases, CONSTANT),
    _exercise(reachable_distance, 2, "lr0 k grad_norm", distance_cases, DISTANCE),
    _exercise(growing_batch, 2, "lr0 batch0 lrs max_batch", batch_cases, GROWING),
]
