"""Rubric of 06_adam."""

import re

import torch

from lecture_utils.checks.observers import OptimizerClass
from lecture_utils.instructor.authoring.cases import case, dropping, numbers, single_steps, steps
from lecture_utils.instructor.authoring.exercise import exercise

NOTEBOOK = "06_adam"


def slips_of(exercise, table):
    """Rows of a name, a share of the points, {what the reference has: what people write there}, and a message."""
    for name, credit, changes, message in table:
        (before, after), *more = changes.items()
        exercise.slip(name, before, after, message, credit=credit, also=dict(more))


# --- 6.1 bias_correction_overshoot -----------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=2, rtol=1e-4)  # 1 − βᵗ in single precision
def bias_correction_overshoot(t, beta1, beta2):
    short_m = 1 - beta1**t  # the share of m
    short_r = 1 - beta2**t  # the share of r
    return short_m / short_r**0.5


_QUOTIENT = "short_m / short_r**0.5"
slips_of(bias_correction_overshoot, [
    ("inverse", 0.5, {_QUOTIENT: "short_r**0.5 / short_m"},
     "corrected over uncorrected. Asked for is the uncorrected step, divided by the corrected one."),
    ("no_root", 0.5, {"short_r**0.5": "short_r"}, "the root is missing: the step divides by the root of r."),
    ("only_m", 0.0, {_QUOTIENT: "short_m"}, "m alone. r is too small as well, and the step divides by its root."),
    ("only_r", 0.3, {_QUOTIENT: "1 / short_r**0.5"}, "r alone. m is too small as well."),
    ("betas_swapped", 0.3, {"beta1**t": "beta2**t", "beta2**t": "beta1**t"},
     "the β's are exchanged: β₁ belongs to m, β₂ to r."),
    ("product", 0.0, {_QUOTIENT: "short_m * short_r**0.5"}, "a product of both. One of them stands below the line."),
    ("root_of_both", 0.3, {_QUOTIENT: "(short_m / short_r) ** 0.5"}, "a root over everything. Only r stands under a root."),
    ("one_step_ahead", 0.5, {"beta1**t": "beta1 ** (t + 1)", "beta2**t": "beta2 ** (t + 1)"},
     "right, for the step after this one: t counts from 1 already."),
    ("one_step_behind", 0.5, {"beta1**t": "beta1 ** (t - 1)", "beta2**t": "beta2 ** (t - 1)"},
     "the step before this one. In the first step t is 1, and nothing is divided by zero."),
    ("what_is_missing", 0.3, {"1 - beta1**t": "beta1**t", "1 - beta2**t": "beta2**t"},
     "the powers of β themselves: that share is missing. The step has the rest."),
    ("difference", 0.0, {_QUOTIENT: "short_m - short_r**0.5"},
     "a difference. Asked for is how many times too long the step is."),
    ("squared", 0.3, {"short_r**0.5": "short_r**2"}, "r's shortfall is squared. The step divides by its root."),
    ("power_forgotten", 0.3, {"beta1**t": "beta1 + 0 * t", "beta2**t": "beta2 + 0 * t"},
     "the same number for every t: β to the power t is missing."),
    ("power_of_the_rest", 0.3, {"1 - beta1**t": "(1 - beta1) ** t", "1 - beta2**t": "(1 - beta2) ** t"},
     "1 − β as a whole is taken to the power t. What an average falls short of 1 should vanish in time."),
    ("times_t", 0.3, {"beta1**t": "beta1 * t", "beta2**t": "beta2 * t"},
     "1 − βt, a product. The share that is missing is β to the power t."),
    ("root_of_the_power", 0.3, {"short_r**0.5": "1 - (beta2**t) ** 0.5"},
     "the root is taken of β to the power t alone. It belongs over all that r has: 1 − β₂ᵗ."),
])  # fmt: skip
bias_correction_overshoot.switch_off("`t` is one too", "only the")  # t is a tensor; its powers say the same


@bias_correction_overshoot.cases
def overshoot_cases(random):
    def drawn(t):
        return case(t=t, beta1=round(random.uniform(0.6, 0.88), 2), beta2=round(random.uniform(0.97, 0.996), 3))

    t = float(random.randint(5, 50))
    return [drawn([1.0, 2.0, t, 1000.0]), drawn([[2.0, t + 1], [3.0, 400.0]]), drawn([1.0, 4.0, 3 * t])]


# --- 6.2 adam_step ---------------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=5, returns="w m r t")
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)  # the corrected m
    r_hat = r / (1 - beta2**t)  # the corrected r
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    return w, m, r, t


def both(before, after):
    """One change in two places: where m is corrected, and where r is."""

    def of_r(text):
        return re.sub(r"\bm\b", "r", text.replace("beta1", "beta2"))

    return {before: after, of_r(before): of_r(after)}


M, R = "m = beta1 * m + (1 - beta1) * grad", "r = beta2 * r + (1 - beta2) * grad**2"
M_HAT, R_HAT = "m_hat = m / (1 - beta1**t)", "r_hat = r / (1 - beta2**t)"
STEP, ROOT, RETURN = "lr * m_hat / (r_hat.sqrt() + eps)", "r_hat.sqrt() + eps", "return w, m, r, t"

_POWER = "the correction divides by 1 − β in every step. It is 1 − β to the power t: close to 1 − β at first, close to 1 later."
_EPS = "ε is missing, or a number of your own in place of the argument. It keeps the quotient finite where r is zero."
_INSIDE = "ε inside the root. The paper, torch.optim.Adam, and this exercise add it after the root."
_FRACTION = "ε is added to the quotient, not to the root: what a fraction line holds together needs brackets in code."
_SWAPPED = "the two β's are exchanged: β₁ belongs to m, β₂ to r."
_ONE_BETA = "both averages are corrected with the same β. Each one falls short by the power of its own."
_STORED = "comes back corrected, to be corrected again and again. Correct copies for the step; hand back the averages themselves."
_ORDER = "the right four results in the wrong order. The last line of the docstring gives the order."

# In the lines that every Adam has.
ADAM = [
    ("no_correction", 0.3, both("m / (1 - beta1**t)", "m"),
     "no bias correction. Both averages start at zero and are too small at first, r far longer than m."),
    ("only_m_corrected", 0.5, {"r / (1 - beta2**t)": "r"},
     "only m is corrected. r starts at zero, too, and it is what you divide by."),
    ("only_r_corrected", 0.5, {"m / (1 - beta1**t)": "m"}, "only r is corrected. m starts at zero, too."),
    ("t_from_zero_guarded", 0.5, both("beta1**t", "beta1 ** max(t - 1, 1)"),
     "the correction uses the t that came in, raised to 1 where it is 0, so it lags one step behind. Count first, then correct."),
    ("uncorrected_first_step", 0.5, both("1 - beta1**t", "1 - beta1 ** (t - 1) if t > 1 else 1"),
     "the first step is not corrected, and the others by one step too few. Count first, then correct."),
    ("t_one_ahead", 0.5, both("beta1**t", "beta1 ** (t + 1)"), "the correction is one step ahead: in the first step t is 1."),
    ("t_twice", 0.5, {"t + 1": "t + 2"}, "t is advanced twice."),
    ("power_forgotten", 0.3, both("beta1**t", "beta1"), _POWER),
    ("power_forgotten_in_m", 0.3, {"beta1**t": "beta1"}, _POWER),
    ("power_forgotten_in_r", 0.3, {"beta2**t": "beta2"}, _POWER),
    ("power_of_the_rest", 0.3, both("1 - beta1**t", "(1 - beta1) ** t"),
     "1 − β as a whole is taken to the power t. That gets smaller from step to step; what an average falls short of 1 "
     "should vanish in time."),
    ("times_t", 0.0, both("beta1**t", "beta1 * t"), "1 − βt, a product. The share that is missing is β to the power t."),
    ("both_corrected_with_beta1", 0.5, {"beta2**t": "beta1**t"}, _ONE_BETA),
    ("both_corrected_with_beta2", 0.5, {"beta1**t": "beta2**t"}, _ONE_BETA),
    ("corrections_exchanged", 0.5, {"beta1**t": "beta2**t", "beta2**t": "beta1**t"},
     "the two corrections are exchanged. Each average falls short by the power of its own β."),
    ("multiplied_by_the_shortfall", 0.3, both("m / (1 - beta1**t)", "m * (1 - beta1**t)"),
     "the averages are multiplied by what they fall short, so they get smaller still. To make up for it, divide."),
    ("root_of_the_correction", 0.5, {"r / (1 - beta2**t)": "r / (1 - beta2**t) ** 0.5"},
     "r is corrected with the root of 1 − β₂ᵗ, and then the root is taken of all. Correct first, one root after."),
    ("negative_correction", 0.0, {"1 - beta2**t": "beta2**t - 1"},
     "the corrected r is negative, and has no root then: nan. What r is divided by lies between 0 and 1."),
    ("corrected_too_early", 0.3, {f"{M}\n{R}\n{M_HAT}\n{R_HAT}": f"{M_HAT}\n{R_HAT}\n{M}\n{R}"},
     "the step uses averages that have not seen this gradient. Update m and r first, then correct, then step."),
    ("old_m", 0.3, {M: f"old_m = m\n{M}", "m / (1 - beta1**t)": "old_m / (1 - beta1**t)"},
     "the step uses the m that came in. Update it first."),
    ("beta1_in_both", 0.3, {"t = t + 1": "beta2 = beta1\nt = t + 1"}, "β₁ in both averages. r has a memory of its own, β₂."),
    ("beta1_in_r", 0.5, {"(1 - beta2) * grad**2": "(1 - beta1) * grad**2"},
     "the new square is weighted by 1 − β₁. The two weights of an average add up to 1."),
    ("one_plus_beta", 0.3, {"(1 - beta2) * grad**2": "(1 + beta2) * grad**2"},
     "the new square is weighted by 1 + β₂, as in the lecture notes. Two weights of an average add up to 1."),
    ("momentum_for_m", 0.3, {"(1 - beta1) * grad": "grad"},
     "m adds the gradient with its full weight, like the velocity of momentum. Here it is an average: 1 − β₁."),
    ("not_squared", 0.0, {"grad**2": "grad"},
     "r averages the gradient, not its square. Such an average can be negative, and has no root then: nan."),
    ("square_of_m", 0.3, {"grad**2": "m**2"},
     "r averages the square of m, an average already. It is the gradient of this step that is squared."),
    ("absolute_value", 0.3, {"grad**2": "grad.abs()"},
     "r averages absolute values. Root mean square: square, average, root."),
    ("gradient_for_m", 0.3, {"lr * m_hat": "lr * grad"}, "the gradient itself is used, not its average m: that is RMSProp."),
    ("no_root", 0.3, {"r_hat.sqrt()": "r_hat"}, "the step is divided by r itself. Its root has the units of a gradient."),
    ("half_for_root", 0.3, {"r_hat.sqrt()": "r_hat / 2"},
     "half of r where its root belongs. A power comes before a division: `** 1/2` needs brackets."),
    ("eps_inside", 0.7, {ROOT: "(r_hat + eps).sqrt()"}, _INSIDE),
    ("eps_squared_inside", 0.7, {ROOT: "(r_hat + eps**2).sqrt()"}, _INSIDE),
    ("eps_as_floor", 0.7, {ROOT: "r_hat.sqrt().clamp(min=eps)"}, "ε as a lower limit of the root. It is added to it, always."),
    ("eps_forgotten", 0.5, {ROOT: "r_hat.sqrt()"}, _EPS),
    ("own_eps", 0.5, {ROOT: "r_hat.sqrt() + 1e-8"}, _EPS),
    # √r / √(1 − β₂ᵗ) + ε / √(1 − β₂ᵗ): what comes of writing both corrections in front of m / (√r + ε)
    ("short_form", 0.8, {ROOT: "r_hat.sqrt() + eps / (1 - beta2**t) ** 0.5"},
     "the short form of the paper, with both corrections in the rate. The idea is right; only ε is scaled by the correction, "
     "too, so it differs where ε matters."),
    ("precedence", 0.5, {STEP: "lr * (m_hat / r_hat.sqrt() + eps)"}, _FRACTION),
    ("precedence_after_lr", 0.5, {STEP: "lr * m_hat / r_hat.sqrt() + eps"}, _FRACTION),
    ("precedence_plain", 0.5, {STEP: "lr * m_hat / r_hat.sqrt() - eps"}, _FRACTION),  # w − … + ε
    ("uphill", 0.0, {STEP: "-lr * m_hat / (r_hat.sqrt() + eps)"}, "w moves up the hill."),
]  # fmt: skip

# In how functions count and hand back.
RETURNED = [
    ("t_not_advanced", 0.5, {RETURN: "return w, m, r, t - 1"},
     "t comes back as it went in, so every step is corrected like the first one."),
    ("t_from_zero", 0.5, {"t = t + 1": "", RETURN: "return w, m, r, t + 1"},
     "the correction uses t before it is advanced. In the first step that divides by 1 − β⁰ = 0."),
    ("t_never_counted", 0.3, {"t = t + 1": ""},
     "t is not counted up: the first step divides by 1 − β⁰ = 0, and what comes back is the t that went in."),
    ("t_twice_returned", 0.5, {RETURN: "return w, m, r, t + 1"}, "t is advanced twice."),
    ("betas_swapped", 0.3, {"t = t + 1": "beta1, beta2 = beta2, beta1\nt = t + 1"}, _SWAPPED),
    ("corrected_m_stored", 0.5, {RETURN: "return w, m_hat, r, t"}, f"m {_STORED}"),
    ("corrected_r_stored", 0.5, {RETURN: "return w, m, r_hat, t"}, f"r {_STORED}"),
    ("corrected_stored", 0.5, {RETURN: "return w, m_hat, r_hat, t"}, f"each moment {_STORED}"),
    ("exchanged", 0.5, {RETURN: "return w, r, m, t"}, "m and r come back in each other's place."),
    ("order_mrtw", 0.5, {RETURN: "return m, r, t, w"}, _ORDER),
    ("order_twmr", 0.5, {RETURN: "return t, w, m, r"}, _ORDER),
    ("order_mrwt", 0.5, {RETURN: "return m, r, w, t"}, _ORDER),
    ("m_not_returned", 0.3, {"t = t + 1": "old = m\nt = t + 1", RETURN: "return w, old, r, t"},
     "m comes back as it went in, so it never remembers more than one gradient."),
    ("r_not_returned", 0.3, {"t = t + 1": "old = r\nt = t + 1", RETURN: "return w, m, old, t"},
     "r comes back as it went in, so it never remembers more than one gradient."),
    ("state_not_returned", 0.0, {"t = t + 1": "old = m, r\nt = t + 1", RETURN: "return w, *old, t"},
     "m and r come back as they went in: there is no memory."),
    ("nothing_returned", 0.0, {"t = t + 1": "old = m, r, t\nt = t + 1", RETURN: "return w, *old"},
     "m, r and t come back as they went in: there is no memory."),
]  # fmt: skip


# Hardly anybody writes these, and every slip is tried together with every other one.
RARE = [
    "a difference stands", "a quotient stands", "a sum stands", "base and exponent", "only `", "only the", "the sign of `t`",
    "the sign of the exponent", "the sign of the term with `r_hat`", "`m` is missing", "`r` is missing", "`2` stands",
    "`3` stands", "`log` stands",
]  # fmt: skip
RARE_IN_FUNCTIONS = [
    "`lr` stands in place of `beta", "`1 - lr` stands", "`beta1` stands in place of `lr`", "`beta2` stands in place of `lr`",
    "`lr` multiplies `w`", "`lr` multiplies the term with `beta", "`beta1` multiplies", "`1 - beta1` multiplies",
    "`beta2` multiplies", "`1 - beta2` multiplies", "the length of", "the mean of", "the sign of `grad`", "the size of",
    "`grad` is returned", "`m` is returned", "`r` is returned", "`w` is returned",
]  # fmt: skip
# Nor these in lines that are taken from an adam_step that has passed.
RARE_IN_COPIES = [
    "`0` stands", "`1` is missing", "a fraction is", "both weights", "brackets are missing", "one weight", "the exponent is",
    "the power is taken", "the two weights", "twice",
]  # fmt: skip

slips_of(adam_step, ADAM + RETURNED)
adam_step.switch_off(*RARE, *RARE_IN_FUNCTIONS)


def adam_cases(random, **more):
    """``more`` arguments are ranges. No argument is another, 1 minus another, or a default."""

    def drawn(beta1, beta2, eps, digits=2):
        ranges = {"beta1": beta1, "beta2": beta2, "eps": eps, **more}
        return {name: round(random.uniform(*range_), digits) for name, range_ in ranges.items()}

    lr = round(random.uniform(0.11, 0.21), 2)
    moving = {"m": (-1.0, 1.0), "r": (0.02, 1.5), "t": random.randint(2, 5)}
    still = {"m": 0.0, "r": 0.0, "t": 0}
    # A large ε and small β's: only there do its place and their mix-ups show beyond rounding.
    loud = (0.65, 0.78), (0.91, 0.96), (0.36, 0.52)
    from_start = steps(random, still, {"lr": lr} | drawn((0.82, 0.88), (0.981, 0.996), (0.002, 0.004), 3))
    from_start["grads"][0][0][0] = 0.0  # 0/0 without the ε below the line
    return [
        steps(random, moving, {"lr": dropping(lr)} | drawn(*loud)),
        single_steps(random, moving, {"lr": lr} | drawn(*loud)),
        from_start,
        steps(random, still, {"lr": lr} | drawn(*loud), shapes=((2, 3), (2,)), dtype="float32"),
    ]


adam_step.cases(adam_cases)


# --- 6.3 MyAdam ------------------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=5, observer=OptimizerClass(), uses="adam_step")
class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        groups = self.param_groups
        for group in groups:
            lr = group["lr"]
            beta1, beta2 = group["betas"]
            eps = group["eps"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)
                grad, m, r, t = p.grad, state["m"], state["r"], state["t"]
                t = t + 1
                m = beta1 * m + (1 - beta1) * grad
                r = beta2 * r + (1 - beta2) * grad**2
                m_hat = m / (1 - beta1**t)  # the corrected m
                r_hat = r / (1 - beta2**t)  # the corrected r
                p -= lr * m_hat / (r_hat.sqrt() + eps)
                state.update(m=m, r=r, t=t)


# Without its power β acts like a t that is not stored; of numbers of one's own the class has more to say.
slips_of(MyAdam, [row for row in ADAM if row[0] not in ("power_forgotten", "own_eps")])
MyAdam.equivalent("`p` comes after the line that calls `update`, and it should come before.", "neither uses the other")
MyAdam.switch_off(
    *RARE, *RARE_IN_COPIES, "the line that calls", "the comparison", "the condition", "the part with `grad` and `m` comes",
    "yes and no", "`-1` stands", "`__init__`", "`beta1` is used", "`beta2` is used", "`betas`", "`eps` stands", "`group` is",
    "`lr` stands", "`p` comes after", "`p` is used", "`params`", "`self` is",
)  # fmt: skip


COUNT, LR, BETAS, EPS, STATE = "t = t + 1", "group['lr']", "group['betas']", "group['eps']", "self.state[p]"
NONE = "if p.grad is None:\n    continue"

_LR = 'a rate that is not the one of the parameter\'s own group at that moment. Read group["lr"] in every step.'
_OWN = "the β's and ε are fixed in the code. They are arguments, and each group has its own."
_GROUP = (
    "β's and ε that are not those of the parameter's own group. Like the rate, they may differ from group to group."
)
_T_OF_GROUP = (
    "t is counted for a whole group. A parameter without a gradient makes no step, and its t should not advance: each "
    "parameter has its own."
)
slips_of(MyAdam, [
    ("shared_counter", 0.5, {COUNT: "self.t = t = getattr(self, 't', 0) + 1"},
     "one t is counted up for every parameter, so with three parameters it runs three times too fast. Each parameter has "
     "its own t."),
    ("counter_not_saved", 0.5,
     {"groups = self.param_groups": "groups = self.param_groups\nself.t = getattr(self, 't', 0) + 1", COUNT: "t = self.t"},
     "t is an attribute of the optimizer. It counts for parameters that had no gradient, and state_dict does not save it. "
     "Keep it in self.state[p]."),
    ("counter_in_group", 0.5,
     {"lr = group['lr']": "lr = group['lr']\ngroup['t'] = group.get('t', 0) + 1", COUNT: "t = group['t']"}, _T_OF_GROUP),
    ("counts_each_in_group", 0.5, {COUNT: "group['t'] = t = group.get('t', 0) + 1"}, _T_OF_GROUP),
    ("betas_swapped", 0.3, {"beta1, beta2 = group['betas']": "beta2, beta1 = group['betas']"}, _SWAPPED),
    ("counter_not_stored", 0.5, {"state.update(m=m, r=r, t=t)": "state.update(m=m, r=r)"},
     "every step is corrected like the first one. Either t is not put back into the state, or β is not taken to its power."),
    ("own_dictionary", 0.5,
     {"state = self.state[p]": "self.own = getattr(self, 'own', {})\nstate = self.own.setdefault(p, {})"},
     "the state is kept somewhere else than in self.state[p]. state_dict saves self.state and the groups, nothing else, so "
     "after loading the averages start from zero."),
    ("forgetful", 0.3, {"state = self.state[p]": "state = {}"},
     "m, r and t start from zero in every step. Keep them in self.state[p]."),
    ("state_by_shape", 0.3, {STATE: "self.state[tuple(p.shape)]"},
     "parameters of the same shape share their state. The key must be the parameter itself."),
    ("not_under_no_grad", 0.5, {"torch.no_grad()": "torch.enable_grad()"},
     "the parameters are changed where autograd records. Put the whole step under torch.no_grad()."),
    ("rebinding", 0.3, {f"p -= {STEP}": f"p = p - {STEP}"},
     "the parameters do not move. `p = p - …` gives the name p to a new tensor; the network keeps the old one. Change it in "
     "place."),
    ("gradients_zeroed", 0.7, {f"p -= {STEP}": f"p -= {STEP}\np.grad.zero_()"},
     "the step changes the gradients. Whoever looks at them after it finds other numbers: clearing them is the training loop's, "
     "with zero_grad()."),
    ("first_groups_lr", 0.5, {LR: "self.param_groups[0]['lr']"}, _LR),
    ("default_lr", 0.5, {LR: "self.defaults['lr']"}, _LR),
    ("lr_at_construction", 0.5, {LR: "group.setdefault('first_lr', group['lr'])"}, _LR),
    ("own_numbers", 0.5, {BETAS: "(0.9, 0.999)", EPS: "1e-8"}, _OWN),
    ("own_betas", 0.5, {BETAS: "(0.9, 0.999)"}, _OWN),
    ("own_eps", 0.5, {EPS: "1e-8"}, _OWN),
    ("default_numbers", 0.5, {BETAS: "self.defaults['betas']", EPS: "self.defaults['eps']"}, _GROUP),
    ("default_betas", 0.5, {BETAS: "self.defaults['betas']"}, _GROUP),
    ("default_eps", 0.5, {EPS: "self.defaults['eps']"}, _GROUP),
    ("first_groups_numbers", 0.5, {BETAS: "groups[0]['betas']", EPS: "groups[0]['eps']"}, _GROUP),
    ("first_group_only", 0.3, {"groups = self.param_groups": "groups = self.param_groups[:1]"},
     "only the parameters of the first group move."),
    ("none_as_zero", 0.5, {NONE: "", "grad, m, r, t = p.grad, state['m'], state['r'], state['t']":
                           "grad, m, r, t = torch.zeros_like(p), state['m'], state['r'], state['t']\n"
                           "if p.grad is not None: grad = p.grad"},
     "a missing gradient is taken for zero, so that parameter moves on with its old average. Skip it: no step, no t."),
    ("stops_at_none", 0.5, {NONE: "if p.grad is None:\n    return"},
     "at a parameter without a gradient the whole step ends. Only that parameter should be skipped."),
    ("leaves_group_at_none", 0.5, {NONE: "if p.grad is None:\n    break"},
     "at a parameter without a gradient the loop over its group ends. Only that parameter should be skipped."),
])  # fmt: skip


@MyAdam.cases
def my_adam_cases(random):
    cases = []
    for own_lr, lr in ((None, 0.02), (0.3, None)):
        # Two of one shape, in two groups: a state that they share shows.
        groups = [
            {
                "arguments": {} if own_lr is None else {"lr": own_lr},
                "start": [numbers(random, (2, 2)), numbers(random, ())],
            },
            {"arguments": {} if lr is None else {"lr": lr}, "start": [numbers(random, (2, 2))]},
        ]
        groups[1]["arguments"] |= {"betas": [0.5, 0.93], "eps": 0.1}
        grads = [[numbers(random, s) for s in ((2, 2), (), (2, 2))] for _ in range(7)]
        grads[1][1] = grads[2][0] = grads[5][2] = None
        grads[0][1], grads[0][2][0][0] = 0.0, 0.03  # 0/0 without the ε below the line, and a root that is less than it
        default = round(random.uniform(0.05, 0.15), 3)
        cases.append(
            {
                "groups": groups,
                "arguments": {"lr": default, "betas": [0.8, 0.96], "eps": 0.04},
                "grads": grads,
                "restart": 4,
                "lr_times": {"3": 0.5},
                "text": f"three parameters in two groups, lr={default}, the second with its own β's and ε; some gradients are "
                "None; the rates are halved before step 4; from step 5 on a new optimizer with the old state_dict",
            }
        )
    return cases


# --- 6.4 adamw_step --------------------------------------------------------------------------------------------------


@exercise(NOTEBOOK, points=3, returns="w m r t", uses="adam_step")
def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    w = w - lr * weight_decay * w  # the decayed w
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)  # the corrected m
    r_hat = r / (1 - beta2**t)  # the corrected r
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    return w, m, r, t


DECAY, SHARE = "w = w - lr * weight_decay * w", "lr * weight_decay * w"
L2, LINES = "grad = grad + weight_decay * w", f"{COUNT}\n{M}\n{R}\n{M_HAT}\n{R_HAT}\nw = w - {STEP}"

_L2 = (
    "the decay is added to the gradient. That is L2 regularisation: it passes through both averages and is divided by the "
    "root of r. Decoupled decay acts on w directly."
)
_SAME = "the same amount is taken from every weight. A decay takes a share."
slips_of(adamw_step, [
    ("l2_in_the_gradient", 0.3, {DECAY: L2}, _L2),
    ("l2_with_lr", 0.3, {DECAY: "grad = grad + lr * weight_decay * w"}, _L2),
    ("l2_with_the_wrong_sign", 0.0, {DECAY: "grad = grad - weight_decay * w"},
     "the decay is in the gradient, and makes the weights grow. Decoupled decay does not touch the gradient."),
    ("both_kinds", 0.5, {DECAY: f"{L2}\n{DECAY}"},
     "the weights decay twice: by themselves, and through the gradient. Leave the gradient as it is."),
    ("decay_without_lr", 0.5, {SHARE: "weight_decay * w"},
     "the decay is not multiplied by the learning rate. In torch.optim.AdamW it is, so that a schedule shrinks both."),
    ("decay_after", 0.7, {f"{DECAY}\n{LINES}": f"{LINES}\n{DECAY}"},
     "the decay acts on the weights after the step. It acts on the weights that came in."),
    ("sign", 0.3, {f"w - {SHARE}": f"w + {SHARE}"}, "the decay makes the weights grow."),
    ("no_decay", 0.0, {DECAY: ""}, "there is no weight decay: this is Adam."),
    ("half_of_the_decay", 0.5, {SHARE: "lr * weight_decay / 2 * w"},
     "half of the decay. The gradient of λ/2 · w² has no ½ any more."),
    ("lambda_forgotten", 0.3, {SHARE: "lr * w"}, "the share is the learning rate alone. λ sets how strong the decay is."),
    ("squared", 0.0, {SHARE: "lr * weight_decay * w**2"},
     "the square of the weight is taken away. A decay takes a share of the weight itself."),
    ("sign_of_w", 0.0, {SHARE: "lr * weight_decay * w.sign()"}, _SAME),
    ("constant", 0.0, {SHARE: "lr * weight_decay"}, _SAME),
    ("only_decay_share", 0.0, {f"w - {SHARE}": SHARE}, "w keeps only the share lr · weight_decay. That is what is taken away."),
])  # fmt: skip
slips_of(adamw_step, ADAM + RETURNED)
adamw_step.switch_off(
    *RARE, *RARE_IN_FUNCTIONS, *RARE_IN_COPIES, "`weight_decay` multiplies", "`1 - weight_decay` multiplies",
    "`weight_decay` stands", "`beta1` stands in place of `weight_decay`", "`beta2` stands in place of `weight_decay`",
)  # fmt: skip


@adamw_step.cases
def adamw_cases(random):
    return adam_cases(random, weight_decay=(0.54, 0.62))
