"""Rubric of 04_momentum_nesterov."""

import math

import torch

from lecture_utils.instructor.authoring.cases import case, dropping, single_steps, steps
from lecture_utils.instructor.authoring.exercise import exercise

NOTEBOOK = "04_momentum_nesterov"


def drawn(random, low, high, digits=2):
    return round(random.uniform(low, high), digits)


# --- 4.1 momentum_step -------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w delta")
def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    w = w - delta
    return w, delta


BOTH = "delta = alpha * delta + lr * grad\nw = w - delta"
LR_OUTSIDE = (
    "the form of torch.optim: the learning rate stands outside the velocity. The lecture puts it inside, "
    "so that the velocity is itself a step. At a constant rate both walk the same path; after a drop they do not."
)
AVERAGE = (
    "an average instead of a sum: the new gradient is weighted by 1 − α. In the lecture's form it enters with "
    "its full weight, and so the weights add up to 1/(1 − α), not to 1."
)
OPPOSITE = (
    "a velocity of the opposite sign, as in many books (v = αv − η∇L, w = w + v). It walks the same path from rest, "
    "but here the velocity that comes in is one that is subtracted."
)
UPHILL = "w moves up the hill. The velocity is a step to be subtracted."
LOST = "the velocity is computed but not returned, so every step starts from the old one."
EXCHANGED = "the right two results in the wrong order."

momentum_step.slip("torch_form", "lr * grad", "grad", LR_OUTSIDE, also={"w - delta": "w - lr * delta"}, credit=0.5)
momentum_step.slip("ema", "lr * grad", "(1 - alpha) * grad", AVERAGE, also={"w - delta": "w - lr * delta"}, credit=0.3)
momentum_step.slip("ema_lr_inside", "lr * grad", "(1 - alpha) * lr * grad", AVERAGE, credit=0.3)
momentum_step.slip("negative_velocity", BOTH, "delta = alpha * delta - lr * grad\nw = w + delta", OPPOSITE, credit=0.5)
momentum_step.slip("swapped", "return w, delta", "return delta, w", EXCHANGED, credit=0.5)
momentum_step.slip(
    "velocity_without_gradient", BOTH, "delta = alpha * delta\nw = w - delta - lr * grad",
    "w moves as it should, but the velocity that is returned has not felt this gradient. The step itself is the velocity.",
    credit=0.3,
)  # fmt: skip

for name, before, after, message in [
    ("sign", "w - delta", "w + delta", UPHILL),
    ("opposed", "alpha * delta + lr * grad", "alpha * delta - lr * grad",
     "the gradient enters the velocity with the wrong sign: where both point the same way, they should add up."),
    ("velocity_not_returned", BOTH, "new = alpha * delta + lr * grad\nw = w - new", LOST),
    ("old_velocity", BOTH, "w = w - delta\ndelta = alpha * delta + lr * grad",
     "w is moved by the velocity that came in. It should already feel the gradient of this step."),
    ("alpha_on_gradient", "alpha * delta + lr * grad", "delta + alpha * lr * grad",
     "α weights the new gradient and lets the old velocity live for ever. α is the share of the velocity that survives."),
    ("alpha_on_both", "alpha * delta + lr * grad", "alpha * (delta + lr * grad)",
     "α shrinks the new gradient too. It is the share of the old velocity that survives."),
    ("extra_step", "w - delta", "w - delta - lr * grad",
     "the gradient is used twice: inside the velocity and once more by itself."),
    ("lr_on_velocity", "alpha * delta + lr * grad", "lr * (alpha * delta + grad)",
     "the learning rate scales the old velocity too. That one was scaled when it was made."),
    ("friction", "alpha * delta", "(1 - alpha) * delta",
     "α and 1 − α are exchanged: with α = 0.9 nine tenths of the velocity should survive a step."),
    ("no_memory", "alpha * delta + lr * grad", "lr * grad",
     "the old velocity has no effect: this is plain gradient descent."),
    ("no_velocity", BOTH, "w = w - lr * grad",
     "a step of plain gradient descent, with the velocity handed back as it came. It moves w, and it changes in each step."),
]:  # fmt: skip
    momentum_step.slip(name, before, after, message)


@momentum_step.cases
def velocity_cases(random, gradient="list"):
    # lr differs from 1 − α everywhere, and ηh stays below 1.
    lr, alpha, less = drawn(random, 0.21, 0.29), drawn(random, 0.81, 0.88), drawn(random, 0.6, 0.68)
    moving, rest = {"delta": (-0.5, 0.5)}, {"delta": 0.0}
    return [
        steps(random, moving, {"lr": dropping(lr), "alpha": alpha}, gradient=gradient),
        single_steps(random, moving, {"lr": lr, "alpha": less}, gradient),
        steps(random, rest, {"lr": lr, "alpha": less}, ((2,), ()), gradient=gradient),
        steps(random, moving, {"lr": lr, "alpha": alpha}, ((2, 2), ()), dtype="float32", gradient=gradient),
    ]


# --- 4.2 velocity_weights ----------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, rtol=1e-5)
def velocity_weights(alpha, steps):
    age = torch.arange(steps - 1, -1, -1)
    weights = alpha**age
    return weights


AGES = "torch.arange(steps - 1, -1, -1)"
NOT_AN_AVERAGE = "the weights of an average, which add up to 1. In a sum the newest gradient has weight 1."
ONE_TOO_OLD = "one factor of α too many everywhere: the newest gradient has not been through any shrinking yet."

velocity_weights.slip("ema", "alpha**age", "(1 - alpha) * alpha**age", NOT_AN_AVERAGE, credit=0.3)
velocity_weights.slip("normalised", "return weights", "return weights / weights.sum()", NOT_AN_AVERAGE, credit=0.3)
velocity_weights.slip(
    "newest_first", AGES, "torch.arange(steps)",
    "the right weights, newest gradient first. The oldest is asked for first.", credit=0.5,
)  # fmt: skip

for name, before, after, message in [
    ("off_by_one", AGES, "torch.arange(steps, 0, -1)", ONE_TOO_OLD),
    ("off_by_one_newest_first", AGES, "torch.arange(1, steps + 1)",
     "newest gradient first, and one factor of α too many everywhere."),
    ("too_many", AGES, "torch.arange(steps, -1, -1)",
     "one weight too many: after `steps` steps there are as many gradients as steps."),
    ("newest_left_out", AGES, "torch.arange(steps - 1, 0, -1)",
     "the newest gradient is left out. `arange` stops before its end, so which end lets the last age be 0?"),
    ("running_sum", "return weights", "return weights.cumsum(0)",
     "running totals of the weights, not the weights themselves."),
    ("total", "return weights", "return weights.sum()", "the sum of the weights. Each of them is asked for."),
    ("friction", "alpha**age", "(1 - alpha)**age",
     "powers of 1 − α, which is what a step takes away. A weight is what is left after some steps."),
    ("in_units_of_steps", "alpha**age", "alpha * age",
     "a weight that grows by α per step. Each step multiplies by α: what comes of that after two, three, many steps?"),
]:  # fmt: skip
    velocity_weights.slip(name, before, after, message)


@velocity_weights.cases
def _(random):
    # Apart from 0.5: there α and 1 − α are one.
    return [
        case(alpha=drawn(random, 0.55, 0.7), steps=3),
        case(alpha=drawn(random, 0.3, 0.45), steps=random.randint(4, 5)),
        case(alpha=drawn(random, 0.75, 0.88, 3), steps=6),
        case(alpha=drawn(random, 0.75, 0.88, 3), steps=1),
    ]


# --- 4.3 torch_momentum_step -------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w buf")
def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    if buf is None:
        buf = grad
    else:
        buf = momentum * buf + (1 - dampening) * grad
    w = w - lr * buf
    return w, buf


torch_momentum_step.slip(
    "lecture_form", "buf = grad", "buf = lr * grad",
    "the lecture's form, with the learning rate inside the buffer. In torch.optim it stands outside.",
    also={"(1 - dampening) * grad": "lr * (1 - dampening) * grad", "lr * buf": "buf"}, credit=0.5,
)  # fmt: skip
torch_momentum_step.slip(
    "dampened_first_step", "buf = grad", "buf = (1 - dampening) * grad",
    "the buffer starts from zeros, so the first gradient is dampened. PyTorch's buffer is the first gradient, whole; "
    "dampening begins with the second step.",
    credit=0.6,
)  # fmt: skip
torch_momentum_step.slip("swapped", "return w, buf", "return buf, w", EXCHANGED, credit=0.5)

STANDS_STILL = "without a buffer nothing moves. The first step is a step: only there is nothing yet to remember."

for name, before, after, message in [
    ("first_step_skipped", "buf = grad", "return w, torch.zeros_like(w)", STANDS_STILL),
    ("first_step_does_not_move", "buf = grad", "return w, grad", STANDS_STILL),
    ("first_counted_twice", "buf = grad", "buf = momentum * grad + (1 - dampening) * grad",
     "the first gradient is counted twice: it becomes the buffer, and is then added to it once more."),
    ("dampening_on_buffer", "momentum * buf + (1 - dampening) * grad", "(1 - dampening) * momentum * buf + grad",
     "dampening shrinks the remembered buffer. It is meant for the new gradient."),
    ("dampening_multiplies", "(1 - dampening) * grad", "dampening * grad",
     "dampening is used as the share of the gradient that is kept. It is the share that is taken away."),
    ("dampening_is_lr", "1 - dampening", "1 - lr",
     "the gradient is dampened by the learning rate. The notes say so, and they are wrong: the two are unrelated."),
    ("dampening_is_momentum", "1 - dampening", "1 - momentum",
     "the gradient is dampened by 1 − momentum, as in an average. How much is taken away is said by `dampening`."),
    ("buffer_without_effect", "lr * buf", "lr * grad",
     "w moves by the new gradient alone. The buffer is kept, but what is it there for?"),
]:  # fmt: skip
    torch_momentum_step.slip(name, before, after, message)


@torch_momentum_step.cases
def _(random):
    first, later = {"buf": None}, {"buf": (-1.0, 1.0)}
    lr = drawn(random, 0.44, 0.49, 3)
    hyper = {"momentum": drawn(random, 0.76, 0.88), "dampening": drawn(random, 0.3, 0.42)}
    return [
        steps(random, first, {"lr": dropping(lr)} | hyper),
        steps(random, later, {"lr": dropping(lr)} | hyper, shapes=((2,), ())),
        single_steps(random, later, {"lr": lr} | hyper),
        steps(random, first, {"lr": lr} | hyper | {"dampening": 0.0}, shapes=((2, 2), ()), dtype="float32"),
    ]


# --- 4.8 nesterov_step -------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w delta")
def nesterov_step(w, grad_fn, delta, lr, alpha):
    ahead = w - alpha * delta
    grad = grad_fn(ahead)
    delta = alpha * delta + lr * grad
    w = w - delta
    return w, delta


AT_W = {"grad_fn(ahead)": "grad_fn(w)"}
STORED = (
    "the form of torch.optim, which stores the look-ahead point in place of w. A right algorithm, "
    "but not the one asked for: here w is the point itself."
)
HALF_STORED = (
    "half of another form: where w is the look-ahead point, the old velocity's look-ahead must be taken back "
    "before the new one is added. Here w is the point itself, and moves by the velocity alone."
)

for name, credit, before, after, also, message in [
    ("gradient_at_w", 0.0, "grad_fn(ahead)", "grad_fn(w)", {},
     "ordinary momentum: the gradient is taken where we stand. Nesterov first looks where the velocity will carry us."),
    ("wrong_side", 0.5, "w - alpha * delta", "w + alpha * delta", {},
     "the gradient is taken behind us. The velocity is subtracted from w: that tells on which side `ahead` is."),
    ("look_ahead_kept", 0.0, "w = w - delta", "w = ahead - delta", {},
     "the look-ahead point is kept as the new start, so the old velocity moves w twice. It is only a place to look from."),
    ("alpha_twice", 0.0, "w - alpha * delta", "w - alpha * alpha * delta", {},
     "α is applied twice on the way to the look-ahead point; the velocity shrinks by α once."),
    ("whole_velocity", 0.5, "w - alpha * delta", "w - delta", {},
     "the look-ahead point lies a whole velocity ahead. Only the share α of it survives into this step."),
    ("lr_in_look_ahead", 0.0, "w - alpha * delta", "w - lr * alpha * delta", {},
     "the learning rate shortens the way to the look-ahead point. The velocity is a step: the rate is in it already."),
    ("gradient_step_ahead", 0.0, "w - alpha * delta", "w - lr * grad_fn(w)", {},
     "the look-ahead is a step of gradient descent. What is known in advance is another part of the step: the velocity's."),
    ("gradient_of_velocity", 0.0, "grad_fn(ahead)", "grad_fn(alpha * delta)", {},
     "the gradient is taken at the velocity. That is a step, not a point: from where does it lead, and to where?"),
    ("torch_form", 0.5, "w = w - delta", "w = w - (alpha * delta + lr * grad)", AT_W, STORED),
    ("torch_form_opposite", 0.25, BOTH, "delta = alpha * delta - lr * grad\nw = w + (alpha * delta - lr * grad)", AT_W,
     "the form that stores the look-ahead point in place of w, with a velocity that is added (so in cs231n). "
     "Here w is the point itself, and the velocity is subtracted."),
    ("look_ahead_stored_twice", 0.0, "w = w - delta", "w = w - (alpha * delta + lr * grad)", {},
     "two look-aheads: the gradient is taken ahead, and then the step looks ahead once more. Each form has one of them."),
    ("look_ahead_not_taken_back", 0.0, "w = w - delta", "w = w - (1 + alpha) * delta", AT_W, HALF_STORED),
    ("look_ahead_on_top", 0.0, "w = w - delta", "w = w - (1 + alpha) * delta", {}, HALF_STORED),
    ("look_ahead_without_alpha", 0.0, BOTH,
     "old = delta\ndelta = alpha * delta + lr * grad\nw = w - (2 * delta - old)", AT_W,
     "the form that stores the look-ahead point in w, with 1 where α belongs (2Δ less the old Δ). "
     "Here w is the point itself, and moves by the velocity alone."),
    ("lr_outside", 0.5, "lr * grad", "grad", {"w = w - delta": "w = w - lr * delta"}, LR_OUTSIDE),
    ("lr_outside_of_all", 0.5, "lr * grad", "grad",
     {"w = w - delta": "w = w - lr * delta", "w - alpha * delta": "w - lr * alpha * delta"}, LR_OUTSIDE),
    ("negative_velocity", 0.5, "alpha * delta + lr * grad", "alpha * delta - lr * grad",
     {"w = w - delta": "w = w + delta", "w - alpha * delta": "w + alpha * delta"}, OPPOSITE),
    ("ema", 0.3, "lr * grad", "(1 - alpha) * grad", {"w = w - delta": "w = w - lr * delta"}, AVERAGE),
    ("ema_lr_inside", 0.3, "lr * grad", "(1 - alpha) * lr * grad", {}, AVERAGE),
    ("sign", 0.0, "w = w - delta", "w = w + delta", {}, UPHILL),
    ("extra_step", 0.0, "w = w - delta", "w = w - delta - lr * grad", {},
     "the gradient is used twice: inside the velocity and once more by itself."),
    ("velocity_not_returned", 0.0, BOTH, "new = alpha * delta + lr * grad\nw = w - new", {}, LOST),
    ("velocity_forgets", 0.3, "return w, delta", "return w, lr * grad", {},
     "w moves as it should, but only the gradient's part of the step is returned as the velocity."),
    ("swapped", 0.5, "return w, delta", "return delta, w", {}, EXCHANGED),
]:  # fmt: skip
    nesterov_step.slip(name, before, after, message, also=also, credit=credit)


@nesterov_step.cases
def _(random):
    return velocity_cases(random, "function")


# --- 4.5 spectral_radius -----------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, rtol=1e-4)
def spectral_radius(lr, alpha, curvature):
    lr_h = lr * curvature
    matrix = torch.tensor([[1 - lr_h, -alpha], [lr_h, alpha]], dtype=torch.float64)
    eigenvalues = torch.linalg.eigvals(matrix)
    lengths = eigenvalues.abs()
    return lengths.max()


LENGTHS = "lengths = eigenvalues.abs()"
PARTS_ADDED = (
    "real and imaginary part are added up, which a root of |b² − 4α| does, too. "
    "A complex number's length is another thing: how long is the arrow from zero to (3, 4)?"
)
ONE_ROOT = "only one of the two eigenvalues, + or −. Which is the longer one changes with ηh."

for name, credit, before, after, message in [
    ("real_part", 0.0, LENGTHS, "lengths = eigenvalues.real.abs()",
     "the real part of an eigenvalue. Where the eigenvalues are complex, how far they are from zero counts: their length."),
    ("largest_real_part", 0.0, LENGTHS, "lengths = eigenvalues.real",
     "the eigenvalue furthest to the right. One of −1.3 diverges too: the length counts, not the sign."),
    ("sum_of_parts", 0.0, LENGTHS, "lengths = eigenvalues.real.abs() + eigenvalues.imag.abs()", PARTS_ADDED),
    ("larger_part", 0.0, LENGTHS, "lengths = torch.maximum(eigenvalues.real.abs(), eigenvalues.imag.abs())",
     "the larger of real and imaginary part. A length is made of both: how long is the arrow from zero to (3, 4)?"),
    ("smallest", 0.0, "lengths.max()", "lengths.min()",
     "the smaller of the two eigenvalues. In the long run the slowest part of the error is what is left."),
    ("square_of_length", 0.0, LENGTHS, "lengths = eigenvalues.abs() ** 2",
     "the square of the length: real² + imaginary², and the root of it still to come."),
    ("first_only", 0.0, "lengths.max()", "lengths[0]", ONE_ROOT),
    ("second_only", 0.0, "lengths.max()", "lengths[1]", ONE_ROOT),
    ("gradient_descent", 0.0, "lengths.max()", "abs(1 - lr_h)",
     "the factor of gradient descent, |1 − ηh|. With a velocity there are two numbers to follow, and a 2×2 matrix."),
    ("sqrt_alpha", 0.3, "lengths.max()", "math.sqrt(alpha)",
     "√α everywhere. That holds where the eigenvalues are complex; elsewhere they are real and one is larger."),
    ("determinant", 0.0, "lengths.max()", "alpha", "the product of the two eigenvalues, which is the determinant."),
    ("symmetric_solver", 0.0, "torch.linalg.eigvals(matrix)", "torch.linalg.eigvalsh(matrix)",
     "the eigenvalues of another matrix: a solver for symmetric ones (eigh) reads only one half of this one, "
     "which is not symmetric."),
    ("largest_singular_value", 0.0, "torch.linalg.eigvals(matrix)", "torch.linalg.svdvals(matrix)",
     "the largest singular value (a matrix norm). One step can stretch by that much; what remains in the long "
     "run is governed by the eigenvalues."),
    ("wrong_sign_off_the_diagonal", 0.0, "-alpha", "alpha",
     "one sign off the diagonal is wrong. The gradient adds to the velocity, and the velocity is taken away from w."),
    ("old_velocity_moves_w", 0.0, "[1 - lr_h, -alpha]", "[1.0, -1.0]",
     "a matrix in which w moves by the velocity that came in. It should move by the new one, which has felt the gradient."),
    ("w_without_gradient", 0.0, "[1 - lr_h, -alpha]", "[1.0, -alpha]",
     "a matrix in which w moves without the new gradient. With w = 1 and Δ = 0, what does your step make of w?"),
    ("w_without_share", 0.0, "[1 - lr_h, -alpha]", "[1 - lr_h, -1.0]",
     "a matrix in which w moves by the whole old velocity. With w = 0 and Δ = 1, what does your step make of w?"),
    ("velocity_without_share", 0.0, "[lr_h, alpha]", "[lr_h, 1.0]",
     "a matrix in which nothing of the velocity is lost. With w = 0 and Δ = 1, what does your step make of Δ?"),
]:  # fmt: skip
    spectral_radius.slip(name, before, after, message, credit=credit)


def longest(b, under_root):
    """The longer of (b ± √…)/2: who solves the quadratic equation, b = 1 + α − ηh, goes wrong in other places."""
    root = complex(under_root) ** 0.5
    return max(abs(b + root), abs(b - root)) / 2


for name, message, wrong in [
    ("four_forgotten", "the quadratic formula with b² − α under the root: the factor 4 is missing.",
     lambda b, alpha: longest(b, b * b - alpha)),
    ("plus_under_root", "the quadratic formula with a plus under the root. Then no eigenvalue would ever be complex.",
     lambda b, alpha: longest(b, b * b + 4 * alpha)),
    ("half_forgotten", "twice the eigenvalues: the quadratic formula divides by 2.",
     lambda b, alpha: 2 * longest(b, b * b - 4 * alpha)),
    ("only_root_halved", "only the root is divided by 2, and b is not. Are there brackets around the sum?",
     lambda b, alpha: longest(2 * b, b * b - 4 * alpha)),
    ("plus_only", ONE_ROOT, lambda b, alpha: abs(b + complex(b * b - 4 * alpha) ** 0.5) / 2),
    ("minus_only", ONE_ROOT, lambda b, alpha: abs(b - complex(b * b - 4 * alpha) ** 0.5) / 2),
]:  # fmt: skip
    spectral_radius.mistake(
        lambda lr, alpha, curvature, wrong=wrong: wrong(1 + alpha - lr * curvature, alpha), name=name, message=message
    )

spectral_radius.reword(
    "`eigenvalues` is returned, not what is made of it.",
    "an eigenvalue, which is a complex number, comes back. What is asked for is its length.",
)
spectral_radius.equivalent("`lr` and `curvature` are exchanged everywhere.", "they are multiplied")
spectral_radius.equivalent("`dtype` is not given in the line that makes `matrix`.", "single precision is enough here")


@spectral_radius.cases
def _(random):
    # Never near a double root, where a float32 eigenvalue is only good to 3 digits; lr differs from α and 1 − α.
    spots = [(0.0, random.uniform(0.3, 0.7)), (0.0, random.uniform(1.4, 1.8)), (0.0, 2.5)]
    for alpha in (drawn(random, 0.82, 0.88), drawn(random, 0.32, 0.48)):
        low, high = (1 - math.sqrt(alpha)) ** 2, (1 + math.sqrt(alpha)) ** 2  # complex eigenvalues between them,
        shares = random.uniform(0.1, 0.2), random.uniform(0.7, 0.85)  # with a real part of either sign
        spots += [(alpha, low + share * (high - low)) for share in shares]
        spots.append((alpha, 2.4 * (1 + alpha)))  # diverges
    spots.append((alpha, 0.7 * high + 0.6 * (1 + alpha)))  # jumps to and fro, and converges
    rows = [(drawn(random, 0.21, 0.29), *spot) for spot in spots]
    rows.append((drawn(random, 0.03, 0.04, 3), alpha, random.uniform(0.5, 0.8) * low))  # creeps
    return [case(lr=lr, alpha=alpha, curvature=round(spot / lr, 2)) for lr, alpha, spot in rows]


# --- 4.6 best_momentum -------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, rtol=1e-5)
def best_momentum(kappa):
    root = math.sqrt(kappa)
    ratio = (root - 1) / (root + 1)
    return ratio**2


RATIO = "(root - 1) / (root + 1)"
KAPPA = "κ where √κ belongs: (κ − 1)/(κ + 1) is the best that gradient descent without momentum can do."

best_momentum.slip(
    "not_squared", "ratio**2", "ratio",
    "the height of the line, which is √α and the best rate of convergence. The momentum is its square.", credit=0.5,
)  # fmt: skip

for name, before, after, also, message in [
    ("kappa_for_root", "math.sqrt(kappa)", "kappa", {}, KAPPA),
    ("gradient_descent_rate", "math.sqrt(kappa)", "kappa", {"ratio**2": "ratio"}, KAPPA),
    ("half_of_kappa", "math.sqrt(kappa)", "kappa**1 / 2", {},
     "κ/2 where √κ belongs. A power comes before a division: what does `** 1/2` do?"),
    ("inverse", RATIO, "(root + 1) / (root - 1)", {},
     "numerator and denominator exchanged: a momentum above 1 would speed up for ever."),
    ("square_below_only", RATIO, "(root - 1) / (root + 1) ** 2", {"ratio**2": "ratio"},
     "only the lower part is squared: a power comes before a division. The square is one of the whole fraction."),
    ("square_above_only", RATIO, "(root - 1) ** 2 / (root + 1)", {"ratio**2": "ratio"},
     "only the upper part is squared. The square is one of the whole fraction."),
    ("no_brackets", RATIO, "root - 1 / root + 1", {},
     "a division comes before sums: without brackets only 1/√κ is a fraction here."),
    ("root_of_difference", RATIO, "math.sqrt(kappa - 1) / math.sqrt(kappa + 1)", {"ratio**2": "ratio"},
     "the 1 stands under the roots. They are of κ alone."),
    ("rate_of_momentum", RATIO, "2 / (root + 1)", {},
     "how far out the left end of the line lies (Polyak's best learning rate, too, for h from 1 to κ). "
     "The momentum belongs to the height of the line."),
    ("root_instead_of_square", "ratio**2", "math.sqrt(ratio)", {},
     "the root of the height. The height on the map is a root already: √α."),
    ("right_end_at_the_tip", RATIO, "(root - 1) / root", {},
     "the line whose left end touches the triangle and whose right end lies above its tip, at √(ηh) = 1. "
     "The right end may go on, to the triangle's other side; then the line lies lower."),
    ("right_end_at_the_tip_not_squared", RATIO, "(root - 1) / root", {"ratio**2": "ratio"},
     "the height of the line whose right end lies above the tip of the triangle. The right end may go on to the other side; "
     "and the momentum is the square of the height."),
    ("what_is_lost", "ratio**2", "1 - ratio**2", {},
     "the friction, 1 − α. With a large κ, should a step keep much of the velocity, or little?"),
]:  # fmt: skip
    best_momentum.slip(name, before, after, message, also=also)

best_momentum.equivalent("the difference is the wrong way round in the line that makes `ratio`.", "it is squared")


@best_momentum.cases
def _(random):
    ranges = [(2.2, 8.8), (17, 99), (110, 900)]
    by_hand = random.choice([9.0, 16.0, 36.0, 49.0])
    return [case(kappa=k) for k in (by_hand, *(drawn(random, *r, 1) for r in ranges), 1.0)]


# --- 4.7 effective_learning_rate ---------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=1, rtol=1e-5)
def effective_learning_rate(lr, alpha):
    return lr / (1 - alpha)


effective_learning_rate.slip(
    "one_step_back", "lr / (1 - alpha)", "lr * (1 + alpha)",
    "only one step of memory. The velocity remembers all of them: add up 1 + α + α² + …", credit=0.3,
)  # fmt: skip

for name, after, message in [
    ("brackets_missing", "lr / 1 - alpha",
     "brackets are missing: a division comes before a difference, so lr is divided by 1, and α taken away."),
    ("multiplied", "lr * (1 - alpha)",
     "a rate that shrinks with α. A velocity that remembers more takes longer steps."),
    ("over_alpha", "lr / alpha",
     "a division by α itself. What matters is what the friction, 1 − α, takes away in each step."),
    ("over_one_plus_alpha", "lr / (1 + alpha)",
     "what is left of a gradient that changes its sign in each step. One that keeps its sign adds up."),
    ("only_the_momentum_part", "lr * alpha", "a product with α: a smaller rate. With α = 0 nothing would move."),
    ("upside_down", "(1 - alpha) / lr", "the right two numbers, divided the wrong way round."),
    ("in_units_of_rate", "1 / (1 - alpha)",
     "how many times longer the steps get. The rate itself is that number times another."),
    ("without_newest", "lr * alpha / (1 - alpha)",
     "what the past gradients add: α + α² + … The newest counts too, with weight 1."),
    ("unchanged", "lr", "the learning rate as it was given: momentum makes it larger."),
]:  # fmt: skip
    effective_learning_rate.slip(name, "lr / (1 - alpha)", after, message)


@effective_learning_rate.cases
def _(random):
    rows = [(0.3, 0.75), (drawn(random, 0.05, 0.09, 3), drawn(random, 0.81, 0.88)), (0.2, 0.0)]
    rows.insert(1, (drawn(random, 0.21, 0.29, 3), drawn(random, 0.4, 0.6)))
    return [case(lr=lr, alpha=alpha) for lr, alpha in rows]
