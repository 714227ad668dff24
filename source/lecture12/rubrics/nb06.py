"""Rubric of 06_adam."""

import math

import torch

from lecture_utils.checks.cases import dropping, numbers, stepping
from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "06_adam"


# --- adam_step ---------------------------------------------------------------------------------------------------


def _adam(
    *,
    c1=lambda b, t: 1 - b**t,
    c2=lambda b, t: 1 - b**t,
    first=lambda m, g, b: b * m + (1 - b) * g,
    second=lambda r, g, b: b * r + (1 - b) * g**2,
    step=lambda m, r, lr, eps: lr * m / (r.sqrt() + eps),
    swap=False,
    t_used=1,
    t_back=1,
    store="",
    old_m=False,
):
    """An adam_step that differs in one place."""

    def rule(w, grad, m, r, t, lr, beta1, beta2, eps):
        if swap:
            beta1, beta2 = beta2, beta1
        used, before = t + t_used, m
        m, r = first(m, grad, beta1), second(r, grad, beta2)
        m_hat, r_hat = (before if old_m else m) / c1(beta1, used), r / c2(beta2, used)
        w = w - step(m_hat, r_hat, lr, eps)
        return w, m_hat if "m" in store else m, r_hat if "r" in store else r, t + t_back

    return rule


adam_step = _adam()
adam_step.__name__ = "adam_step"


def _one(b, t):
    return 1.0


def _short_form(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m, r = beta1 * m + (1 - beta1) * grad, beta2 * r + (1 - beta2) * grad**2
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
    return w - rate * m / (r.sqrt() + eps), m, r, t


def _only_w(w, grad, m, r, t, lr, beta1, beta2, eps):
    return adam_step(w, grad, m, r, t, lr, beta1, beta2, eps)[0], m, r, t + 1


def _one_beta(first):
    """Both corrections with the same β: the first or the second."""

    def rule(w, grad, m, r, t, lr, beta1, beta2, eps):
        b = beta1 if first else beta2
        return _adam(c1=lambda _, t: 1 - b**t, c2=lambda _, t: 1 - b**t)(w, grad, m, r, t, lr, beta1, beta2, eps)

    return rule


def _beta1_in_r(w, grad, m, r, t, lr, beta1, beta2, eps):
    return _adam(second=lambda r, g, b: b * r + (1 - beta1) * g**2)(w, grad, m, r, t, lr, beta1, beta2, eps)


def _corrected_too_early(w, grad, m, r, t, lr, beta1, beta2, eps):
    m_hat, r_hat = m / (1 - beta1 ** (t + 1)), r / (1 - beta2 ** (t + 1))
    _, *state = adam_step(w, grad, m, r, t, lr, beta1, beta2, eps)
    return w - lr * m_hat / (r_hat.sqrt() + eps), *state


def _exchanged(w, grad, m, r, t, lr, beta1, beta2, eps):
    w, m, r, t = adam_step(w, grad, m, r, t, lr, beta1, beta2, eps)
    return w, r, m, t


def _power_forgotten_m(b, t):
    return 1 - b


def adam_cases(random):
    lr = round(random.uniform(0.05, 0.2), 2)
    # A large ε and small β's: only there do its place and their mix-ups show beyond rounding.
    first = stepping(
        random,
        {"m": (-1.0, 1.0), "r": (0.2, 2.0), "t": 3},
        {"lr": dropping(lr, 7), "beta1": 0.7, "beta2": 0.9, "eps": 0.3},
        steps=7,
    )
    first["start"][0]["r"][0], first["grads"][0][0][0] = 0.01, 0.1  # a root below ε: there a lower limit differs
    return [
        first,
        stepping(
            random,
            {"m": 0.0, "r": 0.0, "t": 0},
            {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
            shapes=((2, 3), (4,)),
        ),
        stepping(
            random,
            {"m": 0.0, "r": 0.0, "t": 0},
            {"lr": lr, "beta1": 0.8, "beta2": 0.95, "eps": 0.1},
            steps=5,
            dtype="float32",
        ),
    ]


_POWER = "the correction divides by 1 − β in every step. It is 1 − β to the power t: close to 1 − β at first, close to 1 later."
_EPS = "ε is missing, or a number of your own in place of the argument. It keeps the quotient finite where r is zero."
_INSIDE = "ε inside the root. The paper, torch.optim.Adam, and this exercise add it after the root."
ADAM = (
    Misconception(
        "no_correction",
        "no bias correction. Both averages start at zero and are too small at first, r far longer than m.",
        _adam(c1=_one, c2=_one),
        credit=0.3,
    ),
    Misconception(
        "only_m_corrected",
        "only m is corrected. r starts at zero, too, and it is what you divide by.",
        _adam(c2=_one),
        credit=0.5,
    ),
    Misconception("only_r_corrected", "only r is corrected. m starts at zero, too.", _adam(c1=_one), credit=0.5),
    Misconception(
        "t_not_advanced",
        "t comes back as it went in, so every step is corrected like the first one.",
        _adam(t_back=0),
        credit=0.5,
    ),
    Misconception(
        "t_from_zero",
        "the correction uses t before it is advanced. In the first step that divides by 1 − β⁰ = 0.",
        _adam(t_used=0),
        credit=0.5,
    ),
    Misconception(
        "t_from_zero_guarded",
        "the correction uses the t that came in, raised to 1 where it is 0, so it lags one step behind. Count first, then "
        "correct.",
        _adam(c1=lambda b, t: 1 - b ** max(t, 1), c2=lambda b, t: 1 - b ** max(t, 1), t_used=0),
        credit=0.5,
    ),
    Misconception(
        "uncorrected_first_step",
        "the first step is not corrected, and the others by one step too few. Count first, then correct.",
        _adam(c1=lambda b, t: 1 - b**t if t else 1.0, c2=lambda b, t: 1 - b**t if t else 1.0, t_used=0),
        credit=0.5,
    ),
    Misconception(
        "t_one_ahead", "the correction is one step ahead: in the first step t is 1.", _adam(t_used=2), credit=0.5
    ),
    Misconception("t_twice", "t is advanced twice.", _adam(t_back=2), credit=0.5),
    Misconception("power_forgotten", _POWER, _adam(c1=_power_forgotten_m, c2=_power_forgotten_m), credit=0.3),
    Misconception("power_forgotten_in_m", _POWER, _adam(c1=_power_forgotten_m), credit=0.3),
    Misconception("power_forgotten_in_r", _POWER, _adam(c2=_power_forgotten_m), credit=0.3),
    Misconception(
        "power_of_the_rest",
        "1 − β as a whole is taken to the power t. That gets smaller from step to step; what an average falls short of 1 "
        "should vanish in time.",
        _adam(c1=lambda b, t: (1 - b) ** t, c2=lambda b, t: (1 - b) ** t),
        credit=0.3,
    ),
    Misconception(
        "times_t",
        "1 − βt, a product. The share that is missing is β to the power t.",
        _adam(c1=lambda b, t: 1 - b * t, c2=lambda b, t: 1 - b * t),
    ),
    Misconception(
        "betas_swapped", "the two β's are exchanged: β₁ belongs to m, β₂ to r.", _adam(swap=True), credit=0.3
    ),
    Misconception(
        "beta1_in_both",
        "β₁ in both averages. r has a memory of its own, β₂.",
        lambda w, grad, m, r, t, lr, beta1, beta2, eps: adam_step(w, grad, m, r, t, lr, beta1, beta1, eps),
        credit=0.3,
    ),
    *(
        Misconception(
            f"corrected{name}_stored",
            f"{what} comes back corrected, to be corrected again and again. Correct copies for the step; hand back the "
            "averages themselves.",
            _adam(store=store),
            credit=0.5,
        )
        for name, store, what in (("", "mr", "each moment"), ("_m", "m", "m"), ("_r", "r", "r"))
    ),
    Misconception("eps_inside", _INSIDE, _adam(step=lambda m, r, lr, eps: lr * m / (r + eps).sqrt()), credit=0.7),
    Misconception(
        "eps_squared_inside", _INSIDE, _adam(step=lambda m, r, lr, eps: lr * m / (r + eps**2).sqrt()), credit=0.7
    ),
    Misconception(
        "short_form",
        "the short form of the paper, with both corrections in the rate. The idea is right; only ε is scaled by the "
        "correction, too, so it differs where ε matters.",
        _short_form,
        credit=0.8,
    ),
    *(
        Misconception(
            name,
            "ε is added to the quotient, not to the root: what a fraction line holds together needs brackets in code.",
            _adam(step=step),
            credit=0.5,
        )
        for name, step in {
            "precedence": lambda m, r, lr, eps: lr * (m / r.sqrt().clamp(min=1e-12) + eps),
            "precedence_after_lr": lambda m, r, lr, eps: lr * m / r.sqrt().clamp(min=1e-12) + eps,
            "precedence_plain": lambda m, r, lr, eps: lr * m / r.sqrt().clamp(min=1e-12) - eps,  # w − … + ε
        }.items()
    ),
    Misconception(
        "no_root",
        "the step is divided by r itself. Its root has the units of a gradient.",
        _adam(step=lambda m, r, lr, eps: lr * m / (r + eps)),
        credit=0.3,
    ),
    Misconception(
        "gradient_for_m",
        "the gradient itself is used, not its average m: that is RMSProp.",
        lambda w, grad, m, r, t, lr, beta1, beta2, eps: (
            _adam(first=lambda m, g, b: g, c1=_one)(w, grad, m, r, t, lr, beta1, beta2, eps)[0],
            *adam_step(w, grad, m, r, t, lr, beta1, beta2, eps)[1:],
        ),
        credit=0.3,
    ),
    Misconception("old_m", "the step uses the m that came in. Update it first.", _adam(old_m=True), credit=0.3),
    Misconception(
        "not_squared",
        "r averages the gradient, not its square.",
        _adam(second=lambda r, g, b: b * r + (1 - b) * g, step=lambda m, r, lr, eps: lr * m / (r.abs().sqrt() + eps)),
    ),
    Misconception(
        "not_squared_plain",
        "r averages the gradient, not its square. Such an average can be negative, and has no root then: nan.",
        _adam(second=lambda r, g, b: b * r + (1 - b) * g),
    ),
    Misconception(
        "momentum_for_m",
        "m adds the gradient with its full weight, like the velocity of momentum. Here it is an average: 1 − β₁.",
        _adam(first=lambda m, g, b: b * m + g),
        credit=0.3,
    ),
    Misconception(
        "one_plus_beta",
        "the new square is weighted by 1 + β₂, as in the lecture notes. Two weights of an average add up to 1.",
        _adam(second=lambda r, g, b: b * r + (1 + b) * g**2),
        credit=0.3,
    ),
    Misconception("sign", "w moves up the hill.", _adam(step=lambda m, r, lr, eps: -lr * m / (r.sqrt() + eps))),
    *(
        Misconception(
            f"both_corrected_with_{name}",
            "both averages are corrected with the same β. Each one falls short by the power of its own.",
            _one_beta(name == "beta1"),
            credit=0.5,
        )
        for name in ("beta1", "beta2")
    ),
    Misconception(
        "beta1_in_r",
        "the new square is weighted by 1 − β₁. The two weights of an average add up to 1.",
        _beta1_in_r,
        credit=0.5,
    ),
    Misconception(
        "multiplied_by_the_shortfall",
        "the averages are multiplied by what they fall short, so they get smaller still. To make up for it, divide.",
        _adam(c1=lambda b, t: 1 / (1 - b**t), c2=lambda b, t: 1 / (1 - b**t)),
        credit=0.3,
    ),
    Misconception(
        "root_of_the_correction",
        "r is corrected with the root of 1 − β₂ᵗ, and then the root is taken of all. Correct first, one root after.",
        _adam(c2=lambda b, t: math.sqrt(1 - b**t)),
        credit=0.5,
    ),
    Misconception(
        "corrected_too_early",
        "the step uses averages that have not seen this gradient. Update m and r first, then correct, then step.",
        _corrected_too_early,
        credit=0.3,
    ),
    Misconception("exchanged", "m and r come back in each other's place.", _exchanged, credit=0.5),
    *(
        Misconception(
            f"order_{order}",
            "the right four results in the wrong order. The last line of the docstring gives the order.",
            lambda *args, order=order: tuple(dict(zip("wmrt", adam_step(*args), strict=True))[name] for name in order),
            credit=0.5,
        )
        for order in ("mrtw", "twmr", "mrwt")
    ),
    Misconception("eps_forgotten", _EPS, _adam(step=lambda m, r, lr, eps: lr * m / r.sqrt()), credit=0.5),
    Misconception("own_eps", _EPS, _adam(step=lambda m, r, lr, eps: lr * m / (r.sqrt() + 1e-8)), credit=0.5),
    Misconception(
        "eps_as_floor",
        "ε as a lower limit of the root. It is added to it, always.",
        _adam(step=lambda m, r, lr, eps: lr * m / r.sqrt().clamp(min=eps)),
        credit=0.7,
    ),
    Misconception(
        "lr_forgotten", "the learning rate is not used.", _adam(step=lambda m, r, lr, eps: m / (r.sqrt() + eps))
    ),
    Misconception(
        "absolute_value",
        "r averages absolute values. Root mean square: square, average, root.",
        _adam(second=lambda r, g, b: b * r + (1 - b) * g.abs()),
        credit=0.3,
    ),
    Misconception("state_not_returned", "m and r come back as they went in: there is no memory.", _only_w),
)


# --- bias_correction_overshoot -----------------------------------------------------------------------------------


def bias_correction_overshoot(t, beta1, beta2):
    return (1 - beta1**t) / torch.sqrt(1 - beta2**t)


def overshoot_cases(random):
    return [
        {
            "args": {"t": [1.0, 2.0, float(random.randint(5, 50)), 1000.0], "beta1": b1, "beta2": b2},
            "text": f"beta1={b1}, beta2={b2}",
        }
        for b1, b2 in [(0.9, 0.999), (0.8, 0.99), (0.95, 0.98)]
    ]


OVERSHOOT = (
    Misconception(
        "inverse",
        "corrected over uncorrected. Asked for is the uncorrected step, divided by the corrected one.",
        lambda t, a, b: torch.sqrt(1 - b**t) / (1 - a**t),
        credit=0.5,
    ),
    Misconception(
        "no_root",
        "the root is missing: the step divides by the root of r.",
        lambda t, a, b: (1 - a**t) / (1 - b**t),
        credit=0.5,
    ),
    Misconception(
        "only_m", "m alone. r is too small as well, and the step divides by its root.", lambda t, a, b: 1 - a**t
    ),
    Misconception("only_r", "r alone. m is too small as well.", lambda t, a, b: 1 / torch.sqrt(1 - b**t), credit=0.3),
    Misconception(
        "betas_swapped", "the β's are exchanged.", lambda t, a, b: (1 - b**t) / torch.sqrt(1 - a**t), credit=0.3
    ),
    Misconception(
        "product",
        "a product of both. One of them stands below the line.",
        lambda t, a, b: (1 - a**t) * torch.sqrt(1 - b**t),
    ),
    Misconception(
        "root_of_both",
        "a root over everything. Only r stands under a root.",
        lambda t, a, b: torch.sqrt((1 - a**t) / (1 - b**t)),
        credit=0.3,
    ),
    Misconception(
        "one_step_ahead",
        "right, for the step after this one: t counts from 1 already.",
        lambda t, a, b: (1 - a ** (t + 1)) / torch.sqrt(1 - b ** (t + 1)),
        credit=0.5,
    ),
    Misconception(
        "one_step_behind",
        "the step before this one. In the first step t is 1, and nothing is divided by zero.",
        lambda t, a, b: (1 - a ** (t - 1)) / torch.sqrt(1 - b ** (t - 1)),
        credit=0.5,
    ),
    Misconception(
        "what_is_missing",
        "the powers of β themselves: that share is missing. The step has the rest.",
        lambda t, a, b: a**t / torch.sqrt(b**t),
        credit=0.3,
    ),
    Misconception(
        "difference",
        "a difference. Asked for is how many times too long the step is.",
        lambda t, a, b: (1 - a**t) - torch.sqrt(1 - b**t),
    ),
    Misconception(
        "squared",
        "r's shortfall is squared. The step divides by its root.",
        lambda t, a, b: (1 - a**t) / (1 - b**t) ** 2,
        credit=0.3,
    ),
    Misconception(
        "power_forgotten",
        "the same number for every t: β to the power t is missing.",
        lambda t, a, b: torch.full_like(t, (1 - a) / (1 - b) ** 0.5),
        credit=0.3,
    ),
)


# --- adamw_step --------------------------------------------------------------------------------------------------


def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    return adam_step(w - lr * weight_decay * w, grad, m, r, t, lr, beta1, beta2, eps)


def _decayed(w_of, grad_of=lambda w, g, wd: g, after=lambda new, w, lr, wd: new):
    def rule(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
        new, *state = adam_step(
            w_of(w, lr, weight_decay), grad_of(w, grad, weight_decay), m, r, t, lr, beta1, beta2, eps
        )
        return after(new, w, lr, weight_decay), *state

    return rule


def adamw_cases(random):
    cases = adam_cases(random)
    for case, decay in zip(cases, (0.4, 0.1, 0.25), strict=True):
        case["hyper"]["weight_decay"] = decay
        case["text"] += f", weight_decay={decay}"
    return cases


def _same(w, lr, wd):
    return w


ADAMW = (
    Misconception(
        "l2_in_the_gradient",
        "the decay is added to the gradient. That is L2 regularisation: it passes through both averages and is divided by "
        "the root of r. Decoupled decay acts on w directly.",
        _decayed(_same, lambda w, g, wd: g + wd * w),
        credit=0.3,
    ),
    Misconception(
        "decay_without_lr",
        "the decay is not multiplied by the learning rate. In torch.optim.AdamW it is, so that a schedule shrinks both.",
        _decayed(lambda w, lr, wd: w - wd * w),
        credit=0.5,
    ),
    Misconception(
        "decay_after",
        "the decay acts on the weights after the step. It acts on the weights that came in.",
        _decayed(_same, after=lambda new, w, lr, wd: new - lr * wd * new),
        credit=0.7,
    ),
    Misconception("sign", "the decay makes the weights grow.", _decayed(lambda w, lr, wd: w + lr * wd * w), credit=0.3),
    Misconception("no_decay", "there is no weight decay: this is Adam.", _decayed(_same)),
    Misconception(
        "both_kinds",
        "the weights decay twice: by themselves, and through the gradient. Leave the gradient as it is.",
        _decayed(lambda w, lr, wd: w - lr * wd * w, lambda w, g, wd: g + wd * w),
        credit=0.5,
    ),
    Misconception(
        "l2_with_the_wrong_sign",
        "the decay is in the gradient, and makes the weights grow. Decoupled decay does not touch the gradient.",
        _decayed(_same, lambda w, g, wd: g - wd * w),
    ),
    Misconception(
        "half",
        "half of the decay. The gradient of λ/2 · w² has no ½ any more.",
        _decayed(lambda w, lr, wd: w - lr * wd / 2 * w),
        credit=0.5,
    ),
    Misconception(
        "lambda_forgotten",
        "the share is the learning rate alone. λ sets how strong the decay is.",
        _decayed(lambda w, lr, wd: w - lr * w),
        credit=0.3,
    ),
    Misconception(
        "squared",
        "the square of the weight is taken away. A decay takes a share of the weight itself.",
        _decayed(lambda w, lr, wd: w - lr * wd * w**2),
    ),
    Misconception(
        "sign_of_w",
        "the same amount is taken from every weight. A decay takes a share.",
        _decayed(lambda w, lr, wd: w - lr * wd * w.sign()),
    ),
    Misconception(
        "t_twice",
        "t is advanced twice. adam_step counts it up already.",
        lambda w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay: adamw_step(
            w, grad, m, r, t + 1, lr, beta1, beta2, eps, weight_decay
        ),
        credit=0.5,
    ),
    Misconception(
        "t_twice_after",
        "t is advanced twice. adam_step counts it up already.",
        lambda *args: (*(result := adamw_step(*args))[:3], result[3] + 1),
        credit=0.5,
    ),
    Misconception(
        "constant",
        "the same amount is taken from every weight. A decay takes a share.",
        _decayed(lambda w, lr, wd: w - lr * wd),
    ),
    Misconception(
        "only_decay_share",
        "w keeps only the share lr · weight_decay. That is what is taken away.",
        _decayed(lambda w, lr, wd: lr * wd * w),
    ),
    Misconception(
        "state_not_returned",
        "m and r come back as they went in: there is no memory.",
        lambda w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay: (
            adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay)[0],
            m,
            r,
            t + 1,
        ),
    ),
    Misconception(
        "nothing_returned",
        "m, r and t come back as they went in: there is no memory.",
        lambda w, grad, m, r, t, *rest: (adamw_step(w, grad, m, r, t, *rest)[0], m, r, t),
    ),
)


# --- MyAdam ------------------------------------------------------------------------------------------------------


class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.prepare()

    def prepare(self):
        pass

    def rate(self, group):
        return group["lr"]

    def gradient(self, p):
        return p.grad

    def groups(self):
        return self.param_groups

    def remembered(self, p):
        return self.state[p]

    def numbers(self, group):
        return group["betas"], group["eps"]

    def count(self, state, group):
        state["t"] = state.get("t", 0) + 1
        return state["t"]

    def move(self, p, step):
        p -= step

    def root(self, r_hat, eps):
        return r_hat.sqrt() + eps

    @torch.no_grad()
    def step(self):
        for group in self.groups():
            (beta1, beta2), eps = self.numbers(group)
            for p in group["params"]:
                grad = self.gradient(p)
                if grad is None:
                    continue
                state, zero = self.remembered(p), torch.zeros_like(p)
                t = self.count(state, group)
                state["m"] = beta1 * state.get("m", zero) + (1 - beta1) * grad
                state["r"] = beta2 * state.get("r", zero) + (1 - beta2) * grad**2
                root = self.root(state["r"] / (1 - beta2**t), eps)
                self.move(p, self.rate(group) * state["m"] / (1 - beta1**t) / root)


class _NoneAsZero(MyAdam):
    def gradient(self, p):
        return torch.zeros_like(p) if p.grad is None else p.grad


class _OneCounter(MyAdam):
    def prepare(self):
        self.t = 0

    def count(self, state, group):
        self.t += 1  # for every parameter again
        state["t"] = self.t
        return self.t


class _CounterLost(MyAdam):
    """One t per step, as it should be, but as an attribute that state_dict does not save."""

    def prepare(self):
        self.t = 0

    def count(self, state, group):
        return self.t

    def step(self):
        self.t += 1
        return super().step()


class _CounterInGroup(MyAdam):
    """One t per step, saved with the group, but not the parameter's own."""

    def count(self, state, group):
        return group["t"]

    def step(self):
        for group in self.param_groups:
            group["t"] = group.get("t", 0) + 1
        return super().step()


class _CountsEachInGroup(MyAdam):
    def count(self, state, group):
        group["t"] = group.get("t", 0) + 1
        return group["t"]


class _OwnDictionary(MyAdam):
    def prepare(self):
        self.own = {}

    def remembered(self, p):
        return self.own.setdefault(id(p), {})


class _CountsTwice(MyAdam):
    def count(self, state, group):
        state["t"] = state.get("t", 0) + 2
        return state["t"]


class _CountsTwiceInTheStep(MyAdam):
    def count(self, state, group):
        return super().count(state, group) + 1


class _EpsInside(MyAdam):
    def root(self, r_hat, eps):
        return (r_hat + eps).sqrt()


class _FirstRate(MyAdam):
    def rate(self, group):
        return self.param_groups[0]["lr"]


class _DefaultRate(MyAdam):
    def rate(self, group):
        return self.defaults["lr"]


class _RateAtConstruction(MyAdam):
    def prepare(self):
        self.rates = [group["lr"] for group in self.param_groups]

    def rate(self, group):
        return self.rates[next(i for i, g in enumerate(self.param_groups) if g is group)]


class _FirstGroup(MyAdam):
    def groups(self):
        return self.param_groups[:1]


class _Rebinding(MyAdam):
    def move(self, p, step):
        p = p - step


class _Forgetful(MyAdam):
    def remembered(self, p):
        return {}


class _ByShape(MyAdam):
    def remembered(self, p):
        return self.state[tuple(p.shape)]


class _StopsAtNone(MyAdam):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    return
                self.one(p, group)

    def one(self, p, group):
        gradients = {q: q.grad for g in self.param_groups for q in g["params"]}
        for q in gradients:
            q.grad = q.grad if q is p else None
        super().step()
        for q, grad in gradients.items():
            q.grad = grad


class _CounterNotStored(MyAdam):
    def count(self, state, group):
        return 1


class _OwnNumbers(MyAdam):
    def numbers(self, group):
        return (0.9, 0.999), 1e-8


class _DefaultNumbers(MyAdam):
    def numbers(self, group):
        return self.defaults["betas"], self.defaults["eps"]


class _FirstNumbers(MyAdam):
    def numbers(self, group):
        return super().numbers(self.param_groups[0])


class _Uncorrected(MyAdam):
    def count(self, state, group):
        return 10**9  # corrects by nothing


class _UnderGrad(MyAdam):
    def step(self):
        with torch.enable_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p -= group["lr"] * p.grad


def my_adam_cases(random):
    cases = []
    for lr, lrs in ((0.1, [None, 0.02]), (0.05, [0.3, None])):
        # Two of one shape, in two groups: a state that they share shows.
        start = [[numbers(random, (2, 2)), numbers(random, ())], [numbers(random, (2, 2))]]
        groups = [
            {"arguments": {} if own is None else {"lr": own}, "start": values}
            for own, values in zip(lrs, start, strict=True)
        ]
        groups[1]["arguments"] |= {"betas": [0.5, 0.9], "eps": 0.1}
        grads = [[numbers(random, s) for s in ((2, 2), (), (2, 2))] for _ in range(7)]
        grads[1][1] = grads[2][0] = grads[5][2] = None
        cases.append(
            {
                "groups": groups,
                "arguments": {"lr": lr, "betas": [0.8, 0.95], "eps": 0.01},
                "grads": grads,
                "restart": 4,
                "lr_times": {"3": 0.5},
                "text": f"three parameters in two groups, lr={lr}, the second with its own β's and ε; some gradients are None; the rates are halved before "
                "step 4; from step 5 on a new optimizer with the old state_dict",
            }
        )
    return cases


_LR = 'a rate that is not the one of the parameter\'s own group at that moment. Read group["lr"] in every step.'
MY_ADAM = (
    Misconception(
        "shared_counter",
        "one t is counted up for every parameter, so with three parameters it runs three times too fast. Each parameter "
        "has its own t.",
        _OneCounter,
        credit=0.5,
    ),
    Misconception(
        "counter_not_saved",
        "t is an attribute of the optimizer. It counts for parameters that had no gradient, and state_dict does not save "
        "it. Keep it in self.state[p].",
        _CounterLost,
        credit=0.5,
    ),
    Misconception("counts_twice", "t is advanced twice. adam_step counts it up already.", _CountsTwice, credit=0.5),
    Misconception(
        "counts_twice_in_the_step",
        "the correction is one step ahead, as if t were counted up before adam_step does it.",
        _CountsTwiceInTheStep,
        credit=0.5,
    ),
    Misconception("eps_inside", _INSIDE, _EpsInside, credit=0.7),
    Misconception(
        "own_dictionary",
        "the state is kept somewhere else than in self.state[p]. state_dict saves self.state and the groups, nothing else, "
        "so after loading the averages start from zero.",
        _OwnDictionary,
        credit=0.5,
    ),
    Misconception(
        "not_under_no_grad",
        "the parameters are changed where autograd records. Put the whole step under torch.no_grad().",
        _UnderGrad,
        credit=0.5,
    ),
    Misconception("first_groups_lr", _LR, _FirstRate, credit=0.5),
    Misconception("default_lr", _LR, _DefaultRate, credit=0.5),
    Misconception("lr_at_construction", _LR, _RateAtConstruction, credit=0.5),
    Misconception("first_group_only", "only the parameters of the first group move.", _FirstGroup, credit=0.3),
    Misconception(
        "none_as_zero",
        "a missing gradient is taken for zero, so that parameter moves on with its old average. Skip it: no step, no t.",
        _NoneAsZero,
        credit=0.5,
    ),
    Misconception(
        "rebinding",
        "the parameters do not move. `p = p - …` gives the name p to a new tensor; the network keeps the old one. Change "
        "it in place.",
        _Rebinding,
        credit=0.3,
    ),
    Misconception(
        "forgetful", "m, r and t start from zero in every step. Keep them in self.state[p].", _Forgetful, credit=0.3
    ),
    Misconception("no_correction", "there is no bias correction.", _Uncorrected, credit=0.3),
    Misconception(
        "state_by_shape",
        "parameters of the same shape share their state. The key must be the parameter itself.",
        _ByShape,
        credit=0.3,
    ),
    Misconception(
        "stops_at_none",
        "at a parameter without a gradient the whole step ends. Only that parameter should be skipped.",
        _StopsAtNone,
        credit=0.5,
    ),
    Misconception(
        "counter_not_stored",
        "t never goes beyond 1, so every step is corrected like the first one. Put it back into the state.",
        _CounterNotStored,
        credit=0.5,
    ),
    Misconception(
        "own_numbers",
        "the β's and ε are fixed in the code. They are arguments, and each group has its own.",
        _OwnNumbers,
        credit=0.5,
    ),
    *(
        Misconception(
            name,
            "β's and ε that are not those of the parameter's own group. Like the rate, they may differ from group to group.",
            wrong,
            credit=0.5,
        )
        for name, wrong in (("default_numbers", _DefaultNumbers), ("first_groups_numbers", _FirstNumbers))
    ),
    *(
        Misconception(
            name,
            "t is counted for a whole group. A parameter without a gradient makes no step, and its t should not advance: "
            "each parameter has its own.",
            wrong,
            credit=0.5,
        )
        for name, wrong in (("counter_in_group", _CounterInGroup), ("counts_each_in_group", _CountsEachInGroup))
    ),
)


def _rule(reference, name, points, arguments, cases, misconceptions, uses=()):
    return Exercise(
        name,
        notebook=NOTEBOOK,
        points=points,
        observer="steps",
        settings={"arguments": arguments.split(), "returns": ["w", "m", "r", "t"]},
        cases=cases,
        reference=reference,
        misconceptions=misconceptions,
        rtol=1e-5,
        uses=uses,
    )


EXERCISES = [
    Exercise(
        "bias_correction_overshoot",
        notebook=NOTEBOOK,
        points=2,
        observer="values",
        settings={"arguments": ["t", "beta1", "beta2"]},
        cases=overshoot_cases,
        reference=bias_correction_overshoot,
        misconceptions=OVERSHOOT,
        rtol=1e-4,  # 1 − βᵗ in single precision
    ),
    _rule(adam_step, "adam_step", 5, "w grad m r t lr beta1 beta2 eps", adam_cases, ADAM),
    Exercise(
        "MyAdam",
        notebook=NOTEBOOK,
        points=5,
        observer="optimizer_class",
        cases=my_adam_cases,
        reference=MyAdam,
        misconceptions=MY_ADAM,
        uses=("adam_step",),
    ),
    _rule(
        adamw_step,
        "adamw_step",
        3,
        "w grad m r t lr beta1 beta2 eps weight_decay",
        adamw_cases,
        ADAMW,
        uses=("adam_step",),
    ),
]
