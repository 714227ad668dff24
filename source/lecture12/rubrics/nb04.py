"""Rubric of 04_momentum_nesterov."""

import math

import torch

from lecture_utils.checks.cases import dropping, stepping
from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "04_momentum_nesterov"


# --- momentum_step -----------------------------------------------------------------------------------------------


def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - delta, delta


def _torch_form(w, grad, delta, lr, alpha):
    delta = alpha * delta + grad
    return w - lr * delta, delta


def _ema_form(w, grad, delta, lr, alpha):
    delta = alpha * delta + (1 - alpha) * grad
    return w - lr * delta, delta


def _ema_lr_inside(w, grad, delta, lr, alpha):
    delta = alpha * delta + (1 - alpha) * lr * grad
    return w - delta, delta


def _uphill(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w + delta, delta


def _old_velocity(w, grad, delta, lr, alpha):
    return w - delta, alpha * delta + lr * grad


def _not_returned(w, grad, delta, lr, alpha):
    new = alpha * delta + lr * grad
    return w - new, delta


def _only_w(w, grad, delta, lr, alpha):
    return w - (alpha * delta + lr * grad)


def _alpha_on_gradient(w, grad, delta, lr, alpha):
    delta = delta + alpha * lr * grad
    return w - delta, delta


def _alpha_on_both(w, grad, delta, lr, alpha):
    delta = alpha * (delta + lr * grad)
    return w - delta, delta


def _extra_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - delta - lr * grad, delta


def _lr_twice(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - lr * delta, delta


def _lr_on_all(w, grad, delta, lr, alpha):
    delta = lr * (alpha * delta + grad)
    return w - delta, delta


def _friction(w, grad, delta, lr, alpha):
    delta = (1 - alpha) * delta + lr * grad
    return w - delta, delta


def _no_memory(w, grad, delta, lr, alpha):
    delta = lr * grad
    return w - delta, delta


def _no_velocity(w, grad, delta, lr, alpha):
    return w - lr * grad, delta


def _negative_velocity(w, grad, delta, lr, alpha):
    delta = alpha * delta - lr * grad
    return w + delta, delta


def _opposed(w, grad, delta, lr, alpha):
    delta = alpha * delta - lr * grad
    return w - delta, delta


def _swapped(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return delta, w - delta


def _velocity_without_gradient(w, grad, delta, lr, alpha):
    return w - alpha * delta - lr * grad, alpha * delta


def _shrunk_again(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - alpha * delta, delta


_LR_OUTSIDE = (
    "the form of torch.optim: the learning rate stands outside the velocity. The lecture puts it inside, "
    "so that the velocity is itself a step. At a constant rate both walk the same path; after a drop they do not."
)
_AVERAGE = (
    "an average instead of a sum: the new gradient is weighted by 1 − α. In the lecture's form it enters with "
    "its full weight, and so the weights add up to 1/(1 − α), not to 1."
)
_LOST = "the velocity is computed but not returned, so every step starts from the old one."
_ONE_RESULT = (
    "only one result comes back. The velocity must be returned beside w: it is all that the next step remembers."
)

MOMENTUM = (
    Misconception("torch_form", _LR_OUTSIDE, _torch_form, credit=0.5),
    Misconception("ema", _AVERAGE, _ema_form, credit=0.3),
    Misconception("ema_lr_inside", _AVERAGE, _ema_lr_inside, credit=0.3),
    Misconception("sign", "w moves up the hill. The velocity is a step to be subtracted.", _uphill),
    Misconception(
        "opposed",
        "the gradient enters the velocity with the wrong sign: where both point the same way, they should add up.",
        _opposed,
    ),
    Misconception(
        "negative_velocity",
        "a velocity of the opposite sign, as in many books (v = αv − η∇L, w = w + v). It walks the same path from rest, "
        "but here the velocity that comes in is one that is subtracted.",
        _negative_velocity,
        credit=0.5,
    ),
    Misconception("velocity_not_returned", _LOST, _not_returned),
    Misconception("only_w_returned", _ONE_RESULT, _only_w),
    Misconception(
        "old_velocity",
        "w is moved by the velocity that came in. It should already feel the gradient of this step.",
        _old_velocity,
    ),
    Misconception(
        "alpha_on_gradient",
        "α weights the new gradient and lets the old velocity live for ever. α is the share of the velocity that survives.",
        _alpha_on_gradient,
    ),
    Misconception(
        "alpha_on_both",
        "α shrinks the new gradient too. It is the share of the old velocity that survives.",
        _alpha_on_both,
    ),
    Misconception(
        "extra_step", "the gradient is used twice: inside the velocity and once more by itself.", _extra_step
    ),
    Misconception("lr_twice", "the learning rate is applied twice: inside the velocity and again to it.", _lr_twice),
    Misconception(
        "lr_on_velocity",
        "the learning rate scales the old velocity too. That one was scaled when it was made.",
        _lr_on_all,
    ),
    Misconception(
        "friction",
        "α and 1 − α are exchanged: with α = 0.9 nine tenths of the velocity should survive a step.",
        _friction,
    ),
    Misconception("no_memory", "the old velocity has no effect: this is plain gradient descent.", _no_memory),
    Misconception(
        "no_velocity",
        "a step of plain gradient descent, with the velocity handed back as it came. It moves w, and it changes in each step.",
        _no_velocity,
    ),
    Misconception(
        "velocity_without_gradient",
        "w moves as it should, but the velocity that is returned has not felt this gradient. The step itself is the velocity.",
        _velocity_without_gradient,
        credit=0.3,
    ),
    Misconception("shrunk_again", "the finished velocity is shrunk by α once more before w moves.", _shrunk_again),
    Misconception("swapped", "the right two results in the wrong order.", _swapped, credit=0.5),
)


def momentum_cases(random):
    lr, alpha = round(random.uniform(0.05, 0.3), 2), round(random.uniform(0.6, 0.95), 2)
    moving = {"delta": (-0.5, 0.5)}
    return [
        stepping(random, moving, {"lr": dropping(lr), "alpha": alpha}),
        stepping(random, {"delta": 0.0}, {"lr": lr, "alpha": 0.5}, shapes=((2, 3), (2,)), dtype="float32"),
        stepping(random, moving, {"lr": round(lr / 2, 3), "alpha": 0.99}, shapes=((), (4,))),
    ]


# --- velocity_weights --------------------------------------------------------------------------------------------


def velocity_weights(alpha, steps):
    return alpha ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)


def _powers(alpha, start, stop):
    """α^start … α^(stop − 1), newest first."""
    return alpha ** torch.arange(start, stop, dtype=torch.float64)


def weights_cases(random):
    draws = [(round(random.uniform(0.3, 0.95), 2), random.randint(3, 6)) for _ in range(3)]
    return [{"args": {"alpha": a, "steps": n}, "text": f"alpha={a}, steps={n}"} for a, n in [*draws, (0.9, 1)]]


# --- torch_momentum_step -----------------------------------------------------------------------------------------


def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else momentum * buf + (1 - dampening) * grad
    return w - lr * buf, buf


def _lecture_form(w, grad, buf, lr, momentum, dampening):
    buf = lr * grad if buf is None else momentum * buf + lr * (1 - dampening) * grad
    return w - buf, buf


def _dampened_first(w, grad, buf, lr, momentum, dampening):
    buf = (1 - dampening) * grad if buf is None else momentum * buf + (1 - dampening) * grad
    return w - lr * buf, buf


def _dampened_buffer(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else (1 - dampening) * momentum * buf + grad
    return w - lr * buf, buf


def _dampening_multiplies(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else momentum * buf + dampening * grad
    return w - lr * buf, buf


def _dampening_ignored(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else momentum * buf + grad
    return w - lr * buf, buf


def _dampened_by_lr(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else momentum * buf + (1 - lr) * grad
    return w - lr * buf, buf


def _first_step_skipped(w, grad, buf, lr, momentum, dampening):
    if buf is None:
        return w, torch.zeros_like(w)
    buf = momentum * buf + (1 - dampening) * grad
    return w - lr * buf, buf


def _first_counted_twice(w, grad, buf, lr, momentum, dampening):
    buf = momentum * (grad if buf is None else buf) + (1 - dampening) * grad
    return w - lr * buf, buf


def _torch_uphill(w, grad, buf, lr, momentum, dampening):
    buf = grad if buf is None else momentum * buf + (1 - dampening) * grad
    return w + lr * buf, buf


_FIRST = (
    "the buffer starts from zeros, so the first gradient is dampened. PyTorch's buffer is the first gradient, whole; "
    "dampening begins with the second step."
)

TORCH = (
    Misconception(
        "lecture_form",
        "the lecture's form, with the learning rate inside the buffer. In torch.optim it stands outside.",
        _lecture_form,
        credit=0.5,
    ),
    Misconception("dampened_first_step", _FIRST, _dampened_first, credit=0.6),
    Misconception(
        "first_step_skipped",
        "without a buffer nothing moves. The first step is a step: only there is nothing yet to remember.",
        _first_step_skipped,
    ),
    Misconception(
        "first_counted_twice",
        "the first gradient is counted twice: it becomes the buffer, and is then added to it once more.",
        _first_counted_twice,
    ),
    Misconception(
        "dampening_on_buffer",
        "dampening shrinks the remembered buffer. It is meant for the new gradient.",
        _dampened_buffer,
    ),
    Misconception(
        "dampening_multiplies",
        "dampening is used as the share of the gradient that is kept. It is the share that is taken away.",
        _dampening_multiplies,
    ),
    Misconception(
        "dampening_is_lr",
        "the gradient is dampened by the learning rate. The notes say so, and they are wrong: the two are unrelated.",
        _dampened_by_lr,
    ),
    Misconception("dampening_ignored", "dampening has no effect: try a value other than 0.", _dampening_ignored),
    Misconception("sign", "w moves up the hill.", _torch_uphill),
)


def torch_cases(random):
    lr, momentum, dampening = (round(random.uniform(*r), 2) for r in [(0.05, 0.3), (0.6, 0.95), (0.2, 0.8)])
    first, later = {"buf": None}, {"buf": (-1.0, 1.0)}
    return [
        stepping(random, first, {"lr": dropping(lr), "momentum": momentum, "dampening": dampening}),
        stepping(random, later, {"lr": lr, "momentum": 0.5, "dampening": 0.3}, shapes=((2, 2), ())),
        stepping(random, first, {"lr": lr, "momentum": momentum, "dampening": 0.0}, shapes=((4,),), dtype="float32"),
    ]


# --- nesterov_step -----------------------------------------------------------------------------------------------


def nesterov_step(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w - alpha * delta)
    return w - delta, delta


def _at_w(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w)
    return w - delta, delta


def _wrong_side(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w + alpha * delta)
    return w - delta, delta


def _look_ahead_kept(w, grad_fn, delta, lr, alpha):
    w = w - alpha * delta
    delta = alpha * delta + lr * grad_fn(w)
    return w - delta, delta


def _alpha_twice(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w - alpha * alpha * delta)
    return w - delta, delta


def _whole_velocity(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w - delta)
    return w - delta, delta


def _alpha_on_step(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + lr * grad_fn(w - alpha * delta)
    return w - alpha * delta, delta


def _torch_nesterov(w, grad_fn, delta, lr, alpha):
    grad = grad_fn(w)
    delta = alpha * delta + lr * grad
    return w - (alpha * delta + lr * grad), delta


def _nesterov_lr_outside(w, grad_fn, delta, lr, alpha):
    delta = alpha * delta + grad_fn(w - alpha * delta)
    return w - lr * delta, delta


def _nesterov_lost(w, grad_fn, delta, lr, alpha):
    new = alpha * delta + lr * grad_fn(w - alpha * delta)
    return w - new, delta


def _nesterov_only_w(w, grad_fn, delta, lr, alpha):
    return w - (alpha * delta + lr * grad_fn(w - alpha * delta))


def _velocity_forgets(w, grad_fn, delta, lr, alpha):
    step = lr * grad_fn(w - alpha * delta)
    return w - alpha * delta - step, step


def _nesterov_swapped(w, grad_fn, delta, lr, alpha):
    return nesterov_step(w, grad_fn, delta, lr, alpha)[::-1]


def _look_ahead_without_memory(w, grad_fn, delta, lr, alpha):
    delta = lr * grad_fn(w - alpha * delta)
    return w - delta, delta


NESTEROV = (
    Misconception(
        "gradient_at_w",
        "ordinary momentum: the gradient is taken where we stand. Nesterov first looks where the velocity will carry us.",
        _at_w,
    ),
    Misconception(
        "wrong_side",
        "the gradient is taken behind us. The velocity is subtracted from w: that tells on which side `ahead` is.",
        _wrong_side,
        credit=0.5,
    ),
    Misconception(
        "look_ahead_kept",
        "the look-ahead point is kept as the new start, so the old velocity moves w twice. It is only a place to look from.",
        _look_ahead_kept,
    ),
    Misconception(
        "alpha_twice",
        "α is applied twice on the way to the look-ahead point; the velocity shrinks by α once.",
        _alpha_twice,
    ),
    Misconception(
        "whole_velocity",
        "the look-ahead point lies a whole velocity ahead. Only the share α of it survives into this step.",
        _whole_velocity,
        credit=0.5,
    ),
    Misconception("alpha_on_step", "the finished step is shrunk by α once more before w moves.", _alpha_on_step),
    Misconception(
        "torch_form",
        "the form of torch.optim, which stores the look-ahead point in place of w. A right algorithm, "
        "but not the one asked for: here w is the point itself.",
        _torch_nesterov,
        credit=0.5,
    ),
    Misconception("lr_outside", _LR_OUTSIDE, _nesterov_lr_outside, credit=0.5),
    Misconception("velocity_not_returned", _LOST, _nesterov_lost),
    Misconception("only_w_returned", _ONE_RESULT, _nesterov_only_w),
    Misconception(
        "velocity_forgets",
        "w moves as it should, but only the gradient's part of the step is returned as the velocity.",
        _velocity_forgets,
        credit=0.3,
    ),
    Misconception("swapped", "the right two results in the wrong order.", _nesterov_swapped, credit=0.5),
    Misconception(
        "no_memory", "the old velocity chooses where to look, but does not move w any more.", _look_ahead_without_memory
    ),
)


def nesterov_cases(random):
    lr, alpha = round(random.uniform(0.05, 0.3), 2), round(random.uniform(0.6, 0.95), 2)
    moving = {"delta": (-0.5, 0.5)}
    return [
        stepping(random, moving, {"lr": dropping(lr), "alpha": alpha}, gradient="function"),
        stepping(
            random, {"delta": 0.0}, {"lr": lr, "alpha": 0.8}, ((2, 2), (2,)), dtype="float32", gradient="function"
        ),
        stepping(random, moving, {"lr": lr, "alpha": 0.99}, ((), (4,)), gradient="function"),
    ]


# --- spectral_radius, best_momentum, effective_learning_rate -----------------------------------------------------


def _eigenvalues(lr, alpha, curvature):
    """Of one step of momentum on ½hw²: the roots of z² − (1 + α − ηh) z + α."""
    half = (1 + alpha - lr * curvature) / 2
    root = complex(half * half - alpha) ** 0.5
    return half + root, half - root


def spectral_radius(lr, alpha, curvature):
    return max(abs(z) for z in _eigenvalues(lr, alpha, curvature))


def radius_cases(random):
    # For each α one ηh in the oscillating region, one below it, one above, one that diverges; never near a double root,
    # where a float32 eigenvalue is only good to 3 digits.
    rows = []
    for alpha in (0.0, round(random.uniform(0.3, 0.6), 2), round(random.uniform(0.8, 0.95), 2)):
        low, high = (1 - math.sqrt(alpha)) ** 2, (1 + math.sqrt(alpha)) ** 2
        spots = [0.5 * low, 0.5 * (low + high), high + 0.3 * (2 * (1 + alpha) - high), 2 * (1 + alpha) * 1.2]
        for spot in spots if alpha else (0.5, 1.6, 2.5):
            curvature = random.choice([0.5, 2.0, 5.0])
            rows.append({"lr": round(spot / curvature, 4), "alpha": alpha, "curvature": curvature})
    return [{"args": row, "text": ", ".join(f"{k}={v}" for k, v in row.items())} for row in rows]


def best_momentum(kappa):
    return ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2


def kappa_cases(random):
    return [
        {"args": {"kappa": k}, "text": f"kappa={k}"}
        for k in [100.0, 1.0, *(round(random.uniform(2, 900), 1) for _ in range(3))]
    ]


def rate_cases(random):
    rows = [
        (0.1, 0.9),
        (0.5, 0.0),
        *((round(random.uniform(0.01, 1), 3), round(random.uniform(0.3, 0.99), 2)) for _ in range(3)),
    ]
    return [{"args": {"lr": lr, "alpha": a}, "text": f"lr={lr}, alpha={a}"} for lr, a in rows]


EXERCISES = [
    Exercise(
        "momentum_step",
        NOTEBOOK,
        points=3,
        observer="steps",
        settings={"arguments": ["w", "grad", "delta", "lr", "alpha"], "returns": ["w", "delta"]},
        cases=momentum_cases,
        reference=momentum_step,
        misconceptions=MOMENTUM,
        rtol=1e-5,
    ),
    Exercise(
        "velocity_weights",
        NOTEBOOK,
        points=2,
        observer="values",
        settings={"arguments": ["alpha", "steps"]},
        cases=weights_cases,
        reference=velocity_weights,
        rtol=1e-5,
        misconceptions=(
            Misconception(
                "ema",
                "the weights of an average, which add up to 1. The velocity is a sum: the newest gradient has weight 1.",
                lambda alpha, steps: (1 - alpha) * velocity_weights(alpha, steps),
                credit=0.3,
            ),
            Misconception(
                "newest_first",
                "the right weights, newest gradient first. The oldest is asked for first.",
                lambda alpha, steps: _powers(alpha, 0, steps),
                credit=0.5,
            ),
            Misconception(
                "off_by_one",
                "one factor of α too many everywhere: the newest gradient has not been through any shrinking yet.",
                lambda alpha, steps: _powers(alpha, 1, steps + 1).flip(0),
            ),
            Misconception(
                "off_by_one_newest_first",
                "newest gradient first, and one factor of α too many everywhere.",
                lambda alpha, steps: _powers(alpha, 1, steps + 1),
            ),
            Misconception(
                "too_many",
                "one weight too many: after `steps` steps there are as many gradients as steps.",
                lambda alpha, steps: _powers(alpha, 0, steps + 1).flip(0),
            ),
            Misconception(
                "running_sum",
                "running totals of the weights, not the weights themselves.",
                lambda alpha, steps: _powers(alpha, 0, steps).cumsum(0),
            ),
            Misconception(
                "normalised",
                "weights scaled to add up to 1. The velocity is a sum, not an average.",
                lambda alpha, steps: velocity_weights(alpha, steps) / velocity_weights(alpha, steps).sum(),
                credit=0.3,
            ),
        ),
    ),
    Exercise(
        "torch_momentum_step",
        NOTEBOOK,
        points=3,
        observer="steps",
        settings={"arguments": ["w", "grad", "buf", "lr", "momentum", "dampening"], "returns": ["w", "buf"]},
        cases=torch_cases,
        reference=torch_momentum_step,
        misconceptions=TORCH,
        rtol=1e-5,
    ),
    Exercise(
        "nesterov_step",
        NOTEBOOK,
        points=3,
        observer="steps",
        settings={"arguments": ["w", "grad_fn", "delta", "lr", "alpha"], "returns": ["w", "delta"]},
        cases=nesterov_cases,
        reference=nesterov_step,
        misconceptions=NESTEROV,
        rtol=1e-5,
    ),
    Exercise(
        "spectral_radius",
        NOTEBOOK,
        points=3,
        observer="values",
        settings={"arguments": ["lr", "alpha", "curvature"]},
        cases=radius_cases,
        reference=spectral_radius,
        rtol=1e-4,
        misconceptions=(
            Misconception(
                "real_part",
                "the real part of an eigenvalue. Where the eigenvalues are complex, how far they are from zero counts: "
                "their length.",
                lambda lr, alpha, curvature: max(abs(z.real) for z in _eigenvalues(lr, alpha, curvature)),
            ),
            Misconception(
                "largest_real_part",
                "the eigenvalue furthest to the right. One of −1.3 diverges too: the length counts, not the sign.",
                lambda lr, alpha, curvature: max(z.real for z in _eigenvalues(lr, alpha, curvature)),
            ),
            Misconception(
                "smallest",
                "the smaller of the two eigenvalues. In the long run the slowest part of the error is what is left.",
                lambda lr, alpha, curvature: min(abs(z) for z in _eigenvalues(lr, alpha, curvature)),
            ),
            Misconception(
                "gradient_descent",
                "the factor of gradient descent, |1 − ηh|. With a velocity there are two numbers to follow, and a 2×2 matrix.",
                lambda lr, alpha, curvature: abs(1 - lr * curvature),
            ),
            Misconception(
                "sqrt_alpha",
                "√α everywhere. That holds where the eigenvalues are complex; elsewhere they are real and one is larger.",
                lambda lr, alpha, curvature: math.sqrt(alpha),
                credit=0.3,
            ),
            Misconception(
                "symmetric_solver",
                "the eigenvalues of another matrix: a solver for symmetric ones (eigh) reads only one half of this one, "
                "which is not symmetric.",
                lambda lr, alpha, curvature: (
                    torch.linalg.eigvalsh(
                        torch.tensor([[1 - lr * curvature, -alpha], [lr * curvature, alpha]], dtype=torch.float64)
                    )
                    .abs()
                    .max()
                ),
            ),
            Misconception(
                "determinant",
                "the product of the two eigenvalues, which is the determinant.",
                lambda lr, alpha, curvature: alpha,
            ),
            Misconception(
                "largest_singular_value",
                "the largest singular value (a matrix norm). One step can stretch by that much; what remains in the long "
                "run is governed by the eigenvalues.",
                lambda lr, alpha, curvature: float(
                    torch.linalg.matrix_norm(
                        torch.tensor([[1 - lr * curvature, -alpha], [lr * curvature, alpha]], dtype=torch.float64), 2
                    )
                ),
            ),
        ),
    ),
    Exercise(
        "best_momentum",
        NOTEBOOK,
        points=2,
        observer="values",
        settings={"arguments": ["kappa"]},
        cases=kappa_cases,
        reference=best_momentum,
        rtol=1e-5,
        misconceptions=(
            Misconception(
                "not_squared",
                "the best *rate of convergence*, √α. The momentum that gives this rate is its square.",
                lambda kappa: (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1),
                credit=0.5,
            ),
            Misconception(
                "kappa_for_root",
                "κ where √κ belongs: (κ − 1)/(κ + 1) is the best that gradient descent without momentum can do.",
                lambda kappa: ((kappa - 1) / (kappa + 1)) ** 2,
            ),
            Misconception(
                "gradient_descent_rate",
                "κ where √κ belongs: (κ − 1)/(κ + 1) is the best that gradient descent without momentum can do.",
                lambda kappa: (kappa - 1) / (kappa + 1),
            ),
            Misconception(
                "inverse",
                "numerator and denominator exchanged: a momentum above 1 would speed up for ever.",
                lambda kappa: ((math.sqrt(kappa) + 1) / (math.sqrt(kappa) - 1)) ** 2,
            ),
        ),
    ),
    Exercise(
        "effective_learning_rate",
        NOTEBOOK,
        points=1,
        observer="values",
        settings={"arguments": ["lr", "alpha"]},
        cases=rate_cases,
        reference=lambda lr, alpha: lr / (1 - alpha),
        rtol=1e-5,
        misconceptions=(
            Misconception(
                "multiplied",
                "a rate that shrinks with α. A velocity that remembers more takes longer steps.",
                lambda lr, alpha: lr * (1 - alpha),
            ),
            Misconception(
                "over_alpha",
                "a division by α itself. What matters is what the friction, 1 − α, takes away in each step.",
                lambda lr, alpha: lr / alpha,
            ),
            Misconception(
                "only_the_momentum_part",
                "a product with α: a smaller rate. With α = 0 nothing would move.",
                lambda lr, alpha: lr * alpha,
            ),
            Misconception(
                "upside_down", "the right two numbers, divided the wrong way round.", lambda lr, alpha: (1 - alpha) / lr
            ),
            Misconception(
                "one_step_back",
                "only one step of memory. The velocity remembers all of them: add up 1 + α + α² + …",
                lambda lr, alpha: lr * (1 + alpha),
                credit=0.3,
            ),
            Misconception(
                "unchanged", "the learning rate as it was given: momentum makes it larger.", lambda lr, alpha: lr
            ),
        ),
    ),
]
