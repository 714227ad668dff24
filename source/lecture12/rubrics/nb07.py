"""Rubric of 07_optimizers_in_pytorch."""

import math

import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

from lecture_utils.checks.cases import numbers
from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "07_optimizers_in_pytorch"


# --- make_optimizer ----------------------------------------------------------------------------------------------

SETTINGS = {
    "sgd": (SGD, {"lr": 0.01}),
    "momentum": (SGD, {"lr": 0.01, "momentum": 0.9}),
    "nesterov": (SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (RMSprop, {"lr": 0.001, "alpha": 0.9}),
    "adam": (Adam, {"lr": 0.0001, "betas": (0.9, 0.999)}),
}


def _maker(kinds=None, wrap=lambda params: params, **changed):
    """A make_optimizer whose arguments differ: ``changed`` maps a name to other arguments, None takes one out."""

    def make_optimizer(name, params):
        kind, arguments = SETTINGS[name]
        arguments = arguments | changed.get(name, {})
        arguments = {k: v for k, v in arguments.items() if v is not None}
        return (kinds or {}).get(name, kind)(wrap(params), **arguments)

    return make_optimizer


make_optimizer = _maker()
_FORGOTTEN = (
    "is PyTorch's default. A default is somebody else's setting: compare each number of the table with the signature."
)


def _copies(params):
    return [torch.nn.Parameter(p.detach().clone()) for p in params]


def make_cases(random):
    return [
        {
            "name": name,
            # From zero, so that what a message shows is how far the optimizer has moved; the others feel a decay, too.
            "groups": [{"arguments": {}, "start": [[0.0, 0.0, 0.0], numbers(random, (2,), 1.0, 3.0)]}],
            "arguments": {},
            # The last is zero: the mean square shrinks then, and AMSGrad's does not.
            "grads": [[numbers(random, (3,)), numbers(random, (2,))] for _ in range(5)] + [[[0.0] * 3, [0.0] * 2]],
            "restart": None,
            "lr_times": {},
            "text": f"name = {name!r}, two parameters, the first of them starts at zeros; given gradients for six steps",
        }
        for name in SETTINGS
    ]


_DAMPED = (
    "momentum with a dampening. That weakens each new gradient; the lecture's velocity takes it at full weight, and the "
    "friction 1 − α is already in the momentum."
)
_SHARED = "one rate for several methods. A rate means something else to each of them: look at the column η again."

MAKE = [
    Misconception(
        "beta_as_momentum",
        "RMSProp's β handed over as `momentum`. In torch.optim.RMSprop `momentum` is a velocity on top, the lecture's α; "
        "the memory of the mean square has another name there.",
        _maker(rmsprop={"alpha": None, "momentum": 0.9}),
        credit=0.5,
    ),
    Misconception(
        "alpha_and_momentum",
        "RMSProp with a velocity on top. The lecture's RMSProp has only one memory, that of the mean square.",
        _maker(rmsprop={"momentum": 0.9}),
        credit=0.5,
    ),
    Misconception("rmsprop_memory", f"the memory of RMSProp {_FORGOTTEN}", _maker(rmsprop={"alpha": None}), credit=0.7),
    Misconception(
        "one_minus_beta",
        "the memory of RMSProp is 1 − β. PyTorch's argument is the share of the old mean square that is kept.",
        _maker(rmsprop={"alpha": 0.1}),
        credit=0.5,
    ),
    Misconception(
        "adams_beta",
        "RMSProp with Adam's β₂. The table asks for another memory here.",
        _maker(rmsprop={"alpha": 0.999}),
        credit=0.7,
    ),
    Misconception("rmsprop_rate", f"the rate of RMSProp {_FORGOTTEN}", _maker(rmsprop={"lr": None}), credit=0.7),
    Misconception(
        "rmsprop_defaults",
        f"both the rate and the memory of RMSProp: each {_FORGOTTEN}",
        _maker(rmsprop={"lr": None, "alpha": None}),
        credit=0.5,
    ),
    Misconception(
        "centered",
        "RMSProp that subtracts the mean: it divides by a standard deviation. The lecture's divides "
        "by the root of the mean square.",
        _maker(rmsprop={"centered": True}),
        credit=0.7,
    ),
    *(
        Misconception(f"dampening_{name}", _DAMPED, _maker(momentum={"dampening": tau}), credit=0.5)
        for name, tau in (("alpha", 0.9), ("one_minus_alpha", 0.1), ("one_minus_eta", 0.99), ("eta", 0.01))
    ),
    Misconception(
        "no_momentum", "momentum without its α: this is plain SGD.", _maker(momentum={"momentum": None}), credit=0.7
    ),
    Misconception(
        "no_momentum_no_look_ahead",
        "momentum and Nesterov are plain SGD here. Which argument makes a velocity?",
        _maker(momentum={"momentum": None}, nesterov={"momentum": None, "nesterov": None}),
        credit=0.3,
    ),
    Misconception(
        "no_look_ahead",
        "Nesterov without the look-ahead: that is ordinary momentum. One more argument switches it on.",
        _maker(nesterov={"nesterov": None}),
        credit=0.7,
    ),
    Misconception(
        "true_is_dampening",
        "Nesterov without the look-ahead, and no new gradient gets into its velocity. Which argument comes fourth in "
        "SGD? Hand it over by its name.",
        _maker(nesterov={"nesterov": None, "dampening": True}),
        credit=0.7,
    ),
    Misconception(
        "look_ahead_everywhere",
        "the look-ahead for ordinary momentum, too. Only one of the two has it.",
        _maker(momentum={"nesterov": True}),
        credit=0.7,
    ),
    Misconception(
        "momentum_for_sgd",
        "plain SGD with a velocity. Its row in the table has no α.",
        _maker(sgd={"momentum": 0.9}),
        credit=0.7,
    ),
    Misconception("adam_rate", f"the rate of Adam {_FORGOTTEN}", _maker(adam={"lr": None}), credit=0.7),
    Misconception("sgd_rate", f"the rate of plain SGD {_FORGOTTEN}", _maker(sgd={"lr": None}), credit=0.7),
    Misconception(
        "all_rates",
        "all rates are PyTorch's defaults. The table gives one for each method.",
        _maker(**{name: {"lr": None} for name in SETTINGS}),
        credit=0.3,
    ),
    Misconception("shared_rate", _SHARED, _maker(rmsprop={"lr": 0.01}, adam={"lr": 0.01}), credit=0.5),
    Misconception("shared_small_rate", _SHARED, _maker(adam={"lr": 0.001}, rmsprop={"lr": 0.0001}), credit=0.5),
    Misconception(
        "betas_swapped",
        "Adam's two β's are exchanged. The first belongs to m and is the shorter memory.",
        _maker(adam={"betas": (0.999, 0.9)}),
        credit=0.5,
    ),
    Misconception(
        "betas_equal",
        "the same memory for both of Adam's averages. That of the squares is much longer.",
        _maker(adam={"betas": (0.9, 0.9)}),
        credit=0.5,
    ),
    Misconception(
        "rmsprop_beta",
        "Adam's second memory is PyTorch's default for RMSProp. The table asks for another one.",
        _maker(adam={"betas": (0.9, 0.99)}),
        credit=0.7,
    ),
    Misconception(
        "eps",
        "Adam with another ε. It is only there to keep the quotient finite.",
        _maker(adam={"eps": 1e-4}),
        credit=0.7,
    ),
    Misconception(
        "adamw",
        "AdamW. It shrinks the weights unless you tell it not to, so two things differ from Adam.",
        _maker({"adam": AdamW}),
        credit=0.7,
    ),
    Misconception("amsgrad", "AMSGrad, a variant of Adam.", _maker(adam={"amsgrad": True}), credit=0.7),
    Misconception(
        "uphill",
        "optimizers that climb: leave `maximize` alone.",
        _maker(**{name: {"maximize": True} for name in SETTINGS}),
    ),
    Misconception(
        "copies",
        "the parameters do not move: the optimizer was given copies of them.",
        _maker(wrap=_copies),
        credit=0.3,
    ),
    Misconception(
        "first_parameter",
        "only the first parameter moves. Hand over all of them.",
        _maker(wrap=lambda params: list(params)[:1]),
        credit=0.3,
    ),
    Misconception(
        "nadam",
        "NAdam for Nesterov: that is Adam with a look-ahead. The lecture's Nesterov is momentum with one.",
        _maker({"nesterov": NAdam}, nesterov={"momentum": None, "nesterov": None}),
        credit=0.5,
    ),
    Misconception(
        "adagrad",
        "AdaGrad for RMSProp: it never forgets a squared gradient, so its steps only shrink.",
        _maker({"rmsprop": Adagrad}, rmsprop={"alpha": None}),
        credit=0.5,
    ),
    *(
        Misconception(
            f"no_case_for_{lost}",
            f"the name “{lost}” ends up with Adam. Does every name have its own case, spelled as in the table?",
            lambda name, params, lost=lost: make_optimizer("adam" if name == lost else name, params),
            credit=0.5,
        )
        for lost in ("sgd", "momentum", "nesterov", "rmsprop")
    ),
    *(
        Misconception(
            f"momentums_rate_{kind}",
            "the rate of momentum left out, or converted as if the table's were that of another form. The lecture's η can "
            "be handed over as it is.",
            _maker(**{name: {"lr": lr} for name in names}),
            credit=0.5,
        )
        for kind, lr, names in (
            ("shrunk", 0.01 * (1 - 0.9), ("momentum", "nesterov")),
            ("grown", 0.01 / (1 - 0.9), ("momentum", "nesterov")),
            ("alone_shrunk", 0.01 * (1 - 0.9), ("momentum",)),
            ("nesterovs_shrunk", 0.01 * (1 - 0.9), ("nesterov",)),
        )
    ),
    Misconception(
        "weight_decay",
        "the weights decay. The lecture's settings have no weight decay.",
        _maker(**{name: {"weight_decay": 0.01} for name in SETTINGS}),
        credit=0.5,
    ),
    Misconception(
        "last_branch_wins",
        "Adam for every name but one. An `else` belongs to the last `if` alone, so it takes over what the earlier ones had "
        "chosen.",
        lambda name, params: make_optimizer(name if name == "rmsprop" else "adam", params),
        credit=0.3,
    ),
    Misconception(
        "always_adam", "the same optimizer for every name.", lambda name, params: make_optimizer("adam", params)
    ),
    Misconception(
        "always_sgd", "the same optimizer for every name.", lambda name, params: make_optimizer("sgd", params)
    ),
]


# --- to_torch_lr -------------------------------------------------------------------------------------------------


def to_torch_lr(lr, alpha, form):
    return lr * (1 - alpha) if form == "ema" else lr


def _forms(lecture, ema):
    return lambda lr, alpha, form: {"lecture": lecture, "ema": ema}[form](lr, alpha)


def _same(lr, alpha):
    return lr


def _shrunk(lr, alpha):
    return lr * (1 - alpha)


def _grown(lr, alpha):
    return lr / (1 - alpha)


def to_torch_cases(random):
    cases = []
    for alpha in (0.9, 0.99, round(random.uniform(0.3, 0.8), 2)):
        lr = round(random.uniform(0.02, 0.5), 3)
        calls = {f"form {form!r}": {"lr": lr, "alpha": alpha, "form": form} for form in ("lecture", "ema")}
        cases.append({"calls": calls, "text": f"lr={lr}, alpha={alpha}, both forms"})
    return cases


TO_TORCH = (
    Misconception(
        "inverse",
        "the factor of the average is upside down. An average takes shorter steps than a sum at the same η, so PyTorch's "
        "sum must be slowed down to keep pace.",
        _forms(_same, _grown),
        credit=0.5,
    ),
    Misconception(
        "swapped",
        "the two forms are exchanged. Which of them weights the new gradient with 1?",
        _forms(_shrunk, _same),
        credit=0.3,
    ),
    Misconception(
        "nothing_changes",
        "the rate as it came for both forms. One of them weights the new gradient with 1 − α, and PyTorch does not.",
        _forms(_same, _same),
        credit=0.5,
    ),
    Misconception(
        "both_shrunk",
        "the rate is changed for both forms. Write down the first step of the lecture's form and of PyTorch's: at a "
        "constant rate it does not matter whether η stands inside or outside.",
        _forms(_shrunk, _shrunk),
        credit=0.5,
    ),
    Misconception(
        "both_effective",
        "the effective rate η/(1 − α) for both forms. That is how fast momentum moves in the end, not what PyTorch wants "
        "to be told.",
        _forms(_grown, _grown),
    ),
    Misconception(
        "lecture_effective",
        "the effective rate η/(1 − α) for the lecture's form. PyTorch's momentum has the same effective rate already.",
        _forms(_grown, _same),
    ),
    Misconception(
        "one_each_way",
        "one form made slower, the other faster. For one of them nothing has to change.",
        _forms(_grown, _shrunk),
        credit=0.5,
    ),
    Misconception(
        "alpha_for_rest",
        "the factor α. What the average gives the new gradient is the rest, 1 − α.",
        _forms(_same, lambda lr, alpha: lr * alpha),
        credit=0.5,
    ),
    Misconception(
        "lecture_alpha",
        "a factor α for the lecture's form. α multiplies the old velocity in both, not the rate.",
        _forms(lambda lr, alpha: lr * alpha, _shrunk),
        credit=0.5,
    ),
    Misconception(
        "plus",
        "the factor 1 + α, which belongs to the limit of stability. Here the two weights of an average matter.",
        _forms(_same, lambda lr, alpha: lr * (1 + alpha)),
        credit=0.3,
    ),
    Misconception(
        "factor_alone",
        "a factor without the rate. What is asked for is a learning rate, in terms of the one that comes in.",
        _forms(lambda lr, alpha: 1.0, lambda lr, alpha: 1 - alpha),
        credit=0.3,
    ),
    Misconception(
        "factor_alone_for_ema",
        "a factor without the rate. What is asked for is a learning rate, in terms of the one that comes in.",
        _forms(_same, lambda lr, alpha: 1 - alpha),
        credit=0.5,
    ),
    Misconception(
        "factor_alone_for_both",
        "a factor without the rate. What is asked for is a learning rate, in terms of the one that comes in.",
        _forms(lambda lr, alpha: 1 - alpha, lambda lr, alpha: 1 - alpha),
    ),
    Misconception(
        "squared",
        "1 − α is applied twice. The average has it once, on the new gradient.",
        _forms(_same, lambda lr, alpha: lr * (1 - alpha) ** 2),
        credit=0.3,
    ),
)


# --- best_learning_rate ------------------------------------------------------------------------------------------


def _best(
    score=lambda row: row.mean(),
    clean=lambda losses: losses,
    edge=lambda k, scores: k in (0, len(scores) - 1),
    at_edge=lambda lrs, k: None,
    pick=lambda scores: scores.nan_to_num(nan=math.inf, posinf=math.inf).argmin(),
    value=lambda lrs, k, scores: lrs[k].item(),
):
    """A best_learning_rate that differs in one place."""

    def best_learning_rate(lrs, losses):
        scores = torch.stack([score(row) for row in clean(losses)])
        k = int(pick(scores))
        return at_edge(lrs, k) if edge(k, scores) else value(lrs, k, scores)

    return best_learning_rate


best_learning_rate = _best()
best_learning_rate.__name__ = "best_learning_rate"


def _finite(row):
    kept = row[torch.isfinite(row)]
    return kept.mean() if len(kept) else torch.tensor(math.inf, dtype=row.dtype)


def _nan_only(row):
    kept = row[~torch.isnan(row)]
    return kept.mean() if len(kept) else torch.tensor(math.inf, dtype=row.dtype)


def _edge_of_the_finite(k, scores):
    finite = torch.isfinite(scores).nonzero().flatten().tolist()
    return not finite or k in (finite[0], finite[-1])


def _inner(lrs, losses):
    k = 1 + int(losses.mean(1)[1:-1].nan_to_num(nan=math.inf).argmin())
    return lrs[k].item()


def _first_nan(scores):
    return scores.argmin()  # to torch nan is smaller than everything


def _over_rates(lrs, losses):
    return lrs[min(int(losses.nan_to_num(nan=9e9).mean(0).argmin()), len(lrs) - 1)].item()


def _over_rates_plain(lrs, losses):
    return lrs[int(losses.mean(0).argmin())].item()


def _over_rates_with_edges(lrs, losses):
    k = int(losses.mean(0).nan_to_num(nan=math.inf, posinf=math.inf).argmin())
    return None if k in (0, len(lrs) - 1) else lrs[k].item()


def _stuck(scores):
    """A loop with `<`: nothing is smaller than a nan that comes first."""
    best = 0
    for k, score in enumerate(scores):
        best = k if score < scores[best] else best
    return best


def _afraid(lrs, losses):
    return best_learning_rate(lrs, losses) if torch.isfinite(losses).all() else None


def _shifted(lrs, losses):
    """The losses without the failed rates, but the rates with them."""
    k = int(losses[torch.isfinite(losses).all(1)].mean(1).argmin())
    return None if k in (0, len(lrs) - 1) else lrs[k].item()


def _shifted_with_care(lrs, losses):
    return _shifted(lrs, losses) if torch.isfinite(losses).all(1).any() else None


def best_cases(random):
    def jitter(row):
        return [value if isinstance(value, str) else round(value + random.uniform(-0.004, 0.004), 3) for value in row]

    def case(lrs, losses, text):
        return {"args": {"lrs": lrs, "losses": [jitter(row) for row in losses]}, "text": text}

    inside = [
        [0.60, 0.62, 0.61, 0.63],
        [0.30, 0.31, 0.32, 0.31],  # the best worst run
        [0.24, 0.36, 0.20, 0.24],  # the best mean
        [0.95, 0.98, 0.11, 0.99],  # the best single run, and the worst mean
        [0.17, 0.90, 0.16, 0.18],  # the best median
        [0.14, 0.70, 0.75, 0.80],  # the best first run
        [0.65, 0.70, 0.66, 0.68],
    ]
    diverged = [
        [0.90, 0.92, 0.91, 0.93],
        ["nan", 0.80, 0.82, 0.81],  # the best to an argmin that meets nan
        [0.70, 0.74, 0.72, 0.73],
        ["nan", "nan", "nan", 0.40],  # the best if nan counts as 0
        [0.21, 0.22, "nan", 0.20],  # the best if nan is left out
        [0.25, 0.27, 0.26, 0.28],  # the best, though the last one that did not fail
        ["inf", 0.05, 0.06, 0.04],  # the best if inf is left out, too
        ["nan", "nan", "inf", 0.07],
    ]
    early = [
        ["nan", 0.55, 0.60],  # nothing is smaller than nan
        [0.50, 0.52, 0.51],
        [0.30, 0.33, 0.31],
        ["inf", 0.70, "nan"],
        [0.90, 0.94, 0.93],
    ]
    low = [[0.10 + 0.1 * k, 0.13 + 0.1 * k, 0.12 + 0.1 * k] for k in range(5)]
    rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    return [
        case(rates[:7], inside, "seven rates, four seeds, all runs finite"),
        case(rates, diverged, "eight rates, four seeds; some runs ended with nan or inf"),
        case(rates[:5], low, "five rates, three seeds, all runs finite"),
        case(rates[:5], low[::-1], "five rates, three seeds, all runs finite, another grid"),
        case(rates[:5], early, "five rates, three seeds; some runs ended with nan or inf, one at the smallest rate"),
        case(rates[:4], [["nan", "inf"]] * 4, "four rates, two seeds; every run ended with nan or inf"),
    ]


_BOTH_ENDS = (
    "a best rate at one end of the grid is accepted. Beyond that end there may be a better one: the only honest answer "
    "there is to look further, so None."
)
BEST = (
    Misconception(
        "min_over_seeds",
        "the best single run. One lucky seed says little: compare the mean over the seeds of each rate.",
        _best(lambda row: row.nan_to_num(nan=math.inf).min()),
        credit=0.5,
    ),
    Misconception(
        "median",
        "the median over the seeds. It does not see that one seed in four fails; the mean does.",
        _best(lambda row: row.median()),
        credit=0.7,
    ),
    Misconception(
        "worst_seed",
        "the worst seed of each rate decides. That is a cautious rule, but not the mean that is asked for.",
        _best(lambda row: row.max()),
        credit=0.5,
    ),
    Misconception(
        "skips_failed_runs",
        "failed runs are left out of the mean. A rate at which one run in four diverges is not a good rate: the whole "
        "rate is out.",
        _best(_finite),
        credit=0.5,
    ),
    Misconception(
        "skips_nan_only",
        "runs with nan are left out of the mean. A rate at which one run in four diverges is not a good rate: the whole "
        "rate is out.",
        _best(_nan_only),
        credit=0.5,
    ),
    Misconception(
        "nan_wins",
        "a failed rate wins: argmin in PyTorch takes nan for the smallest number, and so it would take a 0 in its place. "
        "Make failed rates infinitely bad first.",
        _best(pick=_first_nan),
        credit=0.5,
    ),
    Misconception(
        "stuck_at_nan",
        "the search does not get away from a failed rate at the start of the grid. Comparisons with nan are never true: "
        "make failed rates infinitely bad first.",
        _best(pick=_stuck),
        credit=0.7,
    ),
    Misconception(
        "afraid_of_failures",
        "None as soon as one run has failed anywhere. Only the failed rates are out; among the others there may be a best.",
        _afraid,
        credit=0.5,
    ),
    Misconception(
        "nan_as_zero",
        "a failed run counts as a loss of 0, the best there is. That is what nan_to_num() does unless it is told more.",
        _best(clean=lambda losses: losses.nan_to_num(nan=0.0, posinf=math.inf)),
        credit=0.5,
    ),
    Misconception(
        "edge_accepted", _BOTH_ENDS, _best(edge=lambda k, scores: not torch.isfinite(scores).any()), credit=0.5
    ),
    Misconception("edge_accepted_always", _BOTH_ENDS, _best(edge=lambda k, scores: False), credit=0.5),
    Misconception(
        "only_the_upper_end",
        "only the largest rate counts as an edge. The grid has two ends.",
        _best(edge=lambda k, scores: k == len(scores) - 1 or not torch.isfinite(scores).any()),
        credit=0.7,
    ),
    Misconception(
        "only_the_lower_end",
        "only the smallest rate counts as an edge. The grid has two ends.",
        _best(edge=lambda k, scores: k == 0),
        credit=0.7,
    ),
    Misconception(
        "edge_of_the_rest",
        "the failed rates are taken out before the edge is looked for. A rate that diverges is a neighbour: it shows "
        "that the grid went far enough on that side.",
        _best(edge=_edge_of_the_finite),
        credit=0.7,
    ),
    Misconception(
        "best_inside",
        "the ends of the grid are not looked at, so an answer comes even when the true best is outside.",
        _inner,
        credit=0.5,
    ),
    Misconception(
        "index",
        "the position in the grid, not the rate that stands there.",
        _best(value=lambda lrs, k, scores: float(k)),
        credit=0.7,
    ),
    Misconception(
        "loss",
        "the loss at the best rate, not the rate itself.",
        _best(value=lambda lrs, k, scores: scores[k].item()),
        credit=0.5,
    ),
    Misconception(
        "largest",
        "the largest loss. Small is good.",
        _best(pick=lambda scores: scores.nan_to_num(nan=-math.inf, posinf=-math.inf).argmax()),
    ),
    *(
        Misconception(
            f"over_rates{name}",
            "the mean is taken over the rates, so that the seeds are compared. A row is a rate: average along the row.",
            wrong,
        )
        for name, wrong in (("", _over_rates), ("_plain", _over_rates_plain), ("_with_edges", _over_rates_with_edges))
    ),
    *(
        Misconception(
            wrong.__name__[1:],
            "the position is counted among the rates that did not fail, but looked up among all of them.",
            wrong,
            credit=0.5,
        )
        for wrong in (_shifted, _shifted_with_care)
    ),
    Misconception(
        "zero_at_the_edge",
        "0 or False where the best lies at the edge. Both are numbers, and somebody will train with them: None says that "
        "there is no answer.",
        _best(at_edge=lambda lrs, k: 0.0),
        credit=0.7,
    ),
    Misconception("first_seed", "only the first seed is looked at.", _best(lambda row: row[0]), credit=0.3),
    Misconception("always_none", "None whatever the losses are.", lambda lrs, losses: None),
    Misconception(
        "rate_at_the_edge_as_nan",
        "nan where the best lies at the edge. Say it with None, which nobody can calculate on with by accident.",
        _best(at_edge=lambda lrs, k: math.nan),
        credit=0.7,
    ),
)


# --- evidence_board ----------------------------------------------------------------------------------------------

WORDS = ["supports", "against", "silent"]
BOARD = ["against", "supports", "silent", "supports", "against", "supports"]
EXPERIMENTS = [
    "A, softmax regression",
    "B, the network of this course",
    "C, the convolutional network",
    "D, the attention network",
    "E, heavy-tailed classes",
    "F, the same with equal classes",
]
# For each experiment, what to tell those who gave one of the other two words.
SAYS = [
    {
        "supports": "a convex problem, much older than Adam. Does the conjecture expect a lead of Adam here, and was there "
        "one?",
        "silent": "small and easy as the problem is, the rule asks only whether the last column names a method.",
    },
    {
        "against": "networks like this one are older than Adam. What does the conjecture expect of them, and which method "
        "does the last column name?",
        "silent": "that the test accuracies are alike is another question. The board is about the training loss, seed by "
        "seed.",
    },
    {
        "supports": "a result that suits the conjecture must first be a result. Look at the last column: would five other "
        "seeds say the same?",
        "against": "against the conjecture would be a clear lead of Adam on a kind of network that grew up with SGD. How "
        "clear is the lead in the last column, with the finer grid?",
    },
    {
        "against": "what does the conjecture expect of attention, and what does the last column say?",
        "silent": "one block on pictures of 8 × 8 pixels is far from a language model. But the rule looks only at what was "
        "expected and at the last column; doubts belong in the paragraph.",
    },
    {
        "supports": "a linear model has no architecture that could have been bred for Adam. What does the conjecture expect "
        "of it?",
        "silent": "that there is no architecture does not mean that the conjecture expects nothing here. Was Adam expected "
        "to be ahead?",
    },
    {
        "against": "the same linear model, only with classes of one size. Was Adam expected to be ahead, and was it?",
        "silent": "a control explains why E came out as it did, but it has an outcome of its own. Apply the rule to it "
        "alone.",
    },
]


def _with(part, word):
    return [word if k == part else right for k, right in enumerate(BOARD)]


def board_cases(random):
    return [{"part": part, "text": f"experiment {name}"} for part, name in enumerate(EXPERIMENTS)]


EVIDENCE = tuple(
    Misconception(
        f"{EXPERIMENTS[part][0]}_{word}", f"“{word}” for {EXPERIMENTS[part]}: {text}", _with(part, word), 5 / 6
    )
    for part, says in enumerate(SAYS)
    for word, text in says.items()
)


EXERCISES = [
    Exercise(
        "make_optimizer",
        notebook=NOTEBOOK,
        points=3,
        observer="optimizer_by_name",
        cases=make_cases,
        reference=make_optimizer,
        misconceptions=tuple(MAKE),
        rtol=1e-8,
    ),
    Exercise(
        "to_torch_lr",
        notebook=NOTEBOOK,
        points=2,
        observer="values",
        settings={"arguments": ["lr", "alpha", "form"]},
        cases=to_torch_cases,
        reference=to_torch_lr,
        misconceptions=TO_TORCH,
    ),
    Exercise(
        "best_learning_rate",
        notebook=NOTEBOOK,
        points=3,
        observer="values",
        settings={"arguments": ["lrs", "losses"], "none": True},
        cases=best_cases,
        reference=best_learning_rate,
        misconceptions=BEST,
    ),
    Exercise(
        "evidence_board",
        notebook=NOTEBOOK,
        points=3,
        observer="answer",
        settings={"words": WORDS},
        cases=board_cases,
        reference=BOARD,
        misconceptions=EVIDENCE,
    ),
]
