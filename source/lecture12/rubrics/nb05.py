"""Rubric of 05_gains_and_rmsprop."""

import math
from itertools import combinations

import torch

from lecture_utils.instructor.authoring.cases import case, dropping, numbers, single_steps, steps
from lecture_utils.instructor.authoring.exercise import exercise

NOTEBOOK = "05_gains_and_rmsprop"


# --- 5.1 gain_step -----------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w gain")
def gain_step(w, grad, last_grad, gain, lr, beta):
    agree = grad * last_grad > 0  # the condition
    grown = gain + beta  # the grown gain
    shrunk = gain * (1 - beta)  # the shrunk gain
    gain = torch.where(agree, grown, shrunk)  # the new gain
    w = w - lr * gain * grad
    return w, gain


SIGNS, GAIN = "grad * last_grad > 0", "torch.where(agree, grown, shrunk)"

for name, credit, before, after, message in [
    (
        "zero_counts_as_agreement", 0.7, SIGNS, "grad * last_grad >= 0",
        "a product of exactly zero counts as agreement. Only where both gradients have the same sign should the gain grow.",
    ),
    (
        "equal_signs", 0.7, SIGNS, "grad.sign() == last_grad.sign()",
        "two gradients of zero count as agreement. Nothing was learned there; only where the product is above zero should "
        "the gain grow.",
    ),
    (
        "zero_keeps_the_gain", 0.7, GAIN, "torch.where(agree, grown, torch.where(grad * last_grad < 0, shrunk, gain))",
        "where the product is exactly zero the gain stays. There are only two cases: above zero, and all else.",
    ),
    (
        "sum_for_product", 0.3, SIGNS, "grad + last_grad > 0",
        "the sum of both gradients decides. A sum can be positive while the signs differ.",
    ),
    (
        "only_this_gradient", 0.0, SIGNS, "grad > 0",
        "the sign of this gradient alone decides. The question is whether it is the same as last time.",
    ),
    (
        "subtracted", 0.3, "gain * (1 - beta)", "gain - beta",
        "the gain is lowered by a fixed amount. It should shrink by a factor, so that a large gain falls fast and none is "
        "negative.",
    ),
    (
        "multiplied_up", 0.3, "gain + beta", "gain * (1 + beta)",
        "the gain grows by a factor. It should grow by a fixed amount: slow up, fast down.",
    ),
    (
        "shrinks_to_beta", 0.0, "1 - beta", "beta",
        "the gain falls to the share β of itself. What is taken away is β; the rest stays.",
    ),
    (
        "last_gradient_in_the_step", 0.3, "lr * gain * grad", "lr * gain * last_grad",
        "w is moved by the gradient of the step before. That one is only there for its sign.",
    ),
    (
        "lr_forgotten", 0.3, "lr * gain * grad", "gain * grad",
        "the learning rate is not used. The gain is a factor on it.",
    ),
    (
        "gain_added", 0.3, "lr * gain * grad", "(lr + gain) * grad",
        "the gain is added to the learning rate. It is a factor on it.",
    ),
]:  # fmt: skip
    gain_step.slip(name, before, after, message, credit=credit)

gain_step.slip(
    "old_gain",
    f"gain = {GAIN}\nw = w - lr * gain * grad",
    f"w = w - lr * gain * grad\ngain = {GAIN}",
    "the step uses the gain that came in. The gain is updated first, then used.",
    credit=0.5,
)

for name, condition in {
    "": "(grad * last_grad).sum() > 0",
    "_all": "(grad * last_grad > 0).all()",
    "_any": "(grad * last_grad > 0).any()",
}.items():
    message = "one decision for all weights together. Each weight has a gain, and a sign, of its own."
    gain_step.slip(f"scalar_gain{name}", SIGNS, condition, message)

for name, limits in {"": "0.1, 10", "_wide": "0.01, 100", "_above": "None, 10", "_below": "0.1, None"}.items():
    message = "the gains are kept within limits. Practice does that, but the exercise asks for the plain rule."
    gain_step.slip(f"clamped{name}", GAIN, f"{GAIN}.clamp({limits})", message, credit=0.7)

NO_OLD_GAIN = "the formula of the lecture notes, which lost the old gain. The new gain must grow from the old gain, weight by weight."
for name, grown, shrunk in [
    ("notes_formula", "torch.full_like(gain, beta)", "torch.full_like(gain, 1 - beta)"),
    ("notes_formula_above", "beta", "gain * (1 - beta)"),
    ("notes_gradient", "last_grad + beta", "last_grad * (1 - beta)"),
    ("notes_gradient_above", "last_grad + beta", "gain * (1 - beta)"),
]:
    gain_step.slip(name, "gain + beta", grown, NO_OLD_GAIN, also={"gain * (1 - beta)": shrunk})


def _two_numbers(w, grad, last_grad, gain, lr, beta):
    gain = torch.where(grad * last_grad > 0, beta, 1 - beta)  # float32: torch makes it of two plain numbers
    return w - lr * gain * grad, gain


# A lambda, so that nothing is combined with it: of a wrong dtype or an error nothing is compared but its kind.
gain_step.mistake(lambda *args: _two_numbers(*args), name="notes_formula_in_float32", message=NO_OLD_GAIN)


@gain_step.cases
def _(random):
    lr, beta = round(random.uniform(0.11, 0.19), 3), round(random.uniform(0.21, 0.38), 2)
    state = {"last_grad": (-2.0, 2.0), "gain": (0.5, 2.0)}
    run = steps(random, state, {"lr": dropping(lr, 8), "beta": beta}, steps=8)
    # Gains beyond the limits that some clamp them to, the small one falling; the exercise has no limits.
    run["start"][0] |= {"gain": [12.0, 0.005], "last_grad": [1.3, 0.7]}
    run["grads"][0][0] = [0.9, -1.3]
    run["grads"][5] = run["grads"][4]  # a second zero gradient: two signs that are equal, and a product of zero
    single = single_steps(random, {**state, "last_grad": (-2.0, -0.3)}, {"lr": lr, "beta": beta})
    single["grads"][0][0] = [-0.8, 1.7]  # the same sign as last time, and another
    for start in single["start"]:
        start["gain"] = numbers(random, (2,), 0.5, 2.0)  # no gain is zero
    return [
        run,
        single,
        # All gains are 1 at the start, and g - β is g · (1 - β) there: in float32, where nothing is named.
        steps(random, {"last_grad": 0.0, "gain": 1.0}, {"lr": lr, "beta": beta}, shapes=((2, 3), ()), dtype="float32"),
    ]


# --- 5.2 rmsprop_step --------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w r")
def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * grad**2
    w = w - lr * grad / (r.sqrt() + eps)
    return w, r


AVERAGE, QUOTIENT = "beta * r + (1 - beta) * grad**2", "lr * grad / (r.sqrt() + eps)"
LINES, LATE = f"r = {AVERAGE}\nw = w - {QUOTIENT}", f"w = w - {QUOTIENT}\nr = {AVERAGE}"

INSIDE = (
    "ε inside the root. Some libraries have it there; torch.optim.RMSprop adds it after the root, and so does this "
    "exercise. Where gradients are small it makes a difference."
)
ON_QUOTIENT = (
    "ε is added to the quotient, not to the root: a fraction line holds together what brackets must hold in code."
)
NO_EPS = "ε is missing, or a number of your own in its place. It keeps the quotient finite where r is zero."
for name, credit, before, after, message in [
    ("eps_inside", 0.7, "r.sqrt() + eps", "(r + eps).sqrt()", INSIDE),
    ("eps_squared_inside", 0.7, "r.sqrt() + eps", "(r + eps**2).sqrt()", INSIDE),
    ("precedence", 0.5, QUOTIENT, "lr * grad / r.sqrt() + eps", ON_QUOTIENT),
    ("precedence_plain", 0.5, f"w - {QUOTIENT}", "w - lr * grad / r.sqrt() + eps", ON_QUOTIENT),
    ("precedence_times_lr", 0.5, QUOTIENT, "lr * (grad / r.sqrt() + eps)", ON_QUOTIENT),
    ("half", 0.3, "r.sqrt()", "r ** 1 / 2", "a half, not a root: a power comes before a division."),
    ("eps_forgotten", 0.5, "r.sqrt() + eps", "r.sqrt()", NO_EPS),
    ("eps_typed", 0.5, "r.sqrt() + eps", "r.sqrt() + 1e-8", NO_EPS),
    (
        "eps_as_floor", 0.7, "r.sqrt() + eps", "r.sqrt().clamp(min=eps)",
        "ε as a lower limit of the root. It is added to it, always.",
    ),
    (
        "beta_exchanged", 0.3, AVERAGE, "(1 - beta) * r + beta * grad**2",
        "β and 1 − β are exchanged. β is the share of the old mean square that stays.",
    ),
    (
        "sum_of_squares", 0.3, AVERAGE, "r + grad**2",
        "the squares are added up without forgetting, as in AdaGrad. Here the old mean square fades by β.",
    ),
    (
        "fading_sum", 0.3, "(1 - beta) * grad**2", "grad**2",
        "the new square enters with its full weight. In an average it is weighted by 1 − β.",
    ),
    (
        "not_squared", 0.0, "grad**2", "grad",
        "the gradient is averaged, not its square. Such an average can be negative, and has no root then: nan.",
    ),
    (
        "root_stored", 0.3, LINES, f"r = ({AVERAGE}).sqrt()\nw = w - lr * grad / (r + eps)",
        "the root is stored in r. What is kept, and averaged next time, is the mean square.",
    ),
    (
        "swapped", 0.5, "return w, r", "return r, w",
        "the right two results in the wrong order.",
    ),
]:  # fmt: skip
    rmsprop_step.slip(name, before, after, message, credit=credit)

ONE_R = "one mean square for all weights. Each weight has its own."
for name, credit, before, after, message in [
    (
        "one_plus_beta", 0.0, "1 - beta", "1 + beta",
        "the new square is weighted by 1 + β, as in the lecture notes. Two weights of an average add up to 1; with these r "
        "grows far beyond the squares that it should average.",
    ),
    (
        "no_root", 0.0, "r.sqrt()", "r",
        "the step is divided by the mean square itself. Its root has the units of a gradient, and it is what cancels.",
    ),
    (
        "old_r", 0.5, LINES, LATE,
        "the step is divided by the r that came in. It is updated first, then used.",
    ),
    (
        "variance", 0.0, "grad**2", "(grad - grad.mean()) ** 2",
        "a variance: a mean over the weights is subtracted. r is the mean of the plain squares, over time, for each weight.",
    ),
    ("scalar_r", 0.0, "grad**2", "(grad**2).mean()", ONE_R),
    ("sum_over_weights", 0.0, "grad**2", "(grad**2).sum()", ONE_R),
    (
        "squared_twice", 0.5, "(1 - beta) * grad**2", "((1 - beta) * grad) ** 2",
        "1 − β is squared together with the gradient. It is a weight and stands outside the square.",
    ),
    (
        "root_for_gradient", 0.0, "r.sqrt()", "(grad**2).sqrt()",
        "each gradient is divided by its own length, so every step is η long and only the sign is left. The root is that "
        "of r, which remembers earlier gradients.",
    ),
    ("multiplied", 0.0, QUOTIENT, QUOTIENT.replace("/", "*"), "a product, not a quotient. Steep weights should step less."),
]:  # fmt: skip
    rmsprop_step.slip(name, before, after, message, credit=credit)

rmsprop_step.slip(
    "absolute_value",
    "grad**2",
    "grad.abs()",
    "an average of absolute values. Root mean square: square, average, root.",
    credit=0.3,
    also={"r.sqrt()": "r"},
)


@rmsprop_step.cases
def _(random):
    lr, beta = round(random.uniform(0.11, 0.19), 3), round(random.uniform(0.62, 0.78), 2)
    hyper = {"lr": lr, "beta": beta, "eps": round(random.uniform(0.41, 0.48), 2)}  # a small ε hides in rounding
    start = steps(random, {"r": 0.0}, {"lr": lr, "beta": round(random.uniform(0.92, 0.97), 3), "eps": 1e-6})
    start["grads"][0][0][0] = 0.0  # a weight that has never had a gradient: without ε, 0/0
    run = steps(random, {"r": (0.2, 2.0)}, hyper | {"lr": dropping(lr)})
    run["start"][0]["r"][0], run["grads"][0][0][0] = 0.02, 0.11  # a root below ε: there a lower limit shows
    return [
        run,
        single_steps(random, {"r": (0.2, 2.0)}, hyper),
        start,
        steps(random, {"r": (0.2, 2.0)}, hyper, shapes=((2, 3), ()), dtype="float32"),
    ]


# --- 5.3 first_step_size -----------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=1, rtol=1e-5)  # 1 - torch.tensor(0.99), in float32, is off by 6e-6
def first_step_size(lr, beta):
    return lr / math.sqrt(1 - beta)


RATE, ROOT = "lr / math.sqrt(1 - beta)", "math.sqrt(1 - beta)"

for name, credit, before, after, message in [
    ("lr", 0.0, RATE, "lr", "the learning rate alone. After one step r is not yet the square of the gradient."),
    ("no_root", 0.5, ROOT, "1 - beta", "r after one step, but not its root."),
    ("inverse", 0.3, RATE, f"lr * {ROOT}", "the root above the line. The step is divided by the root of r."),
    ("beta_for_rest", 0.3, "1 - beta", "beta", "the share β. The first square enters with the weight 1 − β."),
    (
        "share", 0.3, RATE, "lr * (1 - beta)",
        "the share 1 − β as a factor. That is by how much r falls short; the step divides, and by a root.",
    ),
    (
        "one_plus_beta", 0.3, "1 - beta", "1 + beta",
        "1 + β, as in the lecture notes' average. The two weights of an average add up to 1.",
    ),
    ("brackets", 0.0, RATE, "lr / 1 - beta", "brackets are missing, and a root: a division comes before a difference."),
    ("half", 0.3, RATE, "lr / (1 - beta) ** 1 / 2", "a half, not a root: a power comes before a division."),
    ("divided_by_beta", 0.0, ROOT, "beta", "β itself, and no root. What weight has the first square?"),
    (
        "root_of_beta_subtracted", 0.3, ROOT, "1 - math.sqrt(beta)",
        "the root of β alone. It is r that stands under the root, with all that belongs to it.",
    ),
    ("root_of_all", 0.3, RATE, "math.sqrt(lr / (1 - beta))", "the learning rate stands under the root, too."),
    ("ten_times", 0.3, RATE, "10 * lr", "ten times the learning rate. That is so for PyTorch's default of β only."),
    ("negative", 0.5, RATE, f"-lr / {ROOT}", "a negative number. A length has no direction."),
    ("factor", 0.5, "lr", "1", "the factor alone, without the learning rate."),
]:  # fmt: skip
    first_step_size.slip(name, before, after, message, credit=credit)


@first_step_size.cases
def _(random):
    betas = [round(random.uniform(0.91, 0.96), 3), round(random.uniform(0.52, 0.64), 2), 0.99]
    return [case(lr=round(random.uniform(0.11, 0.3), 3), beta=beta) for beta in betas]


# --- 5.4 find_the_bug: AdaDelta ----------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, returns="w r u")
def find_the_bug(w, grad, r, u, rho, eps):
    r = rho * r + (1 - rho) * grad**2
    step = torch.sqrt(u + eps) / torch.sqrt(r + eps) * grad
    u = rho * u + (1 - rho) * step**2
    w = w - step
    return w, r, u


R, U = "r = rho * r + (1 - rho) * grad**2", "u = rho * u + (1 - rho) * step**2"
ABOVE, BELOW = "torch.sqrt(u + eps)", "torch.sqrt(r + eps)"
STEP = f"step = {ABOVE} / {BELOW} * grad"

LEFT = {  # what the given function has wrong
    "order": ("a mean that does not know this gradient yet", {f"{R}\n{STEP}": f"{STEP}\n{R}"}),
    "root": ("a step in the wrong unit", {BELOW: "(r + eps)"}),
    "gradient": ("a mean that averages something else than its name says", {"step**2": "grad**2"}),
}
for names in (names for size in (1, 2, 3) for names in combinations(LEFT, size)):
    message = f"not all is repaired. Still there: {'; '.join(LEFT[name][0] for name in names)}."
    # The order last: it moves the lines in which the others are.
    changes = {old: new for name in reversed(names) for old, new in LEFT[name][1].items()}
    if "order" in names and "root" in names:
        changes = {f"{R}\n{STEP}": f"{STEP}\n{R}".replace(BELOW, "(r + eps)")} | (
            LEFT["gradient"][1] if "gradient" in names else {}
        )
    (before, after), *others = changes.items()
    credit = 0.5 if len(names) == 1 else 0.0
    find_the_bug.slip(f"left_{'_'.join(names)}", before, after, message, credit=credit, also=dict(others))

_EPS_OUT = "ε outside the root. AdaDelta has it inside, above the line and below it."
_ONE_EPS = "ε is missing in one of the two sizes. Without the upper one no first step is ever taken; without the lower one 0 is divided by 0."
_LATE_U = (
    "the step uses a u that has this step, or this gradient, in it already. How large this step is can count only afterwards, "
    "for the next one."
)
for name, credit, changes, message in [
    ("no_roots", 0.0, {ABOVE: "(u + eps)", BELOW: "(r + eps)"},
     "no root at all. The quotient of two mean squares has the square of the right unit."),
    ("root_moved", 0.0, {ABOVE: "(u + eps)"},
     "the root is missing above the line. The size of the steps is a root, too; check the unit of the step."),
    ("eps_outside", 0.7, {ABOVE: "(torch.sqrt(u) + eps)", BELOW: "(torch.sqrt(r) + eps)"}, _EPS_OUT),
    ("eps_outside_below", 0.7, {BELOW: "(torch.sqrt(r) + eps)"}, _EPS_OUT),
    ("eps_outside_above", 0.7, {ABOVE: "(torch.sqrt(u) + eps)"}, _EPS_OUT),
    ("no_eps", 0.3, {ABOVE: "torch.sqrt(u)", BELOW: "torch.sqrt(r)"},
     "ε is gone. Where u is zero no step is ever taken then, and where r is zero 0 is divided by 0."),
    ("no_eps_above", 0.3, {ABOVE: "torch.sqrt(u)"}, _ONE_EPS),
    ("no_eps_below", 0.3, {BELOW: "torch.sqrt(r)"}, _ONE_EPS),
    ("own_eps", 0.5, {ABOVE: "torch.sqrt(u + 1e-6)", BELOW: "torch.sqrt(r + 1e-6)"},
     "an ε of your own in place of the argument."),
    ("upside_down", 0.0, {f"{ABOVE} / {BELOW}": f"{BELOW} / {ABOVE}"},
     "the two sizes have changed places: the step gets longer where gradients are large."),
    ("product", 0.0, {f"{ABOVE} / {BELOW}": f"{ABOVE} * {BELOW}"},
     "a product of both sizes. The gradient is divided by its own typical size."),
    ("no_memory_of_steps", 0.0, {f"{ABOVE} / {BELOW} * grad": f"grad / {BELOW}"},
     "the size of the past steps is gone. It stands where RMSProp has its learning rate."),
    ("gradient_forgotten", 0.0, {f"{ABOVE} / {BELOW} * grad": f"{ABOVE} / {BELOW}"},
     "the step does not hold the gradient, so it never has a direction."),
    ("late_u", 0.3, {f"{STEP}\n{U}": f"u = rho * u + (1 - rho) * grad**2\n{STEP}"}, _LATE_U),
    ("u_twice", 0.3, {"w = w - step": "w = w - torch.sqrt(u + eps) / torch.sqrt(r + eps) * grad"}, _LATE_U),
    ("u_of_weights", 0.0, {"step**2": "w**2"},
     "u averages the squares of the weights. What counts is by how much they change."),
    ("u_of_sizes", 0.3, {"step**2": "(torch.sqrt(u + eps) / torch.sqrt(r + eps))**2"},
     "u averages the factor in front of the gradient. It is the whole step, gradient included, that is squared."),
    ("step_not_squared", 0.0, {"step**2": "step"},
     "u averages the step, not its square. Such an average can be negative, and has no root then: nan."),
    ("step_absolute", 0.3, {"step**2": "step.abs()"}, "u averages absolute values. Root mean square: square, average, root."),
    ("gradient_not_squared", 0.0, {"grad**2": "grad"},
     "r averages the gradient, not its square. Such an average can be negative, and has no root then: nan."),
    ("weights_exchanged", 0.3, {R: "r = (1 - rho) * r + rho * grad**2", U: "u = (1 - rho) * u + rho * step**2"},
     "ρ and 1 − ρ are exchanged. ρ is the share of the old mean that stays."),
    ("weights_exchanged_in_r", 0.3, {R: "r = (1 - rho) * r + rho * grad**2"},
     "ρ and 1 − ρ are exchanged in r. ρ is the share of the old mean that stays."),
    ("weights_exchanged_in_u", 0.3, {U: "u = (1 - rho) * u + rho * step**2"},
     "ρ and 1 − ρ are exchanged in u. ρ is the share of the old mean that stays."),
    ("one_plus_rho", 0.3, {R: "r = rho * r + (1 + rho) * grad**2", U: "u = rho * u + (1 + rho) * step**2"},
     "the new square is weighted by 1 + ρ. Two weights of an average add up to 1."),
    ("adagrad", 0.3, {R: "r = r + grad**2"},
     "the squares are added up without forgetting, as in AdaGrad. Here the old mean fades by ρ."),
    ("roots_stored", 0.3, {R: "r = torch.sqrt(rho * r + (1 - rho) * grad**2)", BELOW: "torch.sqrt(r**2 + eps)"},
     "the root is stored in r. What is kept, and averaged next time, is the mean square."),
    ("one_mean_for_all", 0.0, {R: "r = rho * r + (1 - rho) * (grad**2).mean()"},
     "one mean square for all weights. Each weight has its own."),
    ("uphill", 0.0, {"w - step": "w + step"}, "w moves up the hill."),
    ("means_exchanged", 0.5, {"return w, r, u": "return w, u, r"}, "r and u come back in each other's place."),
    ("r_not_returned", 0.3, {R: f"old = r\n{R}", "return w, r, u": "return w, old, u"},
     "r comes back as it went in, so it never remembers more than one gradient."),
    ("u_not_returned", 0.3, {U: "", }, "u comes back as it went in: the size of the steps is never learned."),
]:  # fmt: skip
    (before, after), *others = changes.items()
    find_the_bug.slip(name, before, after, f"a new mistake: {message}", credit=credit, also=dict(others))
find_the_bug.switch_off(
    "`log` stands", "`2` stands", "`3` stands", "a power stands", "a sum stands", "the sign of `", "twice `", "only `rho` is left",
    "the mean of `", "`rho` is squared", "a difference stands where a product", "a quotient stands where a product belongs, upside",
)  # fmt: skip


@find_the_bug.cases
def _(random):
    rho = round(random.uniform(0.62, 0.78), 2)
    hyper = {"rho": rho, "eps": round(random.uniform(0.21, 0.28), 2)}  # a small ε hides in rounding
    state = {"r": (0.2, 2.0), "u": (0.2, 2.0)}
    start = steps(random, {"r": 0.0, "u": 0.0}, {"rho": round(random.uniform(0.92, 0.97), 3), "eps": 1e-6})
    start["grads"][0][0][0] = 0.0  # a weight that has never had a gradient: without ε, 0/0
    return [
        steps(random, state, hyper | {"rho": [rho, rho, rho, round(rho - 0.2, 2), round(rho - 0.2, 2)]}),
        single_steps(random, state, hyper),
        start,
        steps(random, state, hyper, shapes=((2, 3), ()), dtype="float32"),
    ]
