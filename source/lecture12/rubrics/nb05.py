"""Rubric of 05_gains_and_rmsprop."""

import math
from itertools import combinations

import torch

from lecture_utils.checks.cases import dropping, stepping
from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "05_gains_and_rmsprop"


# --- gain_step ---------------------------------------------------------------------------------------------------


def gain_step(w, grad, last_grad, gain, lr, beta):
    gain = torch.where(grad * last_grad > 0, gain + beta, gain * (1 - beta))
    return w - lr * gain * grad, gain


def _with_gain(new_gain, old_in_step=False):
    """A gain_step that differs in how the gain changes: new_gain(grad · last_grad, gain, beta)."""

    def step(w, grad, last_grad, gain, lr, beta):
        new = new_gain(grad * last_grad, gain, beta)
        return w - lr * (gain if old_in_step else new) * grad, new

    return step


def _scalar_gain(all_agree):
    def step(w, grad, last_grad, gain, lr, beta):
        gain = gain + beta if all_agree(grad * last_grad) else gain * (1 - beta)
        return w - lr * gain * grad, gain

    return step


def _uphill_gain(w, grad, last_grad, gain, lr, beta):
    gain = torch.where(grad * last_grad > 0, gain + beta, gain * (1 - beta))
    return w + lr * gain * grad, gain


def _gain_lost(w, grad, last_grad, gain, lr, beta):
    return gain_step(w, grad, last_grad, gain, lr, beta)[0], gain


def _from_the_last_gradient(w, grad, last_grad, gain, lr, beta):
    gain = torch.where(grad * last_grad > 0, last_grad + beta, last_grad * (1 - beta))
    return w - lr * gain * grad, gain


def _from_the_last_gradient_above(w, grad, last_grad, gain, lr, beta):
    gain = torch.where(grad * last_grad > 0, last_grad + beta, gain * (1 - beta))
    return w - lr * gain * grad, gain


def _gain_only(w, grad, last_grad, gain, lr, beta):
    return gain_step(w, grad, last_grad, gain, lr, beta)[1], w


def _last_gradient_in_step(w, grad, last_grad, gain, lr, beta):
    gain = gain_step(w, grad, last_grad, gain, lr, beta)[1]
    return w - lr * gain * last_grad, gain


def _if_both(agree):
    """A gain_step with another condition: agree(grad, last_grad)."""

    def step(w, grad, last_grad, gain, lr, beta):
        gain = torch.where(agree(grad, last_grad), gain + beta, gain * (1 - beta))
        return w - lr * gain * grad, gain

    return step


def _lr_forgotten(w, grad, last_grad, gain, lr, beta):
    return gain_step(w, grad, last_grad, gain, 1.0, beta)


def _gain_added(w, grad, last_grad, gain, lr, beta):
    gain = gain_step(w, grad, last_grad, gain, lr, beta)[1]
    return w - (lr + gain) * grad, gain


def _exchanged_results(w, grad, last_grad, gain, lr, beta):
    return gain_step(w, grad, last_grad, gain, lr, beta)[::-1]


def gain_cases(random):
    lr = round(random.uniform(0.05, 0.2), 2)
    state = {"last_grad": (-2.0, 2.0), "gain": (0.5, 2.0)}
    first = stepping(random, state, {"lr": dropping(lr, 8), "beta": 0.1}, steps=8)
    # Gains beyond the limits that some clamp them to, the small one falling; the exercise has no limits.
    first["start"][0]["gain"][:2] = [12.0, 0.005]
    first["start"][0]["last_grad"][1], first["grads"][0][0][1] = 0.7, -1.3
    first["grads"][5] = first["grads"][4]  # a second zero gradient: two signs that are equal, and a product of zero
    return [
        first,
        stepping(random, state, {"lr": lr, "beta": 0.3}, shapes=((2, 3), (4,)), steps=6),
        stepping(random, {"last_grad": 0.0, "gain": 1.0}, {"lr": lr, "beta": 0.05}, steps=6, dtype="float32"),
    ]


_NO_OLD_GAIN = (
    "the formula of the lecture notes, which lost the old gain. The new gain must grow from the old gain, weight by "
    "weight."
)
GAINS = (
    Misconception(
        "notes_formula",
        _NO_OLD_GAIN,
        _with_gain(lambda s, g, b: torch.where(s > 0, b * torch.ones_like(g), (1 - b) * torch.ones_like(g))),
    ),
    Misconception(
        "notes_formula_above",
        _NO_OLD_GAIN,
        _with_gain(lambda s, g, b: torch.where(s > 0, b * torch.ones_like(g), g * (1 - b))),
    ),
    Misconception("notes_gradient", _NO_OLD_GAIN, _from_the_last_gradient),
    Misconception("notes_gradient_above", _NO_OLD_GAIN, _from_the_last_gradient_above),
    # Two plain numbers, which torch makes a float32 tensor of: in float64 it is told from the dtype.
    Misconception("notes_formula_in_float32", _NO_OLD_GAIN, _with_gain(lambda s, g, b: torch.where(s > 0, b, 1 - b))),
    *(
        Misconception(
            f"clamped{name}",
            "the gains are kept within limits. Practice does that, but the exercise asks for the plain rule.",
            _with_gain(lambda s, g, b, limits=limits: torch.where(s > 0, g + b, g * (1 - b)).clamp(*limits)),
            credit=0.7,
        )
        for name, limits in (("", (0.1, 10)), ("_wide", (0.01, 100)), ("_above", (None, 10)), ("_below", (0.1, None)))
    ),
    Misconception(
        "zero_counts_as_agreement",
        "a product of exactly zero counts as agreement. Only where both gradients have the same sign should the gain grow.",
        _with_gain(lambda s, g, b: torch.where(s >= 0, g + b, g * (1 - b))),
        credit=0.7,
    ),
    Misconception(
        "subtracted",
        "the gain is lowered by a fixed amount. It should shrink by a factor, so that a large gain falls fast and none is negative.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g + b, g - b)),
        credit=0.3,
    ),
    Misconception(
        "multiplied_up",
        "the gain grows by a factor. It should grow by a fixed amount: slow up, fast down.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g * (1 + b), g * (1 - b))),
        credit=0.3,
    ),
    Misconception(
        "shrinks_to_beta",
        "the gain falls to the share β of itself. What is *taken away* is β; the rest stays.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g + b, g * b)),
    ),
    Misconception(
        "exchanged",
        "the gain grows where the sign changes and shrinks where it stays. It should be the other way round.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g * (1 - b), g + b)),
    ),
    Misconception(
        "old_gain",
        "the step uses the gain that came in. The gain is updated first, then used.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g + b, g * (1 - b)), old_in_step=True),
        credit=0.5,
    ),
    *(
        Misconception(
            f"scalar_gain{name}",
            "one decision for all weights together. Each weight has a gain, and a sign, of its own.",
            _scalar_gain(all_agree),
        )
        for name, all_agree in {
            "": lambda product: product.sum() > 0,
            "_all": lambda product: bool((product > 0).all()),
            "_any": lambda product: bool((product > 0).any()),
        }.items()
    ),
    Misconception("swapped", "w and the gain come back in the wrong order, or in each other's place.", _gain_only),
    Misconception(
        "exchanged_results",
        "w and the gain come back in the wrong order, or in each other's place.",
        _exchanged_results,
    ),
    Misconception(
        "equal_signs",
        "two gradients of zero count as agreement. Nothing was learned there; only where the product is above zero should "
        "the gain grow.",
        _if_both(lambda g, last: g.sign() == last.sign()),
        credit=0.7,
    ),
    Misconception(
        "sum_for_product",
        "the sum of both gradients decides. A sum can be positive while the signs differ.",
        _if_both(lambda g, last: g + last > 0),
        credit=0.3,
    ),
    Misconception(
        "only_this_gradient",
        "the sign of this gradient alone decides. The question is whether it is the same as last time.",
        _if_both(lambda g, last: g > 0),
    ),
    Misconception(
        "zero_keeps_the_gain",
        "where the product is exactly zero the gain stays. There are only two cases: above zero, and all else.",
        _with_gain(lambda s, g, b: torch.where(s > 0, g + b, torch.where(s < 0, g * (1 - b), g))),
        credit=0.7,
    ),
    Misconception(
        "last_gradient_in_the_step",
        "w is moved by the gradient of the step before. That one is only there for its sign.",
        _last_gradient_in_step,
        credit=0.3,
    ),
    Misconception(
        "lr_forgotten", "the learning rate is not used. The gain is a factor on it.", _lr_forgotten, credit=0.3
    ),
    Misconception(
        "gain_added", "the gain is added to the learning rate. It is a factor on it.", _gain_added, credit=0.3
    ),
    Misconception("sign", "w moves up the hill.", _uphill_gain),
    Misconception("gain_not_returned", "the gain is updated but not returned, so it never gets anywhere.", _gain_lost),
)


# --- rmsprop_step and find_the_bug -------------------------------------------------------------------------------


def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * grad**2
    return w - lr * grad / (r.sqrt() + eps), r


def _rms(mean_square=None, step=None, old=False, returned=None):
    """An rmsprop_step that differs in one place."""
    mean_square = mean_square or (lambda r, g, b: b * r + (1 - b) * g**2)
    step = step or (lambda g, r, lr, eps: lr * g / (r.sqrt() + eps))

    def rule(w, grad, r, lr, beta, eps):
        new = mean_square(r, grad, beta)
        return w - step(grad, r if old else new, lr, eps), returned(r, new) if returned else new

    return rule


def _variance(r, g, b):
    return b * r + (1 - b) * (g - g.mean()) ** 2


def rmsprop_cases(random):
    lr = round(random.uniform(0.05, 0.2), 2)
    # A large ε: only there can its place be told from rounding. And a root below it: there a lower limit differs.
    first = stepping(random, {"r": (0.2, 2.0)}, {"lr": dropping(lr), "beta": 0.8, "eps": 0.3})
    first["start"][0]["r"][0], first["grads"][0][0][0] = 0.01, 0.1
    return [
        first,
        stepping(random, {"r": 0.0}, {"lr": lr, "beta": 0.9, "eps": 1e-8}, shapes=((2, 3), (4,))),
        stepping(random, {"r": (0.2, 2.0)}, {"lr": lr, "beta": 0.6, "eps": 0.1}, steps=5, dtype="float32"),
    ]


_ONE_PLUS = (
    "the new square is weighted by 1 + β, as in the lecture notes. Two weights of an average add up to 1; with these r "
    "grows far beyond the squares that it should average."
)
_NO_ROOT = (
    "the step is divided by the mean square itself. Its root has the units of a gradient, and it is what cancels."
)
_OLD_R = "the step is divided by the r that came in. It is updated first, then used."
_INSIDE = (
    "ε inside the root. Some libraries have it there; torch.optim.RMSprop adds it after the root, and so does this "
    "exercise. Where gradients are small it makes a difference."
)
RMSPROP = (
    Misconception("one_plus_beta", _ONE_PLUS, _rms(lambda r, g, b: b * r + (1 + b) * g**2)),
    Misconception("no_root", _NO_ROOT, _rms(step=lambda g, r, lr, eps: lr * g / (r + eps))),
    Misconception("eps_inside", _INSIDE, _rms(step=lambda g, r, lr, eps: lr * g / (r + eps).sqrt()), credit=0.7),
    Misconception(
        "eps_squared_inside", _INSIDE, _rms(step=lambda g, r, lr, eps: lr * g / (r + eps**2).sqrt()), credit=0.7
    ),
    Misconception("old_r", _OLD_R, _rms(old=True), credit=0.5),
    Misconception(
        "variance",
        "a variance: a mean over the weights is subtracted. r is the mean of the plain squares, over time, for each weight.",
        _rms(_variance),
    ),
    Misconception(
        "beta_exchanged",
        "β and 1 − β are exchanged. β is the share of the old mean square that stays.",
        _rms(lambda r, g, b: (1 - b) * r + b * g**2),
        credit=0.3,
    ),
    Misconception(
        "sum_of_squares",
        "the squares are added up without forgetting, as in AdaGrad. Here the old mean square fades by β.",
        _rms(lambda r, g, b: r + g**2),
        credit=0.3,
    ),
    Misconception(
        "fading_sum",
        "the new square enters with its full weight. In an average it is weighted by 1 − β.",
        _rms(lambda r, g, b: b * r + g**2),
        credit=0.3,
    ),
    Misconception(
        "not_squared",
        "the gradient is averaged, not its square. Its signs then cancel.",
        _rms(lambda r, g, b: b * r + (1 - b) * g, step=lambda g, r, lr, eps: lr * g / (r.abs().sqrt() + eps)),
    ),
    Misconception(
        "not_squared_plain",
        "the gradient is averaged, not its square. Such an average can be negative, and has no root then: nan.",
        _rms(lambda r, g, b: b * r + (1 - b) * g),
    ),
    Misconception(
        "eps_forgotten",
        "ε is missing, or a number of your own in place of the argument. It keeps the quotient finite where r is zero.",
        _rms(step=lambda g, r, lr, eps: lr * g / r.sqrt()),
        credit=0.5,
    ),
    Misconception(
        "eps_as_floor",
        "ε as a lower limit of the root. It is added to it, always.",
        _rms(step=lambda g, r, lr, eps: lr * g / r.sqrt().clamp(min=eps)),
        credit=0.7,
    ),
    Misconception(
        "lr_forgotten", "the learning rate is not used.", _rms(step=lambda g, r, lr, eps: g / (r.sqrt() + eps))
    ),
    Misconception(
        "squared_twice",
        "1 − β is squared together with the gradient. It is a weight and stands outside the square.",
        _rms(lambda r, g, b: b * r + ((1 - b) * g) ** 2),
        credit=0.5,
    ),
    Misconception(
        "swapped", "the right two results in the wrong order.", lambda *args: rmsprop_step(*args)[::-1], credit=0.5
    ),
    Misconception(
        "root_for_gradient",
        "each gradient is divided by its own length, so every step is η long and only the sign is left. The root is that "
        "of r, which remembers earlier gradients.",
        _rms(step=lambda g, r, lr, eps: lr * g.sign()),
    ),
    Misconception(
        "sum_over_weights",
        "one number for all weights. Each weight has its own.",
        _rms(lambda r, g, b: b * r + (1 - b) * (g**2).sum()),
    ),
    Misconception(
        "absolute_value",
        "an average of absolute values. Root mean square: square, average, root.",
        _rms(lambda r, g, b: b * r + (1 - b) * g.abs(), step=lambda g, r, lr, eps: lr * g / (r + eps)),
        credit=0.3,
    ),
    Misconception(
        "root_stored",
        "the root is stored in r. What is kept, and averaged next time, is the mean square.",
        _rms(lambda r, g, b: (b * r + (1 - b) * g**2).sqrt(), step=lambda g, r, lr, eps: lr * g / (r + eps)),
        credit=0.3,
    ),
    Misconception(
        "multiplied",
        "the step is multiplied by the root. Steep weights should take shorter steps: divide.",
        _rms(step=lambda g, r, lr, eps: lr * g * (r.sqrt() + eps)),
    ),
    *(
        Misconception(
            name,
            "ε is added to the quotient, not to the root: a fraction line holds together what brackets must hold in code.",
            _rms(step=step),
            credit=0.5,
        )
        for name, step in {
            "precedence": lambda g, r, lr, eps: lr * g / r.sqrt().clamp(min=1e-12) + eps,
            "precedence_plain": lambda g, r, lr, eps: lr * g / r.sqrt().clamp(min=1e-12) - eps,  # w − … + ε
            "precedence_times_lr": lambda g, r, lr, eps: lr * (g / r.sqrt().clamp(min=1e-12) + eps),
        }.items()
    ),
    Misconception(
        "scalar_r",
        "one mean square for all weights. Each weight has its own.",
        _rms(lambda r, g, b: b * r + (1 - b) * (g**2).mean()),
    ),
    Misconception("sign", "w moves up the hill.", _rms(step=lambda g, r, lr, eps: -lr * g / (r.sqrt() + eps))),
    Misconception(
        "r_not_returned", "r is updated but not returned, so there is no memory.", _rms(returned=lambda r, new: r)
    ),
)


def _faulty(plus, root, late):
    return _rms(
        (lambda r, g, b: b * r + (1 + b) * g**2) if plus else None,
        None if root else (lambda g, r, lr, eps: lr * g / (r + eps)),
        old=late,
    )


LEFT = {
    "weights": "two weights that do not make an average",
    "root": "a quotient with the wrong units",
    "order": "an old value where the new one is needed",
}
BUGS = [
    Misconception(
        f"left_{'_'.join(names)}",
        f"not all is repaired. Still there: {'; '.join(LEFT[n] for n in names)}.",
        _faulty("weights" in names, "root" not in names, "order" in names),
        credit=0.5 if len(names) == 1 else 0.0,
    )
    for size in (1, 2, 3)
    for names in combinations(LEFT, size)
]
BUGS.append(
    Misconception("eps_inside", _INSIDE, _rms(step=lambda g, r, lr, eps: lr * g / (r + eps).sqrt()), credit=0.7)
)
_BROKEN = (
    "not_squared not_squared_plain beta_exchanged sign eps_forgotten eps_as_floor precedence precedence_plain "
    "precedence_times_lr root_stored sum_of_squares fading_sum r_not_returned swapped"
)
BUGS += [  # what was right before and is not any more
    Misconception(m.name, f"a new mistake: {m.message}", m.wrong, m.credit)
    for m in RMSPROP
    if m.name in _BROKEN.split()
]


# --- first_step_size ---------------------------------------------------------------------------------------------


def first_step_size(lr, beta):
    return lr / math.sqrt(1 - beta)


def first_cases(random):
    draws = [(round(random.uniform(0.01, 0.3), 3), round(random.uniform(*r), 3)) for r in [(0.88, 0.95), (0.3, 0.6)]]
    rows = [*draws, (round(random.uniform(0.01, 0.3), 3), 0.99)]
    return [{"args": {"lr": lr, "beta": beta}, "text": f"lr={lr}, beta={beta}"} for lr, beta in rows]


FIRST = (
    Misconception(
        "lr", "the learning rate alone. After one step r is not yet the square of the gradient.", lambda lr, b: lr
    ),
    Misconception("no_root", "r after one step, but not its root.", lambda lr, b: lr / (1 - b), credit=0.5),
    Misconception(
        "inverse",
        "the root above the line. The step is divided by the root of r.",
        lambda lr, b: lr * math.sqrt(1 - b),
        credit=0.3,
    ),
    Misconception(
        "beta_for_rest",
        "the share β. The first square enters with the weight 1 − β.",
        lambda lr, b: lr / math.sqrt(b),
        credit=0.3,
    ),
    Misconception(
        "share",
        "the share 1 − β as a factor. That is by how much r falls short; the step divides, and by a root.",
        lambda lr, b: lr * (1 - b),
        credit=0.3,
    ),
    Misconception(
        "one_plus_beta",
        "1 + β, as in the lecture notes' average. The two weights of an average add up to 1.",
        lambda lr, b: lr / math.sqrt(1 + b),
        credit=0.3,
    ),
    Misconception("divided_by_beta", "β itself, and no root. What weight has the first square?", lambda lr, b: lr / b),
    Misconception(
        "root_of_beta_subtracted",
        "the root of β alone. It is r that stands under the root, with all that belongs to it.",
        lambda lr, b: lr / (1 - math.sqrt(b)),
        credit=0.3,
    ),
    Misconception(
        "root_of_all",
        "the learning rate stands under the root, too.",
        lambda lr, b: math.sqrt(lr / (1 - b)),
        credit=0.3,
    ),
    Misconception(
        "ten_times",
        "ten times the learning rate. That is so for PyTorch's default of β only.",
        lambda lr, b: 10 * lr,
        credit=0.3,
    ),
    Misconception(
        "negative", "a negative number. A length has no direction.", lambda lr, b: -lr / math.sqrt(1 - b), credit=0.5
    ),
    Misconception(
        "factor", "the factor alone, without the learning rate.", lambda lr, b: 1 / math.sqrt(1 - b), credit=0.5
    ),
)


def _rule(reference, points, arguments, returns, cases, misconceptions):
    return Exercise(
        reference.__name__,
        notebook=NOTEBOOK,
        points=points,
        observer="steps",
        settings={"arguments": arguments.split(), "returns": returns.split()},
        cases=cases,
        reference=reference,
        misconceptions=misconceptions,
        rtol=1e-5,
    )


def find_the_bug(w, grad, r, lr, beta, eps):
    return rmsprop_step(w, grad, r, lr, beta, eps)


EXERCISES = [
    _rule(gain_step, 3, "w grad last_grad gain lr beta", "w gain", gain_cases, GAINS),
    _rule(rmsprop_step, 3, "w grad r lr beta eps", "w r", rmsprop_cases, RMSPROP),
    Exercise(
        "first_step_size",
        notebook=NOTEBOOK,
        points=1,
        observer="values",
        settings={"arguments": ["lr", "beta"]},
        cases=first_cases,
        reference=first_step_size,
        misconceptions=FIRST,
    ),
    _rule(find_the_bug, 2, "w grad r lr beta eps", "w r", rmsprop_cases, tuple(BUGS)),
]
