"""Rubric of 02_learning_rate_decay."""

import math

from lecture_utils.checks.observers import Values
from lecture_utils.instructor.authoring.cases import case
from lecture_utils.instructor.authoring.exercise import exercise

NOTEBOOK = "02_learning_rate_decay"

# --- 2.1 stationary_variance -------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, observer=Values(raises="ValueError"), rtol=1e-5)
def stationary_variance(lr, curvature, noise_variance):
    if not 0 < lr * curvature < 2:
        raise ValueError("there is a stationary variance for 0 < lr * curvature < 2 only")
    return lr * noise_variance / (curvature * (2 - lr * curvature))


ABOVE, BELOW = "lr * noise_variance", "curvature * (2 - lr * curvature)"
FORMULA = f"{ABOVE} / ({BELOW})"
STABLE, STOP = (
    "0 < lr * curvature < 2",
    'raise ValueError("there is a stationary variance for 0 < lr * curvature < 2 only")',
)
NOWHERE = "At ηh ≥ 2 every step lands further away, at η ≤ 0 nothing pulls back: raise a ValueError there."
ANSWERED = f"an answer comes back where there is none: a number, nan, None or an error can be overlooked. {NOWHERE}"
ANOTHER = (
    "it stops where nothing is stationary, as it should, but with another error than a ValueError. (An assert raises "
    "an AssertionError, `raise` with a text a TypeError.)"
)

for name, before, after, credit, message in [
    ("small_step", BELOW, "2 * curvature", 0.5,
     "ησ²/2h, which holds for small steps only. Keep the square of (1 − ηh)."),
    ("small_step_unbracketed", FORMULA, "lr * noise_variance / 2 * curvature", 0.0,
     "ησ²/2h, which holds for small steps only, and without brackets below the line: / and * go from left to right."),
    ("lr_squared", ABOVE, "lr**2 * noise_variance", 0.3,
     "η² above the line. One of the two cancels against the denominator."),
    ("curvature_forgotten", BELOW, "2 - lr * curvature", 0.3,
     "one h is missing below the line: steeper valleys hold the noise in better."),
    ("factor_not_squared", BELOW, "curvature", 0.3,
     "the factor (1 − ηh) is not squared. The variance of a times w is a² times that of w."),
    ("noise_once", FORMULA, "lr**2 * noise_variance", 0.0,
     "the noise of a single step, η²σ². Every earlier step has left some too."),
    ("halved", FORMULA, f"({FORMULA}) ** 1 / 2", 0.3,
     "half the right value. (If that was to be a root: `** 1 / 2` halves. Asked for is the variance, without a root.)"),
    ("deviation", FORMULA, f"math.sqrt({FORMULA})", 0.5, "the standard deviation. Asked for is its square."),
    ("cancelled", BELOW, "lr * (2 - lr * curvature)", 0.0,
     "σ²/(2 − ηh): η above and h below the line are missing, or have cancelled. Of η² above, one η stays."),
    ("noise_squared", ABOVE, "lr * noise_variance**2", 0.5,
     "σ to the fourth power: `noise_variance` is σ² already."),
    ("noise_decides", STABLE, "0 < lr * curvature / noise_variance < 2", 0.5,
     "the noise has a say in what is stable. It spreads w further, but whether a run settles depends on ηh alone."),
    ("error_above_one", STABLE, "0 < lr * curvature < 1", 0.5,
     "a ValueError from ηh = 1 on. Between 1 and 2 a run swings from side to side, but it still settles."),
    ("negative_allowed", STABLE, "lr * curvature < 2", 0.7,
     "what is negative gets an answer. A negative rate walks uphill, and nothing is stationary."),
    ("zero_allowed", STABLE, "0 <= lr * curvature < 2", 0.7,
     "ηh = 0 counts as stable. Nothing pulls back there: it is outside already."),
    ("two_allowed", STABLE, "0 < lr * curvature <= 2", 0.7,
     "ηh = 2 counts as stable. The formula divides by zero there: it is outside already."),
    ("hill_allowed", STABLE, "0 < lr and lr * curvature < 2", 0.7,
     "a negative curvature gets an answer. That is a hill: every step lands further away."),
    ("both_allowed", STABLE, "0 <= lr * curvature <= 2", 0.5,
     "ηh = 0 and ηh = 2 count as stable. Nothing pulls back at 0, the formula divides by zero at 2: both are outside."),
    ("only_above_two", STABLE, "lr * curvature <= 2", 0.5,
     "an error above ηh = 2 only. At 2 the formula divides by zero, and from 0 downwards nothing pulls back."),
    ("only_positive", STABLE, "0 < lr * curvature", 0.7,
     "what is too large gets an answer. At ηh ≥ 2 every step lands further away, and nothing is stationary."),
    ("no_error", STOP, "pass", 0.7, f"the formula is used where nothing is stationary. {NOWHERE}"),
    ("infinity", STOP, "return math.inf", 0.7, ANSWERED),
    ("nothing", STOP, "return None", 0.7, ANSWERED),
    ("zero", STOP, "return 0.0", 0.7, ANSWERED),
    ("error_returned", STOP, 'return ValueError("not stationary")', 0.7,
     "where nothing is stationary, what comes back is no number: an error as a result, or a text. `return` hands it "
     "over like any other value; it takes another word to stop with an error."),
    ("another_error", STOP, "assert False", 0.7, ANOTHER),
    ("any_error", STOP, "raise Exception", 0.7, ANOTHER),
    ("runtime_error", STOP, "raise", 0.7, ANOTHER),
    ("text_raised", STOP, 'raise "not stationary"', 0.7, ANOTHER),
]:  # fmt: skip
    stationary_variance.slip(name, before, after, message, credit=credit)


@stationary_variance.cases
def _(random):
    def drawn(lr, curvature, noise_variance):
        ranges = {"lr": lr, "curvature": curvature, "noise_variance": noise_variance}
        return case(**{name: round(random.uniform(*r), 2) for name, r in ranges.items()})

    h = random.choice([4.0, 5.0, 8.0])
    return [
        drawn((0.02, 0.08), (0.3, 0.7), (2.1, 3)),
        drawn((0.3, 0.36), (2.1, 2.6), (1.2, 1.9)),
        drawn((2.5, 3.1), (0.5, 0.6), (0.2, 0.35)),  # η alone is above 2 here, ηh/σ² too
        drawn((0.41, 0.45), (4.1, 4.4), (1.4, 1.9)),
        drawn((0.65, 0.75), (3.3, 4), (2.1, 2.6)),  # ηh alone is above 2
        case(lr=2 / h, curvature=h, noise_variance=round(random.uniform(1.2, 1.9), 2)),
        drawn((0, 0), (1.3, 1.9), (2.1, 3)),
        drawn((-0.3, -0.2), (1.3, 1.9), (2.1, 3)),
        drawn((0.2, 0.3), (-1.9, -1.3), (2.1, 3)),
    ]


# --- 2.2 exponential_decay ---------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=1)
def exponential_decay(lr0, k, t):
    return lr0 * math.exp(-k * t)


for name, before, after, credit, message in [
    ("hyperbolic", "math.exp(-k * t)", "1 / (1 + k * t)", 0.0,
     "1/(1 + kt). Some courses call that exponential; it falls much more slowly in the end."),
    ("power_of_k", "math.exp(-k * t)", "k**t", 0.0, "k to the power t. The base is e; k says how fast it goes."),
    ("growing", "-k * t", "k * t", 0.0, "a rate that grows: look at the sign."),
    ("one_minus_k", "math.exp(-k * t)", "(1 - k) ** t", 0.3,
     "1 − k to the power t. That is close while k is small, but it is not e to the power −kt."),
    ("one_epoch_ahead", "-k * t", "-k * (t + 1)", 0.5, "the rate of the epoch after: at t = 0 it is still lr0."),
    ("one_epoch_behind", "-k * t", "-k * (t - 1)", 0.5, "the rate of the epoch before: at t = 0 it is lr0 already."),
    ("precedence", "math.exp(-k * t)", "math.exp(-k) * t", 0.0,
     "t multiplies outside the exponent: a power binds more strongly than a product."),
    ("time_constant", "-k * t", "-t / k", 0.0, "−t/k in the exponent. k is a rate per epoch, so it multiplies t."),
    ("k_forgotten", "-k * t", "-t", 0.0, "e to the power −t, one pace for all: k says how fast it goes."),
    ("half_life", "math.exp(-k * t)", "0.5 ** (t / k)", 0.0,
     "k is used as a half-life. It says how large a share is lost at each moment: the larger, the faster."),
    ("straight_line", "lr0 * math.exp(-k * t)", "lr0 - k * t", 0.0,
     "a straight line: the same amount k lost in every epoch. What is lost is in proportion to what is left."),
    ("base_2", "math.exp(-k * t)", "2 ** (-k * t)", 0.3, "a power of 2. The constant k belongs to powers of e."),
    ("base_10", "math.exp(-k * t)", "10 ** (-k * t)", 0.3, "a power of 10. The constant k belongs to powers of e."),
]:  # fmt: skip
    exponential_decay.slip(name, before, after, message, credit=credit)
exponential_decay.equivalent("`k` and `t` are exchanged everywhere.", "they stand in their product only")


@exponential_decay.mistake()
def compounding(lr0, k, t):
    """the factor of epoch t applied to the rate of epoch t − 1, which is smaller already. The formula starts from the
    first rate each time."""
    for epoch in range(t + 1):
        lr0 = lr0 * math.exp(-k * epoch)
    return lr0


@exponential_decay.cases
def _(random):
    def drawn(t, lr0, k):
        return case(lr0=round(random.uniform(*lr0), 2), k=round(random.uniform(*k), 3), t=t)

    return [
        drawn(0, (0.2, 0.8), (0.03, 0.09)),
        drawn(2, (0.72, 0.88), (0.31, 0.45)),
        drawn(20, (0.2, 0.4), (0.11, 0.17)),
    ]


# --- 2.3 decay_constant ------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2)
def decay_constant(lr0, lr_end, epochs):
    return math.log(lr0 / lr_end) / epochs


LOG, K = "math.log(lr0 / lr_end)", "math.log(lr0 / lr_end) / epochs"
STEPS = "From lr0 at t = 0 to lr_end at t = epochs there are `epochs` steps."

for name, before, after, credit, message in [
    ("log10", LOG, "math.log10(lr0 / lr_end)", 0.3,
     "a logarithm to base 10. The inverse of e to the power x is the natural one."),
    ("log2", LOG, "math.log2(lr0 / lr_end)", 0.3,
     "a logarithm to base 2. The inverse of e to the power x is the natural one."),
    ("sign", "lr0 / lr_end", "lr_end / lr0", 0.5,
     "a negative k: the rate would grow. One minus too many, or a fraction upside down."),
    ("epochs_minus_1", K, f"{LOG} / (epochs - 1)", 0.5, f"a run of one epoch less. {STEPS}"),
    ("epochs_plus_1", K, f"{LOG} / (epochs + 1)", 0.5, f"a run of one epoch more. {STEPS}"),
    ("no_logarithm", LOG, "lr0 / lr_end", 0.0,
     "the ratio itself, spread over the epochs. Which function undoes e to the power x?"),
    ("lr0_forgotten", "lr0 / lr_end", "lr_end", 0.0,
     "the logarithm of lr_end alone. How far the rate has to fall depends on lr0, too."),
    ("linear", LOG, "(lr0 - lr_end)", 0.0,
     "a straight line from lr0 to lr_end. An exponential loses a share per epoch, not an amount."),
    ("hyperbolic", LOG, "(lr0 / lr_end - 1)", 0.0,
     "the constant of 1/(1 + kt). Solve the exponential formula instead."),
    ("factor", K, "(lr_end / lr0) ** (1 / epochs)", 0.3,
     "the factor per epoch, e to the power −k. Asked for is k itself."),
    ("share_per_epoch", K, "1 - (lr_end / lr0) ** (1 / epochs)", 0.3,
     "the share that is lost in each epoch, 1 − e to the power −k. Asked for is k itself."),
    ("not_per_epoch", K, LOG, 0.3, "k for the whole run. It is per epoch."),
]:  # fmt: skip
    decay_constant.slip(name, before, after, message, credit=credit)


@decay_constant.cases
def _(random):
    cases = []
    for epochs, times in ((10, 6), (25, 24), (100, 110)):
        lr0 = round(random.uniform(0.3, 0.78), 2)
        lr_end = round(lr0 / random.uniform(0.85 * times, 1.15 * times), 4)
        cases.append(case(lr0=lr0, lr_end=lr_end, epochs=epochs + random.randint(0, 5)))
    return cases


# --- 2.4 reachable_distance --------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, rtol=5e-5)  # 1 − e to the power −k loses digits in float32, where k is small
def reachable_distance(lr0, k, grad_norm):
    ratio = math.exp(-k)
    return lr0 * grad_norm / (1 - ratio)


LENGTH = "lr0 * grad_norm / (1 - ratio)"

for name, before, after, credit, message in [
    ("integral", "1 - ratio", "k", 0.5,
     "η₀G/k: an integral over time, or a series with the ratio 1 − k. Steps are taken once per t: sum them."),
    ("first_term_left_out", "lr0 * grad_norm", "lr0 * grad_norm * ratio", 0.5,
     "the sum from t = 1. The first step, at t = 0, uses the whole η₀."),
    ("gradient_forgotten", "lr0 * grad_norm", "lr0", 0.5,
     "the sum of the rates. A step is as long as the rate times the gradient."),
    ("ratio_k", "math.exp(-k)", "k", 0.0,
     "a geometric series with ratio k. From one rate to the next the ratio is e to the power −k."),
    ("one_step", LENGTH, "lr0 * grad_norm", 0.0, "the first step alone. What do all the others add?"),
    ("hundred_steps", LENGTH, "sum(lr0 * grad_norm * ratio**t for t in range(100))", 0.5,
     "a sum over a hundred steps. It goes on for ever, and has a closed form."),
    ("thousand_steps", LENGTH, "sum(lr0 * grad_norm * ratio**t for t in range(1000))", 0.5,
     "a sum over a thousand steps. It goes on for ever, and has a closed form."),
    ("base_2", "math.exp(-k)", "2 ** (-k)", 0.3,
     "powers of 2. From one rate to the next the ratio is a power of e."),
    ("base_10", "math.exp(-k)", "10 ** (-k)", 0.3,
     "powers of 10. From one rate to the next the ratio is a power of e."),
]:  # fmt: skip
    reachable_distance.slip(name, before, after, message, credit=credit)
reachable_distance.equivalent("`lr0` and `grad_norm` are exchanged everywhere.", "they stand in their product only")


@reachable_distance.cases
def _(random):
    def drawn(*k):
        lr0, grad_norm = round(random.uniform(0.05, 0.25), 2), round(random.uniform(2.1, 5), 1)
        return case(lr0=lr0, k=round(random.uniform(*k), 4), grad_norm=grad_norm)

    return [
        drawn(0.004, 0.007),
        drawn(0.3, 0.6),
        drawn(1.3, 1.8),
    ]  # after a thousand steps the first still has some way to go


# --- 2.5 growing_batch -------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, observer=Values(demands="int"))
def growing_batch(lr0, batch0, lrs, max_batch):
    sizes = []
    for lr in lrs:
        size = round(batch0 * lr0 / lr)
        size = min(max_batch, max(batch0, size))
        sizes.append(size)
    return sizes


SIZE, LIMITED = "batch0 * lr0 / lr", "min(max_batch, max(batch0, size))"
FROM_THE_LAST = (
    "each batch grows from the last one by the whole ratio lr0/lr. That ratio counts from the "
    "beginning: apply it to batch0."
)

for name, before, after, credit, message in [
    ("inverse", SIZE, "batch0 * lr / lr0", 0.0,
     "batches that would shrink with the rate. Where the rate would be halved, η/B is kept by doubling B."),
    ("compounding", SIZE, "(sizes or [batch0])[-1] * lr0 / lr", 0.0, FROM_THE_LAST),
    ("batch0_overwritten", f"size = {LIMITED}", f"size = batch0 = {LIMITED}", 0.0, FROM_THE_LAST),
    ("ratio_of_neighbours", f"size = {LIMITED}", f"size = {LIMITED}\nlr0 = lr", 0.0,
     "the ratio of two neighbouring rates, applied to batch0. It counts from lr0."),
    ("first_of_lrs", SIZE, "batch0 * lrs[0] / lr", 0.0,
     "the first rate of the schedule in place of lr0. batch0 belongs to lr0, which the schedule need not begin with."),
    ("ratio_rounded", f"round({SIZE})", "batch0 * round(lr0 / lr)", 0.3,
     "the ratio of the rates is rounded, not the size."),
    ("truncated", f"round({SIZE})", f"int({SIZE})", 0.5, "the sizes are cut off, not rounded."),
    ("rounded_up", f"round({SIZE})", f"math.ceil({SIZE})", 0.5, "the sizes are rounded up, not to the nearest."),
    ("not_rounded", f"round({SIZE})", SIZE, 0.5,
     "the sizes between the two limits are no `int`: a batch holds a whole number of examples."),
    ("no_int", LIMITED, f"float({LIMITED})", 0.0,
     "the sizes are no `int`: floats, or a tensor. A batch holds a whole number of examples; mend this first."),
    ("not_capped", LIMITED, "max(batch0, size)", 0.5, "a batch larger than max_batch."),
    ("shrinks", "max(batch0, size)", "size", 0.5,
     "a batch smaller than batch0, where the schedule would raise the rate above lr0."),
    ("no_limits", f"size = {LIMITED}", "", 0.3, "neither max_batch nor batch0 limits the sizes."),
    ("never_falls", "max(batch0, size)", "max([batch0, *sizes, size])", 0.5,
     "a batch never becomes smaller than the one before. It may: only batch0 is a floor."),
    ("squared", SIZE, "batch0 * (lr0 / lr) ** 2", 0.3,
     "the square of the ratio. The noise floor goes with η/B, one power of each."),
    ("root", SIZE, "batch0 * (lr0 / lr) ** 0.5", 0.3,
     "the root of the ratio. The noise floor goes with η/B, one power of each."),
]:  # fmt: skip
    growing_batch.slip(name, before, after, message, credit=credit)
for phrase, message in {
    "`lr` is used where `size` belongs.": "every size is batch0: before the limits it is too small.",
    "`max_batch` is used where `size` belongs.": "every size is max_batch. Are the limits the right way round?",
    "the line that calls `append` is left out.": "the list stays empty.",
}.items():
    growing_batch.reword(phrase, message)


@growing_batch.cases
def _(random):
    def drawn(highest, *times):
        """Rates at which the batch is ``times`` the first one: what is to be rounded is far from a half."""
        lr0, batch0 = round(random.uniform(0.4 * highest, highest), 2), random.choice([17, 23, 31])
        sizes = [int(batch0 * f) + (0.3, 0.7)[i % 2] for i, f in enumerate(times)]
        lrs = [round(batch0 * lr0 / size, 4) for size in sizes]
        return case(lr0=lr0, batch0=batch0, lrs=lrs, max_batch=8 * batch0 - 5) | {"plain": True}

    return [
        drawn(0.8, 1.3, 1.8, 2.4, 3.5, 5, 30),
        drawn(3.5, 2, 0.6, 1.5, 1.1, 2.7),  # rates above 1: a size that is multiplied by one is not too small at once
        drawn(0.8, 0.4, 20, 0.7, 50),  # all at a limit: whole numbers, even where nothing is rounded
    ]
