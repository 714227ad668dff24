"""Rubric of 01_minibatch_noise."""

import torch

from lecture_utils.checks.cases import numbers
from lecture_utils.checks.exercise import Exercise, Misconception

NOTEBOOK = "01_minibatch_noise"


# --- minibatches -------------------------------------------------------------------------------------------------


def minibatches(n, batch_size, generator):
    return torch.randperm(n, generator=generator).split(batch_size)


def _unshuffled(n, batch_size, generator):
    return torch.arange(n).split(batch_size)


def _blocks(n, batch_size, generator):
    blocks = torch.arange(n).split(batch_size)
    return [blocks[i] for i in torch.randperm(len(blocks), generator=generator)]


def _own_seed(n, batch_size, generator):
    return torch.randperm(n, generator=torch.Generator().manual_seed(0)).split(batch_size)


def _reseeded(n, batch_size, generator):
    return torch.randperm(n, generator=generator.manual_seed(0)).split(batch_size)


def _global(n, batch_size, generator):
    return torch.randperm(n).split(batch_size)


def _replacement(n, batch_size, generator):
    return torch.randint(n, (n,), generator=generator).split(batch_size)


def _replacement_full(n, batch_size, generator):
    for _ in range(0, n, batch_size):
        yield torch.randint(n, (batch_size,), generator=generator)


def _new_order_each_batch(n, batch_size, generator):
    for start in range(0, n, batch_size):
        yield torch.randperm(n, generator=generator)[start : start + batch_size]


def _dropped(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(n // batch_size)]


def _filled(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    missing = -n % batch_size
    return order.repeat(1 + batch_size)[: n + missing].split(batch_size)


def _moved_back(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, batch_size):
        start = max(0, min(start, n - batch_size))
        yield order[start : start + batch_size]


def _merged(n, batch_size, generator):
    batches = list(torch.randperm(n, generator=generator).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) < batch_size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _count_for_size(n, batch_size, generator):
    return torch.randperm(n, generator=generator).chunk(batch_size)


def _evened_out(n, batch_size, generator):
    return torch.randperm(n, generator=generator).chunk(-(-n // batch_size))


def _empty_batch(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(n // batch_size + 1)]


def _last_of_one(n, batch_size, generator):
    order = torch.randperm(n, generator=generator)
    return [order[start : start + batch_size] for start in range(0, n - 1, batch_size)]


def _from_one(n, batch_size, generator):
    return (torch.randperm(n, generator=generator) + 1).split(batch_size)


def _one_batch(n, batch_size, generator):
    return torch.randperm(n, generator=generator)[:batch_size].split(batch_size)


def minibatch_cases(random):
    size = random.randint(4, 6)
    # The last batch: some, as many as in the others, all that there are, and one alone.
    sizes = [(2 * size + random.randint(2, size - 1), size), (15, 5), (11, 16), (2 * size + 1, size), (13, 4)]
    return [
        {"args": {"n": n, "batch_size": b}, "seed": random.randint(0, 999), "text": f"n={n}, batch_size={b}"}
        for n, b in sizes
    ]


_DRAWN_ANEW = (
    "each batch is drawn anew, so some indices come twice in an epoch and others never. "
    "One shuffled order of all indices, cut into pieces, has each exactly once."
)
_OTHER_GENERATOR = (
    "the order does not come from the `generator` that is handed in, so a run cannot be repeated. "
    "Functions that draw random numbers take it as an argument."
)
_SAME_ORDER = "every epoch has the same order: the shuffling starts from a fixed seed each time, instead of going on."
_REMAINDER = "the last, shorter batch is not as it should be: it keeps the indices that are left, no more and no fewer."

MINIBATCHES = (
    Misconception("unshuffled", "the indices come in their own order. Nothing is shuffled.", _unshuffled),
    Misconception(
        "blocks",
        "the batches change their order, but each holds the same neighbours in every epoch. Shuffle the indices, "
        "then cut.",
        _blocks,
    ),
    Misconception("same_order", _SAME_ORDER, _own_seed),
    Misconception("reseeded", _SAME_ORDER, _reseeded),
    Misconception("global_generator", _OTHER_GENERATOR, _global, credit=0.5),
    Misconception("with_replacement", _DRAWN_ANEW, _replacement),
    Misconception("with_replacement_full", _DRAWN_ANEW, _replacement_full),
    Misconception("new_order_each_batch", _DRAWN_ANEW, _new_order_each_batch),
    Misconception(
        "remainder_dropped",
        "what does not fill a whole batch is dropped. Those examples would never be seen in this epoch.",
        _dropped,
        credit=0.5,
    ),
    Misconception("remainder_filled", _REMAINDER, _filled, credit=0.3),
    Misconception("remainder_moved_back", _REMAINDER, _moved_back, credit=0.3),
    Misconception("remainder_merged", _REMAINDER, _merged, credit=0.3),
    Misconception(
        "count_for_size",
        "there are `batch_size` batches. It is the number of indices in a batch, not the number of batches.",
        _count_for_size,
    ),
    Misconception(
        "evened_out",
        "the indices are spread evenly, so that several batches are too short. Only the last one may be.",
        _evened_out,
        credit=0.7,
    ),
    Misconception(
        "empty_batch",
        "when the batch size divides n, an empty batch comes last. There are as many batches as it takes, no more.",
        _empty_batch,
        credit=0.5,
    ),
    Misconception(
        "last_of_one",
        "where one index is left at the end, it never comes. A last batch may be as short as that.",
        _last_of_one,
        credit=0.7,
    ),
    Misconception("from_one", "the indices start at 1. The first example has index 0.", _from_one, credit=0.3),
    Misconception("one_batch", "only one batch comes. An epoch goes on until every index has come.", _one_batch),
)


# --- gradient_noise and noise_scale ------------------------------------------------------------------------------


def _trace(grads, ddof=0):
    return (grads - grads.mean(0)).square().sum() / (len(grads) - ddof)


def gradient_noise(per_example_grads, batch_size):
    n = len(per_example_grads)
    return (_trace(per_example_grads) / batch_size * (n - batch_size) / (n - 1)).item()


def _no_factor(g, b):
    return _trace(g) / b


def _b_squared(g, b):
    return _trace(g) / b**2 * (len(g) - b) / (len(g) - 1)


def _deviation(g, b):
    return gradient_noise(g, b) ** 0.5


def _also_n_minus_1(g, b):
    return _trace(g, 1) / b * (len(g) - b) / (len(g) - 1)


def _only_n_minus_1(g, b):
    return _trace(g, 1) / b


def _factor_by_n(g, b):
    return _trace(g) / b * (len(g) - b) / len(g)


def _mean_over_weights(g, b):
    return gradient_noise(g, b) / g.shape[1]


def _not_centred(g, b):
    return g.square().sum() / len(g) / b * (len(g) - b) / (len(g) - 1)


def _not_centred_no_factor(g, b):
    return g.square().sum() / len(g) / b


def _no_batch_size(g, b):
    return _trace(g) * (len(g) - b) / (len(g) - 1)


def _not_divided_by_n(g, b):
    return gradient_noise(g, b) * len(g)


def _centred_per_example(g, b):
    return (g - g.mean(1, keepdim=True)).square().sum() / len(g) / b * (len(g) - b) / (len(g) - 1)


def _overall_mean(g, b):
    return (g - g.mean()).square().sum() / len(g) / b * (len(g) - b) / (len(g) - 1)


def _grads(random, n, d):
    return numbers(random, (n, d))


def gradient_noise_cases(random):
    cases = []
    for n, d, b in [(6, 3, 2), (9, 2, 1), (5, 4, 3), (4, 2, 4)]:
        n += random.randint(0, 2) if b < n else 0
        args = {"per_example_grads": _grads(random, n, d), "batch_size": b}
        cases.append({"args": args, "text": f"{n} gradients of {d} weights, batch_size={b}"})
    return cases


_SECOND_MOMENT = (
    "the squares of the gradients themselves. Noise is the scatter around their mean: subtract the full gradient first."
)
_BOTH_CORRECTIONS = (
    "Σ divided by N − 1. That correction is for a sample of something larger; here the N gradients are everything "
    "there is, and the factor (N − B)/(N − 1) belongs to Σ with 1/N."
)

GRADIENT_NOISE = (
    Misconception(
        "no_population_factor",
        "tr Σ/B, the noise of drawing with replacement. A batch without replacement is less noisy, and a batch of all N "
        "has no noise at all: a factor is missing.",
        _no_factor,
        credit=0.5,
    ),
    Misconception(
        "b_squared",
        "1/B². Variances of independent terms add up, B of them; the mean divides by B² once: one B is left.",
        _b_squared,
    ),
    Misconception("deviation", "a standard deviation. Asked for is its square, E‖ĝ − g‖².", _deviation, credit=0.5),
    Misconception("n_minus_1_as_well", _BOTH_CORRECTIONS, _also_n_minus_1, credit=0.5),
    Misconception("n_minus_1_instead", _BOTH_CORRECTIONS, _only_n_minus_1, credit=0.3),
    Misconception(
        "factor_by_n",
        "(N − B)/N. That factor belongs to Σ with 1/(N − 1); with 1/N its denominator is N − 1.",
        _factor_by_n,
        credit=0.5,
    ),
    Misconception(
        "mean_over_weights",
        "an average over the weights. The trace, and the squared length of a vector, are sums over the weights.",
        _mean_over_weights,
        credit=0.3,
    ),
    Misconception("not_centred", _SECOND_MOMENT, _not_centred),
    Misconception("not_centred_no_factor", _SECOND_MOMENT, _not_centred_no_factor),
    Misconception("batch_size_forgotten", "the noise does not fall with the batch size.", _no_batch_size),
    Misconception(
        "not_divided_by_n", "a sum over the examples. Σ is a mean over the N examples.", _not_divided_by_n, credit=0.3
    ),
    Misconception(
        "overall_mean",
        "one mean of everything is subtracted. The full gradient has one entry for each weight: the mean over the "
        "examples only.",
        _overall_mean,
    ),
    Misconception(
        "wrong_mean",
        "the mean over the weights of each example is subtracted. Subtract the mean over the examples, one for each "
        "weight.",
        _centred_per_example,
    ),
)


def noise_scale(per_example_grads):
    return (_trace(per_example_grads) / per_example_grads.mean(0).square().sum()).item()


def _inverted(g):
    return 1 / noise_scale(g)


def _norm_not_squared(g):
    return _trace(g) / g.mean(0).norm()


def _mean_of_norms(g):
    return _trace(g) / g.square().sum(1).mean()


def _mean_of_norms_squared(g):
    return _trace(g) / g.norm(dim=1).mean() ** 2


def _scale_n_minus_1(g):
    return _trace(g, 1) / g.mean(0).square().sum()


def _scale_root(g):
    return noise_scale(g) ** 0.5


def _scale_not_centred(g):
    return g.square().sum(1).mean() / g.mean(0).square().sum()


def _summed_gradient(g):
    return _trace(g) / g.sum(0).square().sum()


def _scale_mean_over_weights(g):
    return _trace(g) / g.shape[1] / g.mean(0).square().sum()


def noise_scale_cases(random):
    cases = []
    for n, d in [(6, 3), (9, 2), (5, 4)]:
        grads = [[round(x + 1, 2) for x in row] for row in _grads(random, n, d)]
        cases.append({"args": {"per_example_grads": grads}, "text": f"{n} gradients of {d} weights"})
    return cases


_WHICH_MEAN = (
    "the mean of the lengths of the single gradients below the line. It is the length of their mean, the full gradient, "
    "that belongs there: most of the single lengths is noise."
)
NOISE_SCALE = (
    Misconception("inverted", "signal over noise. Turn the fraction round.", _inverted, credit=0.3),
    Misconception(
        "norm_not_squared",
        "the length of the gradient, not squared. The result must be a number of examples: scale all gradients by 10, "
        "and it may not change.",
        _norm_not_squared,
        credit=0.5,
    ),
    Misconception("mean_of_norms", _WHICH_MEAN, _mean_of_norms),
    Misconception("mean_of_norms_squared", _WHICH_MEAN, _mean_of_norms_squared),
    Misconception("n_minus_1", _BOTH_CORRECTIONS.split(";")[0] + ".", _scale_n_minus_1, credit=0.5),
    Misconception("root", "a ratio of lengths. Both noise and signal are squared.", _scale_root, credit=0.5),
    Misconception("not_centred", _SECOND_MOMENT, _scale_not_centred),
    Misconception(
        "summed_gradient", "the sum of the gradients. The full gradient is their mean.", _summed_gradient, credit=0.3
    ),
    Misconception(
        "mean_over_weights",
        "the noise is averaged over the weights, the signal summed. Treat both alike.",
        _scale_mean_over_weights,
        credit=0.3,
    ),
)


# --- stratified_minibatches --------------------------------------------------------------------------------------


def _pools(labels, generator):
    for c in labels.unique():
        members = (labels == c).nonzero()[:, 0]
        yield members[torch.randperm(len(members), generator=generator)] if generator else members


def _stratified(labels, batch_size, generator):
    pools, left = list(_pools(labels, generator)), len(labels)
    while left:
        size = min(batch_size, left)
        share = torch.tensor([size * len(pool) / left for pool in pools])
        counts = share.long()
        largest = (share - counts).argsort(descending=True)
        counts[largest[: size - counts.sum()]] += 1
        yield torch.cat([pool[:k] for pool, k in zip(pools, counts, strict=True)])
        pools = [pool[k:] for pool, k in zip(pools, counts, strict=True)]
        left -= size


def stratified_minibatches(labels, batch_size, generator):
    return _stratified(labels, batch_size, generator)


def _not_shuffled(labels, batch_size, generator):
    return _stratified(labels, batch_size, None)


def _sorted_by_class(labels, batch_size, generator):
    return labels.argsort(stable=True).split(batch_size)


def _classes_one_by_one(labels, batch_size, generator):
    return torch.cat(list(_pools(labels, generator))).split(batch_size)


def _equal_numbers(labels, batch_size, generator):
    """The same number of each class, round and round, until a class runs out; then what is left."""
    pools, order = [pool.tolist() for pool in _pools(labels, generator)], []
    while any(pools):
        order += [pool.pop() for pool in pools if pool]
    return torch.tensor(order).split(batch_size)


def _equal_numbers_only(labels, batch_size, generator):
    pools = list(_pools(labels, generator))
    k = batch_size // len(pools)
    for i in range(len(labels) // batch_size):
        yield torch.cat([pool[i * k : (i + 1) * k] for pool in pools])


def _plainly_shuffled(labels, batch_size, generator):
    return torch.randperm(len(labels), generator=generator).split(batch_size)


def _leftovers_lost(labels, batch_size, generator):
    return [b for b in _stratified(labels, batch_size, generator) if len(b) == batch_size]


def _rounded_down(labels, batch_size, generator):
    pools = list(_pools(labels, generator))
    per_batch = [len(pool) * batch_size // len(labels) for pool in pools]
    for i in range(len(labels) // batch_size):
        yield torch.cat([pool[i * k : (i + 1) * k] for pool, k in zip(pools, per_batch, strict=True)])


def _dealt(labels, batch_size, generator):
    """Like cards: every batch gets about as many."""
    order, count = torch.cat(list(_pools(labels, generator))), -(-len(labels) // batch_size)
    return [order[i::count] for i in range(count)]


def _balanced(labels, batch_size, generator):
    """As if every class were equally frequent: rare examples come again and again."""
    weights = 1.0 / labels.bincount()[labels]
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator).split(batch_size)


def _stratified_with_replacement(labels, batch_size, generator):
    for batch in _stratified(labels, batch_size, generator):
        for_each = [(labels == labels[i]).nonzero()[:, 0] for i in batch]
        yield torch.stack([m[torch.randint(len(m), (), generator=generator)] for m in for_each])


def _stratified_own_seed(labels, batch_size, generator):
    return _stratified(labels, batch_size, torch.Generator().manual_seed(0))


def _stratified_global(labels, batch_size, generator):
    return _stratified(labels, batch_size, torch.default_generator)


def stratified_cases(random):
    cases = []
    for rest in (0, 3):
        share = [random.randint(6, 8), random.randint(3, 5), random.randint(1, 2)]
        size, counts = sum(share), [5 * k + (1 if rest else 0) for k in share]
        labels = [c for c, count in enumerate(counts) for _ in range(count)]
        random.shuffle(labels)
        text = f"{len(labels)} labels of three classes, {counts[0]}, {counts[1]} and {counts[2]} of each, batch_size={size}"
        seed = random.randint(0, 999)
        cases.append({"args": {"labels": labels, "batch_size": size}, "seed": seed, "text": text})
    labels = [0, 1, 2] * 10
    random.shuffle(labels)
    text = "30 labels of three classes, 10 of each, batch_size=10"  # a share of 3⅓: what rounding leaves over shows
    cases.append({"args": {"labels": labels, "batch_size": 10}, "seed": random.randint(0, 999), "text": text})
    return cases


_PROPORTIONS = (
    "each class comes equally often at first. The batch should look like the whole set: a class that is twice as "
    "frequent there is twice as frequent in each batch."
)
_LEFTOVERS = "some examples never come: what the rounding leaves over, or does not fill the last batch, is lost."
STRATIFIED = (
    Misconception(
        "not_shuffled",
        "the proportions are right, but each epoch has the same batches. Shuffle within each class first.",
        _not_shuffled,
        credit=0.5,
    ),
    Misconception(
        "sorted", "the examples are sorted by their class, so a batch holds one or two classes only.", _sorted_by_class
    ),
    Misconception(
        "classes_one_by_one",
        "one class comes after the other. A batch should take some of every class.",
        _classes_one_by_one,
    ),
    Misconception("only_classes_present", _PROPORTIONS, _equal_numbers, credit=0.3),
    Misconception("equal_numbers", _PROPORTIONS, _equal_numbers_only, credit=0.3),
    Misconception("plainly_shuffled", "ordinary minibatches: the labels are not looked at.", _plainly_shuffled),
    Misconception("leftovers_lost", _LEFTOVERS, _leftovers_lost, credit=0.5),
    Misconception("rounded_down", _LEFTOVERS, _rounded_down, credit=0.5),
    Misconception("with_replacement", _DRAWN_ANEW, _stratified_with_replacement, credit=0.3),
    Misconception(
        "balanced",
        "examples are drawn by weights, with replacement: some come several times in an epoch and others never. "
        "Stratifying keeps the shares of the classes; it does not make them equal.",
        _balanced,
    ),
    Misconception(
        "dealt_out",
        "the shares are right, but the examples are spread evenly, so that several batches are too short. "
        "Only the last one may have fewer than batch_size.",
        _dealt,
        credit=0.7,
    ),
    Misconception("same_order", _SAME_ORDER, _stratified_own_seed),
    Misconception("global_generator", _OTHER_GENERATOR, _stratified_global, credit=0.5),
)


EXERCISES = [
    Exercise(
        "minibatches",
        notebook=NOTEBOOK,
        points=3,
        observer="batches",
        settings={"arguments": ["n", "batch_size", "generator"]},
        cases=minibatch_cases,
        reference=minibatches,
        misconceptions=MINIBATCHES,
    ),
    Exercise(
        "gradient_noise",
        notebook=NOTEBOOK,
        points=3,
        observer="values",
        settings={"arguments": ["per_example_grads", "batch_size"]},
        cases=gradient_noise_cases,
        reference=gradient_noise,
        misconceptions=GRADIENT_NOISE,
    ),
    Exercise(
        "noise_scale",
        notebook=NOTEBOOK,
        points=2,
        observer="values",
        settings={"arguments": ["per_example_grads"]},
        cases=noise_scale_cases,
        reference=noise_scale,
        misconceptions=NOISE_SCALE,
    ),
    Exercise(
        "stratified_minibatches",
        notebook=NOTEBOOK,
        points=3,
        observer="batches",
        settings={"arguments": ["labels", "batch_size", "generator"]},
        cases=stratified_cases,
        reference=stratified_minibatches,
        misconceptions=STRATIFIED,
    ),
]
