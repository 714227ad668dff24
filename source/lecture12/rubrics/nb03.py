"""Rubric of 03_schedulers."""

import math
from itertools import combinations

import torch

from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "03_schedulers"


# --- adjust_learning_rate ----------------------------------------------------------------------------------------


def adjust_learning_rate(optimizer, epoch, lr0, k):
    for group in optimizer.param_groups:
        group["lr"] = lr0 * math.exp(-k * epoch)


def _setting(rate, groups=slice(None)):
    """Sets the rate of each group to ``rate(its rate now, epoch, lr0, k)``."""

    def wrong(optimizer, epoch, lr0, k):
        for group in optimizer.param_groups[groups]:
            group["lr"] = rate(group["lr"], epoch, lr0, k)

    return wrong


def _attribute(optimizer, epoch, lr0, k):
    optimizer.lr = lr0 * math.exp(-k * epoch)


def _from_its_first_rate(optimizer, epoch, lr0, k):
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * math.exp(-k * epoch)


def adjust_cases(random):
    cases = []
    for epochs in ([0, 1, 2, 5, 3], [4, 0, 10]):
        lr0, k = round(random.uniform(0.1, 0.9), 2), round(random.uniform(0.05, 0.3), 2)
        lrs = [round(lr0 / 2, 3), 2 * lr0]
        text = f"two parameter groups with the rates {lrs} before, lr0={lr0}, k={k}, called for the epochs {epochs}"
        cases.append({"lrs": lrs, "epochs": epochs, "args": {"lr0": lr0, "k": k}, "text": text})
    return cases


_CURRENT = (
    "the rate is taken from the group and made smaller at every call. The formula starts from lr0: then a call may be "
    "repeated, and a run may be resumed at any epoch."
)
ADJUST = (
    Misconception(
        "first_group_only",
        "only the first parameter group gets the new rate. An optimizer may have several.",
        _setting(lambda now, t, lr0, k: lr0 * math.exp(-k * t), slice(1)),
        credit=0.5,
    ),
    Misconception(
        "last_group_only",
        "only the last parameter group gets the new rate. An optimizer may have several.",
        _setting(lambda now, t, lr0, k: lr0 * math.exp(-k * t), slice(-1, None)),
        credit=0.5,
    ),
    Misconception(
        "attribute",
        "no parameter group has changed. The optimizer reads its rates from optimizer.param_groups at every "
        "step; another attribute, or a local variable, is nothing to it.",
        _attribute,
    ),
    Misconception(
        "first_rates",
        "each group fades from the rate that it had at first. The formula starts from lr0, in every group.",
        _from_its_first_rate,
        credit=0.5,
    ),
    Misconception("compounding", _CURRENT, _setting(lambda now, t, lr0, k: now * math.exp(-k)), credit=0.3),
    Misconception("compounding_power", _CURRENT, _setting(lambda now, t, lr0, k: now * math.exp(-k * t)), credit=0.3),
    Misconception(
        "epoch_plus_1",
        "the rate of the next epoch. In epoch 0 the rate is lr0.",
        _setting(lambda now, t, lr0, k: lr0 * math.exp(-k * (t + 1))),
        credit=0.5,
    ),
    Misconception(
        "growing", "a rate that grows: look at the sign.", _setting(lambda now, t, lr0, k: lr0 * math.exp(k * t))
    ),
    Misconception(
        "hyperbolic",
        "1/(1 + kt). The schedule asked for is the exponential one.",
        _setting(lambda now, t, lr0, k: lr0 / (1 + k * t)),
    ),
    Misconception(
        "factor", "the factor without lr0 becomes the rate.", _setting(lambda now, t, lr0, k: math.exp(-k * t))
    ),
)


# --- exponential_lambda ------------------------------------------------------------------------------------------


def exponential_lambda(k):
    return lambda epoch: math.exp(-k * epoch)


_kept = {}


def _shared_variable(k):
    _kept["k"] = k
    return lambda epoch: math.exp(-_kept["k"] * epoch)


def _counts_itself(k):
    factor = [math.exp(k)]

    def f(epoch):
        factor[0] *= math.exp(-k)
        return factor[0]

    return f


def lambda_cases(random):
    cases = []
    for epochs in ([0, 1, 2, 10], [5, 0, 1]):
        lr, k = random.choice([0.2, 0.4, 0.5]), round(random.uniform(0.05, 0.3), 2)
        text = f"k={k}, a LambdaLR on an optimizer with lr={lr}"
        cases.append({"lr": lr, "args": {"k": k}, "other": {"k": 2 * k}, "epochs": epochs, "text": text})
    return cases


_EACH_TIME = (
    "a factor from one epoch to the next. LambdaLR multiplies the first rate by what you return, so it must hold the "
    "whole decay up to this epoch."
)
LAMBDA = (
    Misconception(
        "absolute_rate",
        "a learning rate of its own is in it. LambdaLR multiplies what you return by the optimizer's rate, "
        "so this one would count twice.",
        lambda k: lambda epoch: 0.1 * math.exp(-k * epoch),
        credit=0.3,
    ),
    Misconception(
        "shared_variable",
        "k is read when the schedule runs, from a variable that has changed by then: a second schedule "
        "spoils the first. Use the k that this call was given.",
        _shared_variable,
        credit=0.5,
    ),
    Misconception("compounding", _EACH_TIME, lambda k: lambda epoch: math.exp(-k), credit=0.3),
    Misconception(
        "counts_itself",
        "the function counts its own calls. It is told the epoch; with a counter it goes wrong when a run "
        "is resumed, or when somebody plots it first.",
        _counts_itself,
        credit=0.3,
    ),
    Misconception(
        "epoch_plus_1",
        "the factor of the next epoch. In epoch 0 the factor is 1.",
        lambda k: lambda epoch: math.exp(-k * (epoch + 1)),
        credit=0.5,
    ),
    Misconception("growing", "a factor that grows: look at the sign.", lambda k: lambda epoch: math.exp(k * epoch)),
    Misconception(
        "hyperbolic",
        "1/(1 + kt). The schedule asked for is the exponential one.",
        lambda k: lambda epoch: 1 / (1 + k * epoch),
    ),
    Misconception("power_of_k", "k to the power of the epoch. The base is e.", lambda k: lambda epoch: k**epoch),
    Misconception(
        "no_function",
        "the factor itself is returned. Return a function that LambdaLR can call in every epoch.",
        lambda k: math.exp(-k),
    ),
)


# --- warmup_cosine -----------------------------------------------------------------------------------------------


def warmup_cosine(step, warmup_steps, total_steps):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
    return (1 + math.cos(math.pi * progress)) / 2


def _starts_at_zero(s, w, n):
    return s / w if s < w else warmup_cosine(s, w, n)


def _cosine_over_total(s, w, n):
    return (s + 1) / w if s < w else (1 + math.cos(math.pi * min(1, s / n))) / 2


def _rises_again(s, w, n):
    return (s + 1) / w if s < w else (1 + math.cos(math.pi * (s - w) / (n - w))) / 2


def _jump(s, w, n):
    return (s + 1) / w if w and s <= w else warmup_cosine(s, w, n)


def _jump_and_crash(s, w, n):
    return (s + 1) / w if s <= w else warmup_cosine(s, w, n)


def _never_at_zero(s, w, n):
    return (s + 1) / w if s < w else (1 + math.cos(math.pi * min(1, (s - w) / n))) / 2


def _stops_at_total(s, w, n):
    """Ends with the last step of the run instead of one after it."""
    return (s + 1) / w if s < w else (1 + math.cos(math.pi * min(1, (s - w) / (n - w - 1)))) / 2


def _quarter(s, w, n):
    return (s + 1) / w if s < w else math.cos(math.pi / 2 * min(1, (s - w) / (n - w)))


def _linear(s, w, n):
    return (s + 1) / w if s < w else 1 - min(1, (s - w) / (n - w))


def _no_half(s, w, n):
    return (s + 1) / w if s < w else max(0, math.cos(math.pi * min(1, (s - w) / (n - w))))


def _doubled(s, w, n):
    return (s + 1) / w if s < w else 1 + math.cos(math.pi * min(1, (s - w) / (n - w)))


def _no_pi(s, w, n):
    return (s + 1) / w if s < w else (1 + math.cos(min(1, (s - w) / (n - w)))) / 2


def _no_warmup(s, w, n):
    return (1 + math.cos(math.pi * min(1, s / n))) / 2


def _whole_numbers(s, w, n):
    return (s + 1) // w if s < w else warmup_cosine(s, w, n)


def _warms_up_only(s, w, n):
    return min(1, (s + 1) / w) if w else 1


def warmup_cases(random):
    cases = []
    for warmup, total in [
        (random.randint(4, 9), random.randint(20, 60)),
        (0, random.randint(8, 20)),
        (random.randint(2, 3), random.randint(10, 20)),
    ]:
        steps = sorted(
            {0, 1, warmup - 1, warmup, warmup + 1, (warmup + total) // 2, total - 1, total, total + 3} - {-1}
        )
        calls = {f"at step {s}": {"step": s, "warmup_steps": warmup, "total_steps": total} for s in steps}
        cases.append({"calls": calls, "text": f"warmup_steps={warmup}, total_steps={total}"})
    return cases


WARMUP = (
    Misconception(
        "starts_at_zero",
        "the warm-up starts at 0, so the very first step does nothing. Count the steps from 1 there.",
        _starts_at_zero,
        credit=0.5,
    ),
    Misconception(
        "cosine_over_total",
        "the cosine counts from the start of the run, so it has fallen already when the warm-up ends. "
        "It begins where the warm-up ends.",
        _cosine_over_total,
        credit=0.5,
    ),
    Misconception(
        "rises_again",
        "after total_steps the cosine goes up again. Keep it at 0 from there on.",
        _rises_again,
        credit=0.5,
    ),
    *(
        Misconception(
            name,
            "a factor above 1 at the junction, or a division by zero where there is no warm-up: the step with the number "
            "warmup_steps belongs to the cosine.",
            wrong,
            credit=0.5,
        )
        for name, wrong in (("jump", _jump), ("jump_and_crash", _jump_and_crash))
    ),
    Misconception(
        "never_at_zero",
        "the cosine does not reach 0 at total_steps: it has total_steps − warmup_steps steps, not total_steps.",
        _never_at_zero,
        credit=0.5,
    ),
    Misconception(
        "zero_too_early",
        "0 comes one step early: it belongs to the step with the number total_steps.",
        _stops_at_total,
        credit=0.5,
    ),
    Misconception(
        "quarter",
        "a quarter of a cosine: it starts flat and ends steep. Half a period is flat at both ends.",
        _quarter,
        credit=0.3,
    ),
    Misconception("linear", "a straight line down. Asked for is half a cosine.", _linear, credit=0.3),
    Misconception(
        "cut_off", "a cosine that is cut off at 0 half-way. Shift and shrink it so that it runs from 1 to 0.", _no_half
    ),
    Misconception("doubled", "a cosine that runs from 2 to 0: at the junction it jumps.", _doubled, credit=0.3),
    Misconception("no_pi", "the cosine ends near 0.77. Half a period is π.", _no_pi),
    Misconception("no_warmup", "there is no warm-up.", _no_warmup),
    Misconception(
        "whole_numbers",
        "a division of whole numbers, //, which gives 0 until the warm-up is over.",
        _whole_numbers,
        credit=0.3,
    ),
    Misconception("warms_up_only", "the factor stays at 1 after the warm-up.", _warms_up_only),
)


# --- learning_rates_used -----------------------------------------------------------------------------------------

USED = [[0.3, 0.0, 0.06, 0.12], [0.01, 0.005, 0.0025, 0.00125], [0.8, 0.2, 0.05], [0.2, 0.1, 0.0, 0.1, 0.2]]


def _but(part, rates):
    return [rates if i == part else used for i, used in enumerate(USED)]


def used_cases(random):
    return [{"part": i, "text": f"block {letter}"} for i, letter in enumerate("ABCD")]


USED_MISTAKES = (
    Misconception(
        "as_intended",
        "the rates that block A was meant to use. Look at when the new rate is set, and what the optimizer "
        "holds before.",
        _but(0, [0.0, 0.06, 0.12, 0.18]),
        credit=0.75,
    ),
    Misconception(
        "first_rate_kept",
        "right from the second epoch on. Which rate does block A's optimizer hold in the very first?",
        _but(0, [0.0, 0.0, 0.06, 0.12]),
        credit=0.75,
    ),
    Misconception(
        "one_early",
        "block A: the first rate is right. At the end of epoch 0, with which number is the function called?",
        _but(0, [0.3, 0.06, 0.12, 0.18]),
        credit=0.75,
    ),
    Misconception(
        "rate_for_factor",
        "block B's function taken for a rate. LambdaLR takes it for a factor.",
        _but(1, [0.1, 0.05, 0.025, 0.0125]),
        credit=0.75,
    ),
    Misconception(
        "first_rate_of_the_optimizer",
        "right from the second epoch on. But a LambdaLR sets the rate as soon as it is made.",
        _but(1, [0.1, 0.005, 0.0025, 0.00125]),
        credit=0.75,
    ),
    Misconception(
        "per_epoch",
        "block C's scheduler taken to step once per epoch. In which loop does scheduler.step() stand?",
        _but(2, [0.8, 0.4, 0.2]),
        credit=0.75,
    ),
    Misconception(
        "stays_at_zero",
        "block D's cosine taken to stay at 0 after T_max.",
        _but(3, [0.2, 0.1, 0.0, 0.0, 0.0]),
        credit=0.75,
    ),
    Misconception(
        "restarts",
        "block D's cosine taken to jump back to the top after T_max. It swings on.",
        _but(3, [0.2, 0.1, 0.0, 0.2, 0.1]),
        credit=0.75,
    ),
)


# --- save_checkpoint, load_checkpoint ----------------------------------------------------------------------------


def save_checkpoint(path, model, optimizer, scheduler, epoch, generator):
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "epoch": epoch,
            "rng": torch.get_rng_state(),
            "generator": generator.get_state(),
        },
        path,
    )


def _loading(forgotten=(), after=None, next_epoch=1):
    def load_checkpoint(path, model, optimizer, scheduler, generator):
        there = torch.load(path)
        for name, part in {"model": model, "optimizer": optimizer, "scheduler": scheduler}.items():
            if name not in forgotten:
                part.load_state_dict(there[name])
        if "generator" not in forgotten:
            generator.set_state(there["generator"])
        if "rng" not in forgotten:
            torch.set_rng_state(there["rng"])
        if after:
            after(model, optimizer, scheduler, there)
        return None if next_epoch is None else there["epoch"] + next_epoch

    return load_checkpoint


def _nothing_loaded(path, model, optimizer, scheduler, generator):
    torch.load(path)


def _rebuild_scheduler(model, optimizer, scheduler, there):
    """As if the scheduler were made after the optimizer was loaded: making one sets the first rate again."""
    count = scheduler.state_dict()
    scheduler.__init__(optimizer, scheduler.lr_lambdas[0])
    scheduler.load_state_dict(count)


def _parameters_only(path, model, optimizer, scheduler, epoch, generator):
    save_checkpoint(path, model, optimizer, scheduler, epoch, generator)
    there = torch.load(path)
    there["model"] = {name: p.detach() for name, p in model.named_parameters()}
    torch.save(there, path)


def _not_strict(path, model, optimizer, scheduler, generator):
    there = torch.load(path)
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    there["model"] = buffers | there["model"]
    torch.save(there, path)
    return _loading()(path, model, optimizer, scheduler, generator)


PARTS = {
    "model": "the model: weights and batch norm's running averages",
    "optimizer": "the optimizer: its momentum and the rate that it uses",
    "scheduler": "the scheduler: how far the schedule has gone",
    "rng": "torch's own random numbers, from which dropout draws (torch.get_rng_state)",
    "generator": "the state of the generator that shuffles (of the one handed in: a new one is not what the loop uses)",
}


def _forgotten():
    for size in range(1, len(PARTS) + 1):
        for names in combinations(PARTS, size):
            listed = "; ".join(PARTS[n] for n in names)
            message = f"the run cannot go on as before, because something is not brought back: {listed}."
            credit = {1: 0.5, 2: 0.25}.get(size, 0.0)
            yield Misconception(f"forgot_{'_'.join(names)}", message, (save_checkpoint, _loading(names)), credit=credit)


def checkpoint_cases(random):
    cases = []
    for kind, hyper in [("SGD", {"lr": 0.2, "momentum": 0.9}), ("Adam", {"lr": 0.01})]:
        stop, seed = random.randint(2, 3), random.randint(0, 2**31)
        case = {
            "optimizer": [kind, hyper],
            "decay": 0.7,
            "seed": seed,
            "fresh": seed + 1,
            "then": random.randint(0, 2**31),
            "stop": stop,
            "epochs": stop + 2,
        }
        text = f"{kind}, interrupted after epoch {stop - 1}, resumed in a fresh process for two more epochs"
        cases.append(case | {"text": text})
    return cases


CHECKPOINT = (
    *_forgotten(),
    Misconception(
        "nothing_loaded",
        "after load_checkpoint everything is as before the call. What stands in the file must go into the objects that "
        "are handed in.",
        (save_checkpoint, _nothing_loaded),
    ),
    Misconception(
        "epoch_repeated",
        "the epoch that was finished comes back, so it would be trained twice. Return the next one.",
        (save_checkpoint, _loading(next_epoch=0)),
        credit=0.7,
    ),
    Misconception(
        "epoch_not_returned",
        "all is brought back, but the next epoch is not returned.",
        (save_checkpoint, _loading(next_epoch=None)),
        credit=0.7,
    ),
    Misconception(
        "scheduler_order",
        "the optimizer uses another rate than when it was saved, though the scheduler has its count. "
        "Making a scheduler sets the first rate: make everything first, then load everything.",
        (save_checkpoint, _loading(after=_rebuild_scheduler)),
        credit=0.5,
    ),
    Misconception(
        "scheduler_stepped",
        "the scheduler's count is not what was saved, and so neither is the rate. Its state_dict knows both: a scheduler "
        "that is stepped again, or made anew while loading, does not keep them.",
        (save_checkpoint, _loading(after=lambda m, o, s, there: s.step())),
        credit=0.5,
    ),
    Misconception(
        "parameters_only",
        "batch norm's running averages are not brought back. They are buffers, not parameters; "
        "model.state_dict() has both.",
        (_parameters_only, _not_strict),
        credit=0.5,
    ),
)


EXERCISES = [
    Exercise(
        "adjust_learning_rate",
        notebook=NOTEBOOK,
        points=2,
        observer="optimizer_rates",
        settings={"arguments": ["optimizer", "epoch", "lr0", "k"]},
        cases=adjust_cases,
        reference=adjust_learning_rate,
        misconceptions=ADJUST,
    ),
    Exercise(
        "exponential_lambda",
        notebook=NOTEBOOK,
        points=2,
        observer="lambda_rates",
        settings={"arguments": ["k"]},
        cases=lambda_cases,
        reference=exponential_lambda,
        misconceptions=LAMBDA,
    ),
    Exercise(
        "warmup_cosine",
        notebook=NOTEBOOK,
        points=3,
        observer="values",
        settings={"arguments": ["step", "warmup_steps", "total_steps"]},
        cases=warmup_cases,
        reference=warmup_cosine,
        misconceptions=WARMUP,
        rtol=1e-4,  # a cosine in single precision
    ),
    Exercise(
        "learning_rates_used",
        notebook=NOTEBOOK,
        points=2,
        observer="answer",
        cases=used_cases,
        reference=USED,
        misconceptions=USED_MISTAKES,
    ),
    Exercise(
        "save_checkpoint",
        notebook=NOTEBOOK,
        points=4,
        observer="resume",
        cases=checkpoint_cases,
        reference=(save_checkpoint, _loading()),
        misconceptions=CHECKPOINT,
    ),
]
