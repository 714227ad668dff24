"""Wrong answers kept aside: they measure how many are named, and took no part in making the slips."""

KEPT_ASIDE = {
    "gradient_step": {
        "uphill": {"w - lr * grad": "w + lr * grad"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "nothing returned": {"return w": ""},
        "gradient returned": {"return w": "return grad"},
        "only the step, w left out": {"w - lr * grad": "-lr * grad"},
        "difference the other way round": {"w - lr * grad": "lr * grad - w"},
        "bracket around w - lr": {"w - lr * grad": "(w - lr) * grad"},
        "gradient forgotten": {"lr * grad": "lr"},
        "divided by the learning rate": {"lr * grad": "grad / lr"},
        "new value in another name": {"w = w - lr * grad": "w_new = w - lr * grad"},
        "w for the gradient": {"lr * grad": "lr * w"},
        "step taken twice": {"return w": "return w - lr * grad"},
    },
    "minibatches": {
        "not shuffled": {"torch.randperm(n, generator=generator)": "torch.arange(n)"},
        "with replacement": {"torch.randperm(n, generator=generator)": "torch.randint(n, (n,), generator=generator)"},
        "generator not used": {"torch.randperm(n, generator=generator)": "torch.randperm(n)"},
        "permutation one short": {
            "torch.randperm(n, generator=generator)": "torch.randperm(n - 1, generator=generator)"
        },
        "remainder dropped": {"range(0, n, batch_size)": "range(0, n - batch_size + 1, batch_size)"},
        "starts from one": {"range(0, n, batch_size)": "range(1, n, batch_size)"},
        "step of the range forgotten": {"range(0, n, batch_size)": "range(0, n)"},
        "numbers of batches for starts": {"range(0, n, batch_size)": "range(n // batch_size)"},
        "end of the slice without the start": {"order[i:i + batch_size]": "order[i:batch_size]"},
        "slice one short": {"i + batch_size": "i + batch_size - 1"},
        "slice one long": {"i + batch_size": "i + batch_size + 1"},
        "return inside the loop": {
            "return [order[i:i + batch_size] for i in starts]": (
                "for i in starts:\n    return [order[i:i + batch_size]]"
            )
        },
    },
    "gradient_noise": {
        "columns for rows": {"len(per_example_grads)": "per_example_grads.shape[1]"},
        "mean over everything": {"per_example_grads.mean(dim=0)": "per_example_grads.mean()"},
        "sum for mean": {"per_example_grads.mean(dim=0)": "per_example_grads.sum(dim=0)"},
        "mean not subtracted": {"per_example_grads - full": "per_example_grads"},
        "square forgotten": {"deviation.square().sum()": "deviation.abs().sum()"},
        "mean over all entries": {"deviation.square().sum() / n": "deviation.square().mean()"},
        "n - 1 in the covariance": {"deviation.square().sum() / n": "deviation.square().sum() / (n - 1)"},
        "n below in the factor": {"n - 1": "n"},
        "factor inverted": {"(n - batch_size) / (n - 1)": "(n - 1) / (n - batch_size)"},
        "batch size squared": {"trace / batch_size": "trace / batch_size ** 2"},
        "factor left out": {"trace / batch_size * factor": "trace / batch_size"},
        "standard deviation": {"noise.item()": "noise.sqrt().item()"},
    },
    "noise_scale": {
        "numel for rows": {"len(per_example_grads)": "per_example_grads.numel()"},
        "mean over everything": {"per_example_grads.mean(dim=0)": "per_example_grads.mean()"},
        "median for mean": {"per_example_grads.mean(dim=0)": "per_example_grads.median(dim=0).values"},
        "mean not subtracted": {"per_example_grads - full": "per_example_grads"},
        "norm for squared norm in the trace": {"deviation.square().sum() / n": "deviation.norm() / n"},
        "not divided by n": {"deviation.square().sum() / n": "deviation.square().sum()"},
        "n - 1 in the covariance": {"deviation.square().sum() / n": "deviation.square().sum() / (n - 1)"},
        "norm of the gradient not squared": {"full.square().sum()": "full.norm()"},
        "squared after the sum": {"full.square().sum()": "full.sum().square()"},
        "mean of the squared norms": {"full.square().sum()": "per_example_grads.square().sum(dim=1).mean()"},
        "inverted": {"trace / signal": "signal / trace"},
        "trace returned": {"return scale.item()": "return trace.item()"},
    },
    "stratified_minibatches": {
        "not shuffled within the class": {"members[order]": "members"},
        "numbers within the class": {"members[order]": "order"},
        "generator not used": {"torch.randperm(len(members), generator=generator)": "torch.randperm(len(members))"},
        "classes turned round": {"labels == c": "labels != c"},
        "max for min": {"min(batch_size, left)": "max(batch_size, left)"},
        "share of all labels, not of those left": {"size * len(pool) / left": "size * len(pool) / len(labels)"},
        "equal shares": {"size * len(pool) / left": "size / len(pools)"},
        "rounded up": {"share.long()": "share.ceil().long()"},
        "smallest remainder first": {"(share - counts).argsort(descending=True)": "(share - counts).argsort()"},
        "leftovers lost": {"counts[largest[:size - counts.sum()]] += 1": ""},
        "one leftover too many": {"size - counts.sum()": "size - counts.sum() + 1"},
        "what was drawn is not taken out": {"pools = [pool[k:] for pool, k in zip(pools, counts)]": ""},
    },
    "stationary_variance": {
        "learning rate squared": {"lr * noise_variance": "lr ** 2 * noise_variance"},
        "learning rate forgotten": {"lr * noise_variance": "noise_variance"},
        "small-step form": {"curvature * (2 - lr * curvature)": "2 * curvature"},
        "curvature below forgotten": {"curvature * (2 - lr * curvature)": "2 - lr * curvature"},
        "plus in the bracket": {"2 - lr * curvature": "2 + lr * curvature"},
        "one for two": {"2 - lr * curvature": "1 - lr * curvature"},
        "learning rate in the bracket forgotten": {"2 - lr * curvature": "2 - curvature"},
        "bracket below forgotten": {
            "lr * noise_variance / (curvature * (2 - lr * curvature))": (
                "lr * noise_variance / curvature * (2 - lr * curvature)"
            )
        },
        "standard deviation": {
            "lr * noise_variance / (curvature * (2 - lr * curvature))": (
                "math.sqrt(lr * noise_variance / (curvature * (2 - lr * curvature)))"
            )
        },
        "limit at one": {"0 < lr * curvature < 2": "0 < lr * curvature < 1"},
        "no lower limit": {"0 < lr * curvature < 2": "lr * curvature < 2"},
        "not checked": {"if not 0 < lr * curvature < 2:\n    raise ValueError('not stationary')": ""},
    },
    "exponential_decay": {
        "growth": {"-k * t": "k * t"},
        "hyperbolic": {"lr0 * math.exp(-k * t)": "lr0 / (1 + k * t)"},
        "power of k": {"math.exp(-k * t)": "k ** t"},
        "power of 1 - k": {"math.exp(-k * t)": "(1 - k) ** t"},
        "linear": {"math.exp(-k * t)": "(1 - k * t)"},
        "lr0 forgotten": {"lr0 * math.exp(-k * t)": "math.exp(-k * t)"},
        "time forgotten": {"-k * t": "-k"},
        "k forgotten": {"-k * t": "-t"},
        "divided by the time": {"-k * t": "-k / (t + 1)"},
        "one step ahead": {"-k * t": "-k * (t + 1)"},
        "divided by k": {"-k * t": "-t / k"},
        "base two": {"math.exp(-k * t)": "2 ** (-k * t)"},
    },
    "decay_constant": {
        "log10": {"math.log(lr0 / lr_end)": "math.log10(lr0 / lr_end)"},
        "log2": {"math.log(lr0 / lr_end)": "math.log2(lr0 / lr_end)"},
        "ratio inverted": {"lr0 / lr_end": "lr_end / lr0"},
        "one epoch fewer": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) / (epochs - 1)"},
        "one epoch more": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) / (epochs + 1)"},
        "epochs forgotten": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end)"},
        "times the epochs": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end) * epochs"},
        "logarithm forgotten": {"math.log(lr0 / lr_end)": "lr0 / lr_end"},
        "epochs inside the logarithm": {"math.log(lr0 / lr_end) / epochs": "math.log(lr0 / lr_end / epochs)"},
        "root for logarithm": {"math.log(lr0 / lr_end) / epochs": "(lr0 / lr_end) ** (1 / epochs)"},
        "difference for ratio": {"lr0 / lr_end": "1 + lr0 - lr_end"},
        "linear slope": {"math.log(lr0 / lr_end)": "(lr0 - lr_end)"},
    },
    "reachable_distance": {
        "sign of the exponent": {"math.exp(-k)": "math.exp(k)"},
        "k for the ratio": {"math.exp(-k)": "k"},
        "first order in k, halved": {"math.exp(-k)": "1 - k / 2"},
        "base two": {"math.exp(-k)": "2 ** -k"},
        "one over k": {"math.exp(-k)": "1 / (1 + k)"},
        "integral": {"1 - ratio": "k"},
        "first term left out": {"lr0 * grad_norm": "lr0 * ratio * grad_norm"},
        "plus below": {"1 - ratio": "1 + ratio"},
        "only the ratio below": {"1 - ratio": "ratio"},
        "gradient forgotten": {"lr0 * grad_norm": "lr0"},
        "gradient norm squared": {"lr0 * grad_norm": "lr0 * grad_norm ** 2"},
        "multiplied, not divided": {"lr0 * grad_norm / (1 - ratio)": "lr0 * grad_norm * (1 - ratio)"},
    },
    "growing_batch": {
        "ratio inverted": {"batch0 * lr0 / lr": "batch0 * lr / lr0"},
        "truncated": {"round(batch0 * lr0 / lr)": "int(batch0 * lr0 / lr)"},
        "rounded up": {"round(batch0 * lr0 / lr)": "math.ceil(batch0 * lr0 / lr)"},
        "square root": {"batch0 * lr0 / lr": "batch0 * math.sqrt(lr0 / lr)"},
        "rounded too early": {"round(batch0 * lr0 / lr)": "batch0 * round(lr0 / lr)"},
        "lr0 forgotten": {"batch0 * lr0 / lr": "batch0 / lr"},
        "no cap": {"min(max_batch, max(batch0, size))": "max(batch0, size)"},
        "max for min": {"min(max_batch, max(batch0, size))": "max(max_batch, max(batch0, size))"},
        "may shrink": {"max(batch0, size)": "size"},
        "min for max": {"max(batch0, size)": "min(batch0, size)"},
        "compounding": {"sizes.append(size)": "sizes.append(size)\nbatch0 = size"},
        "last size only": {"return sizes": "return size"},
    },
    "adjust_learning_rate": {
        "first group only": {"optimizer.param_groups": "optimizer.param_groups[:1]"},
        "last group only": {"optimizer.param_groups": "optimizer.param_groups[-1:]"},
        "attribute of the optimizer": {
            "group['lr'] = lr0 * math.exp(-k * epoch)": "optimizer.lr = lr0 * math.exp(-k * epoch)"
        },
        "local name": {"group['lr'] = lr0 * math.exp(-k * epoch)": "lr = lr0 * math.exp(-k * epoch)"},
        "compounding with the epoch": {
            "group['lr'] = lr0 * math.exp(-k * epoch)": "group['lr'] *= math.exp(-k * epoch)"
        },
        "k forgotten": {"-k * epoch": "-epoch"},
        "lr0 forgotten": {"lr0 * math.exp(-k * epoch)": "math.exp(-k * epoch)"},
        "hyperbolic": {"math.exp(-k * epoch)": "1 / (1 + k * epoch)"},
        "power of k": {"math.exp(-k * epoch)": "k ** epoch"},
        "epoch + 1": {"-k * epoch": "-k * (epoch + 1)"},
        "growth": {"-k * epoch": "k * epoch"},
        "epoch forgotten": {"-k * epoch": "-k"},
    },
    "exponential_lambda": {
        "growth": {"-k * epoch": "k * epoch"},
        "epoch + 1": {"-k * epoch": "-k * (epoch + 1)"},
        "k forgotten": {"-k * epoch": "-epoch"},
        "epoch forgotten": {"-k * epoch": "-k"},
        "divided by k": {"-k * epoch": "-epoch / k"},
        "power of k": {"math.exp(-k * epoch)": "k ** epoch"},
        "power of 1 - k": {"math.exp(-k * epoch)": "(1 - k) ** epoch"},
        "hyperbolic": {"math.exp(-k * epoch)": "1 / (1 + k * epoch)"},
        "a rate": {"math.exp(-k * epoch)": "0.1 * math.exp(-k * epoch)"},
        "one minus": {"math.exp(-k * epoch)": "1 - math.exp(-k * epoch)"},
        "linear": {"math.exp(-k * epoch)": "1 - k * epoch"},
        "lambda not returned": {"return lambda epoch: math.exp(-k * epoch)": "lambda epoch: math.exp(-k * epoch)"},
    },
    "warmup_cosine": {
        "warmup up to and with warmup_steps": {"step < warmup_steps": "step <= warmup_steps"},
        "starts at zero": {"step + 1": "step"},
        "warmup over total": {"(step + 1) / warmup_steps": "(step + 1) / total_steps"},
        "rises again": {
            "min(1, (step - warmup_steps) / (total_steps - warmup_steps))": (
                "(step - warmup_steps) / (total_steps - warmup_steps)"
            )
        },
        "max for min": {
            "min(1, (step - warmup_steps) / (total_steps - warmup_steps))": (
                "max(1, (step - warmup_steps) / (total_steps - warmup_steps))"
            )
        },
        "warmup not subtracted above": {"step - warmup_steps": "step"},
        "cosine over total": {"total_steps - warmup_steps": "total_steps"},
        "ends one step early": {"total_steps - warmup_steps": "total_steps - warmup_steps - 1"},
        "whole period": {"math.pi * progress": "2 * math.pi * progress"},
        "pi forgotten": {"math.pi * progress": "progress"},
        "one minus cosine": {"1 + math.cos(math.pi * progress)": "1 - math.cos(math.pi * progress)"},
        "half forgotten": {"(1 + math.cos(math.pi * progress)) / 2": "1 + math.cos(math.pi * progress)"},
    },
    "momentum_step": {
        "learning rate forgotten": {"lr * grad": "grad"},
        "moving average": {"lr * grad": "(1 - alpha) * lr * grad"},
        "alpha forgotten": {"alpha * delta": "delta"},
        "1 - alpha for alpha": {"alpha * delta": "(1 - alpha) * delta"},
        "alpha on both": {"alpha * delta + lr * grad": "alpha * (delta + lr * grad)"},
        "minus in the velocity": {"alpha * delta + lr * grad": "alpha * delta - lr * grad"},
        "past forgotten": {"alpha * delta + lr * grad": "lr * grad"},
        "uphill": {"w - delta": "w + delta"},
        "learning rate a second time": {"w - delta": "w - lr * delta"},
        "old velocity used": {
            "delta = alpha * delta + lr * grad\nw = w - delta": "w = w - delta\ndelta = alpha * delta + lr * grad"
        },
        "velocity not returned": {"return (w, delta)": "return w"},
        "results exchanged": {"return (w, delta)": "return (delta, w)"},
    },
    "velocity_weights": {
        "newest first": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps)"},
        "one step older": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps, 0, -1)"},
        "newest left out": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps - 1, 0, -1)"},
        "one too many": {"torch.arange(steps - 1, -1, -1)": "torch.arange(steps, -1, -1)"},
        "moving average": {"alpha ** age": "(1 - alpha) * alpha ** age"},
        "1 - alpha for alpha": {"alpha ** age": "(1 - alpha) ** age"},
        "times for power": {"alpha ** age": "alpha * age"},
        "power turned round": {"alpha ** age": "age ** alpha"},
        "minus in the exponent": {"alpha ** age": "alpha ** -age"},
        "exponential": {"alpha ** age": "torch.exp(-alpha * age)"},
        "normalized": {"return weights": "return weights / weights.sum()"},
        "summed": {"return weights": "return weights.cumsum(0)"},
    },
    "torch_momentum_step": {
        "first step dampened": {"buf = grad": "buf = (1 - dampening) * grad"},
        "zeros at first": {"buf = grad": "buf = torch.zeros_like(grad)"},
        "learning rate in the first buffer": {"buf = grad": "buf = lr * grad"},
        "dampening for 1 - dampening": {"1 - dampening": "dampening"},
        "dampening forgotten": {"(1 - dampening) * grad": "grad"},
        "1 - momentum for 1 - dampening": {"1 - dampening": "1 - momentum"},
        "dampening on the buffer": {
            "momentum * buf + (1 - dampening) * grad": "(1 - dampening) * momentum * buf + grad"
        },
        "momentum forgotten": {"momentum * buf": "buf"},
        "1 - momentum for momentum": {"momentum * buf": "(1 - momentum) * buf"},
        "uphill": {"w - lr * buf": "w + lr * buf"},
        "learning rate forgotten": {"w - lr * buf": "w - buf"},
        "buffer not returned": {"return (w, buf)": "return (w, grad)"},
    },
    "nesterov_step": {
        "looks ahead on the wrong side": {"w - alpha * delta": "w + alpha * delta"},
        "looks ahead without alpha": {"ahead = w - alpha * delta": "ahead = w - delta"},
        "looks ahead with lr": {"w - alpha * delta": "w - lr * delta"},
        "gradient at w": {"grad_fn(ahead)": "grad_fn(w)"},
        "gradient at the velocity": {"grad_fn(ahead)": "grad_fn(delta)"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "alpha forgotten": {"alpha * delta + lr * grad": "delta + lr * grad"},
        "minus in the velocity": {"alpha * delta + lr * grad": "alpha * delta - lr * grad"},
        "look-ahead kept": {"w = w - delta": "w = ahead - delta"},
        "alpha on the new velocity": {"w = w - delta": "w = w - alpha * delta"},
        "uphill": {"w = w - delta": "w = w + delta"},
        "velocity not returned": {"return (w, delta)": "return w"},
    },
    "spectral_radius": {
        "curvature forgotten": {"lr * curvature": "lr"},
        "curvature squared": {"lr * curvature": "lr * curvature ** 2"},
        "sign of alpha": {"[1 - lr_h, -alpha]": "[1 - lr_h, alpha]"},
        "plus in the corner": {"1 - lr_h": "1 + lr_h"},
        "curvature forgotten in the lower row": {"[lr_h, alpha]": "[lr, alpha]"},
        "1 - alpha for alpha": {"[lr_h, alpha]": "[lr_h, 1 - alpha]"},
        "singular values": {"torch.linalg.eigvals(matrix)": "torch.linalg.svdvals(matrix)"},
        "symmetric matrix assumed": {"torch.linalg.eigvals(matrix)": "torch.linalg.eigvalsh(matrix)"},
        "real part only": {"eigenvalues.abs()": "eigenvalues.real"},
        "smallest": {"lengths.max()": "lengths.min()"},
        "mean": {"lengths.max()": "lengths.mean()"},
        "gradient descent": {"return lengths.max()": "return abs(1 - lr_h)"},
    },
    "best_momentum": {
        "kappa for its root": {"math.sqrt(kappa)": "kappa"},
        "squared for root": {"math.sqrt(kappa)": "kappa ** 2"},
        "logarithm for root": {"math.sqrt(kappa)": "math.log(kappa)"},
        "minus one forgotten": {"root - 1": "root"},
        "kappa above": {"root - 1": "kappa - 1"},
        "kappa below": {"root + 1": "kappa + 1"},
        "plus one forgotten": {"root + 1": "root"},
        "inverted": {"(root - 1) / (root + 1)": "(root + 1) / (root - 1)"},
        "brackets forgotten": {"(root - 1) / (root + 1)": "root - 1 / root + 1"},
        "not squared": {"ratio ** 2": "ratio"},
        "times two": {"ratio ** 2": "ratio * 2"},
        "one minus": {"ratio ** 2": "1 - ratio ** 2"},
    },
    "effective_learning_rate": {
        "multiplied": {"lr / (1 - alpha)": "lr * (1 - alpha)"},
        "plus": {"1 - alpha": "1 + alpha"},
        "divided by alpha": {"1 - alpha": "alpha"},
        "difference the other way round": {"1 - alpha": "alpha - 1"},
        "unchanged": {"lr / (1 - alpha)": "lr"},
        "lr forgotten": {"lr / (1 - alpha)": "1 / (1 - alpha)"},
        "brackets forgotten": {"lr / (1 - alpha)": "lr / 1 - alpha"},
        "alpha squared": {"1 - alpha": "1 - alpha ** 2"},
        "root below": {"lr / (1 - alpha)": "lr / (1 - alpha) ** 0.5"},
        "squared below": {"lr / (1 - alpha)": "lr / (1 - alpha) ** 2"},
        "times alpha": {"lr / (1 - alpha)": "lr * alpha"},
        "first gradient left out": {"lr / (1 - alpha)": "lr * alpha / (1 - alpha)"},
    },
    "gain_step": {
        "zero agrees": {"grad * last_grad > 0": "grad * last_grad >= 0"},
        "condition turned round": {"grad * last_grad > 0": "grad * last_grad < 0"},
        "one gain for all": {"grad * last_grad > 0": "(grad * last_grad).sum() > 0"},
        "sum for product": {"grad * last_grad > 0": "grad + last_grad > 0"},
        "minus one, from the notes": {"gain + beta": "gain - 1 + beta"},
        "times for plus": {"gain + beta": "gain * (1 + beta)"},
        "minus for times": {"gain * (1 - beta)": "gain - beta"},
        "beta for 1 - beta": {"gain * (1 - beta)": "gain * beta"},
        "cases exchanged": {"torch.where(agree, grown, shrunk)": "torch.where(agree, shrunk, grown)"},
        "old gain used": {
            "gain = torch.where(agree, grown, shrunk)\nw = w - lr * gain * grad": (
                "w = w - lr * gain * grad\ngain = torch.where(agree, grown, shrunk)"
            )
        },
        "gain forgotten in the step": {"lr * gain * grad": "lr * grad"},
        "uphill": {"w - lr * gain * grad": "w + lr * gain * grad"},
    },
    "rmsprop_step": {
        "1 + beta": {"1 - beta": "1 + beta"},
        "betas exchanged": {"beta * r + (1 - beta) * grad ** 2": "(1 - beta) * r + beta * grad ** 2"},
        "square forgotten": {"grad ** 2": "grad.abs()"},
        "no decay of r": {"beta * r": "r"},
        "1 - beta forgotten": {"(1 - beta) * grad ** 2": "grad ** 2"},
        "root forgotten": {"r.sqrt()": "r"},
        "eps inside the root": {"r.sqrt() + eps": "(r + eps).sqrt()"},
        "bracket around the denominator forgotten": {"lr * grad / (r.sqrt() + eps)": "lr * grad / r.sqrt() + eps"},
        "learning rate forgotten": {"lr * grad": "grad"},
        "uphill": {"w - lr * grad / (r.sqrt() + eps)": "w + lr * grad / (r.sqrt() + eps)"},
        "old r used": {
            "r = beta * r + (1 - beta) * grad ** 2\nw = w - lr * grad / (r.sqrt() + eps)": (
                "w = w - lr * grad / (r.sqrt() + eps)\nr = beta * r + (1 - beta) * grad ** 2"
            )
        },
        "r not returned": {"return (w, r)": "return w"},
    },
    "find_the_bug": {
        "beta for 1 - beta": {"1 - beta": "beta"},
        "1 - beta for beta": {"beta * r": "(1 - beta) * r"},
        "square taken too late": {"(1 - beta) * grad ** 2": "((1 - beta) * grad) ** 2"},
        "square forgotten": {"grad ** 2": "grad"},
        "minus in the average": {"beta * r + (1 - beta) * grad ** 2": "beta * r - (1 - beta) * grad ** 2"},
        "one average for all": {"grad ** 2": "(grad ** 2).mean()"},
        "root forgotten": {"r.sqrt()": "r"},
        "eps forgotten": {"r.sqrt() + eps": "r.sqrt()"},
        "eps inside the root": {"r.sqrt() + eps": "(r + eps).sqrt()"},
        "multiplied by the root": {"lr * grad / (r.sqrt() + eps)": "lr * grad * (r.sqrt() + eps)"},
        "gradient forgotten": {"lr * grad": "lr"},
        "results exchanged": {"return (w, r)": "return (r, w)"},
    },
    "first_step_size": {
        "root forgotten": {"math.sqrt(1 - beta)": "(1 - beta)"},
        "beta for 1 - beta": {"1 - beta": "beta"},
        "plus": {"1 - beta": "1 + beta"},
        "beta squared": {"1 - beta": "1 - beta ** 2"},
        "one minus outside the root": {"math.sqrt(1 - beta)": "(1 - math.sqrt(beta))"},
        "multiplied": {"lr / math.sqrt(1 - beta)": "lr * math.sqrt(1 - beta)"},
        "inverted": {"lr / math.sqrt(1 - beta)": "math.sqrt(1 - beta) / lr"},
        "just lr": {"lr / math.sqrt(1 - beta)": "lr"},
        "lr forgotten": {"lr / math.sqrt(1 - beta)": "1 / math.sqrt(1 - beta)"},
        "lr under the root": {"lr / math.sqrt(1 - beta)": "math.sqrt(lr / (1 - beta))"},
        "minus": {"lr / math.sqrt(1 - beta)": "-lr / math.sqrt(1 - beta)"},
        "squared for root": {"math.sqrt(1 - beta)": "(1 - beta) ** 2"},
    },
    "bias_correction_overshoot": {
        "beta2 for beta1": {"beta1 ** t": "beta2 ** t"},
        "times for power in m": {"beta1 ** t": "beta1 * t"},
        "no power in m": {"beta1 ** t": "beta1"},
        "one minus forgotten in m": {"1 - beta1 ** t": "beta1 ** t"},
        "beta1 for beta2": {"beta2 ** t": "beta1 ** t"},
        "no power in r": {"beta2 ** t": "beta2"},
        "one step more in r": {"beta2 ** t": "beta2 ** (t + 1)"},
        "one minus forgotten in r": {"1 - beta2 ** t": "beta2 ** t"},
        "root forgotten": {"short_r ** 0.5": "short_r"},
        "squared for root": {"short_r ** 0.5": "short_r ** 2"},
        "inverted": {"short_m / short_r ** 0.5": "short_r ** 0.5 / short_m"},
        "root of both": {"short_m / short_r ** 0.5": "(short_m / short_r) ** 0.5"},
    },
    "adam_step": {
        "t not advanced": {"t = t + 1": ""},
        "t starts at two": {"t + 1": "t + 2"},
        "1 - beta1 forgotten": {"(1 - beta1) * grad": "grad"},
        "beta1 and 1 - beta1 exchanged": {"beta1 * m + (1 - beta1) * grad": "(1 - beta1) * m + beta1 * grad"},
        "beta1 in r": {"1 - beta2": "1 - beta1"},
        "square forgotten": {"grad ** 2": "grad.abs()"},
        "no power in the correction of m": {"beta1 ** t": "beta1"},
        "r not corrected": {"r / (1 - beta2 ** t)": "r"},
        "beta1 in the correction of r": {"beta2 ** t": "beta1 ** t"},
        "root forgotten": {"r_hat.sqrt()": "r_hat"},
        "bracket around the denominator forgotten": {
            "lr * m_hat / (r_hat.sqrt() + eps)": "lr * m_hat / r_hat.sqrt() + eps"
        },
        "corrected moments returned": {"return (w, m, r, t)": "return (w, m_hat, r_hat, t)"},
    },
    "MyAdam": {
        "first group only": {"self.param_groups": "self.param_groups[:1]"},
        "default learning rate for all": {"group['lr']": "self.defaults['lr']"},
        "betas exchanged": {"beta1, beta2 = group['betas']": "beta2, beta1 = group['betas']"},
        "stops at the first without gradient": {"continue": "return"},
        "r starts at one": {
            "state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)": (
                "state.update(m=torch.zeros_like(p), r=torch.ones_like(p), t=0)"
            )
        },
        "t starts at one": {
            "state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=0)": (
                "state.update(m=torch.zeros_like(p), r=torch.zeros_like(p), t=1)"
            )
        },
        "m forgotten": {"beta1 * m + (1 - beta1) * grad": "(1 - beta1) * grad"},
        "square forgotten": {"grad ** 2": "grad.abs()"},
        "m not corrected": {"m / (1 - beta1 ** t)": "m"},
        "no power in the correction of r": {"beta2 ** t": "beta2"},
        "eps inside the root": {"r_hat.sqrt() + eps": "(r_hat + eps).sqrt()"},
        "t not stored": {"state.update(m=m, r=r, t=t)": "state.update(m=m, r=r)"},
    },
    "adamw_step": {
        "decay without lr": {"lr * weight_decay * w": "weight_decay * w"},
        "weights grow": {"w - lr * weight_decay * w": "w + lr * weight_decay * w"},
        "decay in the gradient": {"w = w - lr * weight_decay * w": "grad = grad + weight_decay * w"},
        "t always one": {"t = t + 1": "t = 1"},
        "beta2 in m": {"1 - beta1": "1 - beta2"},
        "minus in m": {"beta1 * m + (1 - beta1) * grad": "beta1 * m - (1 - beta1) * grad"},
        "no decay of r": {"beta2 * r": "r"},
        "m not corrected": {"m / (1 - beta1 ** t)": "m"},
        "times for power": {"beta2 ** t": "beta2 * t"},
        "learning rate forgotten": {"lr * m_hat": "m_hat"},
        "eps inside the root": {"r_hat.sqrt() + eps": "(r_hat + eps).sqrt()"},
        "moments exchanged": {"return (w, m, r, t)": "return (w, r, m, t)"},
    },
    "make_optimizer": {
        "sgd: rate ten times as large": {"SGD(params, lr=0.01)": "SGD(params, lr=0.1)"},
        "sgd: with momentum": {"return SGD(params, lr=0.01)": "return SGD(params, lr=0.01, momentum=0.5)"},
        "momentum: forgotten": {"SGD(params, lr=0.01, momentum=0.9)": "SGD(params, lr=0.01)"},
        "momentum: dampened": {
            "SGD(params, lr=0.01, momentum=0.9)": "SGD(params, lr=0.01, momentum=0.9, dampening=0.9)"
        },
        "momentum: 0.1": {"SGD(params, lr=0.01, momentum=0.9)": "SGD(params, lr=0.01, momentum=0.1)"},
        "nesterov: flag forgotten": {
            "SGD(params, lr=0.01, momentum=0.9, nesterov=True)": "SGD(params, lr=0.01, momentum=0.9)"
        },
        "nesterov: rate": {
            "SGD(params, lr=0.01, momentum=0.9, nesterov=True)": "SGD(params, lr=0.001, momentum=0.9, nesterov=True)"
        },
        "rmsprop: alpha left at its default": {"RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, lr=0.001)"},
        "rmsprop: momentum for alpha": {
            "RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, lr=0.001, momentum=0.9)"
        },
        "rmsprop: default rate": {"RMSprop(params, lr=0.001, alpha=0.9)": "RMSprop(params, alpha=0.9)"},
        "adam: default rate": {"Adam(params, lr=0.0001, betas=(0.9, 0.999))": "Adam(params, betas=(0.9, 0.999))"},
        "adam: betas exchanged": {"(0.9, 0.999)": "(0.999, 0.9)"},
    },
    "to_torch_lr": {
        "condition turned round": {"form == 'ema'": "form != 'ema'"},
        "divided": {"lr * (1 - alpha)": "lr / (1 - alpha)"},
        "alpha for 1 - alpha": {"1 - alpha": "alpha"},
        "plus": {"1 - alpha": "1 + alpha"},
        "bracket forgotten": {"lr * (1 - alpha)": "lr * 1 - alpha"},
        "lr forgotten": {"lr * (1 - alpha)": "1 - alpha"},
        "ema unchanged": {"return lr * (1 - alpha)": "return lr"},
        "lecture divided": {"return lr": "return lr / (1 - alpha)"},
        "lecture multiplied": {"return lr": "return lr * (1 - alpha)"},
        "lecture times alpha": {"return lr": "return lr * alpha"},
        "lecture divided by alpha": {"return lr": "return lr / alpha"},
        "lecture returns nothing": {"return lr": ""},
    },
    "best_learning_rate": {
        "best seed": {"losses.mean(dim=1)": "losses.min(dim=1).values"},
        "worst seed": {"losses.mean(dim=1)": "losses.max(dim=1).values"},
        "first seed only": {"losses.mean(dim=1)": "losses[:, 0]"},
        "seeds and rates exchanged": {"losses.mean(dim=1)": "losses.mean(dim=0)"},
        "nan ignored": {"losses.mean(dim=1)": "losses.nanmean(dim=1)"},
        "nan not taken out": {"mean[~torch.isfinite(mean)] = torch.inf": ""},
        "nan set to zero": {"torch.inf": "0"},
        "condition turned round": {"~torch.isfinite(mean)": "torch.isfinite(mean)"},
        "argmax": {"mean.argmin()": "mean.argmax()"},
        "lower edge accepted": {"if best == 0:\n    return None": ""},
        "upper edge off by one": {"len(lrs) - 1": "len(lrs)"},
        "loss returned": {"lrs[best].item()": "mean[best].item()"},
    },
}

REAL = {
    "adam_step": {
        "1 - beta without the power": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad * grad
    m_corr = m / (1 - beta1)
    r_corr = r / (1 - beta2)
    w = w - lr * m_corr / (torch.sqrt(r_corr) + eps)
    return w, m, r, t
""",
        "t counts the parameters, not the steps": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    for _ in range(w.numel()):
        t = t + 1
    m = beta1 * m + (1.0 - beta1) * grad
    r = beta2 * r + (1.0 - beta2) * grad.pow(2)
    mhat = m / (1.0 - beta1 ** t)
    rhat = r / (1.0 - beta2 ** t)
    w = w - lr * mhat / (rhat.sqrt() + eps)
    return w, m, r, t
""",
        "1 - beta1 used in r": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = m * beta1 + (1 - beta1) * grad
    r = r * beta2 + (1 - beta1) * (grad * grad)
    mt = m / (1 - beta1 ** t)
    rt = r / (1 - beta2 ** t)
    w = w - (lr * mt) / (torch.sqrt(rt) + eps)
    return w, m, r, t
""",
        "corrected moments stored back": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * (grad ** 2)
    m = m / (1 - beta1 ** t)
    r = r / (1 - beta2 ** t)
    w = w - lr * m / (r ** 0.5 + eps)
    return w, m, r, t
""",
        "eps outside the fraction": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * torch.square(grad)
    mb = m / (1 - beta1 ** t)
    vb = r / (1 - beta2 ** t)
    w = w - lr * mb / torch.sqrt(vb) + eps
    return w, m, r, t
""",
        "state never stored": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t_new = t + 1
    m_new = beta1 * m + (1 - beta1) * grad
    r_new = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m_new / (1 - beta1 ** t_new)
    r_hat = r_new / (1 - beta2 ** t_new)
    w = w - lr * m_hat / (torch.sqrt(r_hat) + eps)
    return w, m, r, t
""",
        "t starts at two and no square": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad.abs()
    m_hat = m / (1 - beta1 ** (t + 1))
    r_hat = r / (1 - beta2 ** (t + 1))
    return w - lr * m_hat / (r_hat.sqrt() + eps), m, r, t
""",
        "t advanced only on the way out, guarded by one": """def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m / (1 - beta1 ** max(t, 1))
    r_hat = r / (1 - beta2 ** max(t, 1))
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    return w, m, r, t + 1
""",
    },
    "MyAdam": {
        "one t for all parameters, advanced per parameter": """class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))
        self.t = 0

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.t += 1
                state = self.state[p]
                if len(state) == 0:
                    state["m"] = torch.zeros_like(p)
                    state["r"] = torch.zeros_like(p)
                state["m"] = b1 * state["m"] + (1 - b1) * p.grad
                state["r"] = b2 * state["r"] + (1 - b2) * p.grad ** 2
                m_hat = state["m"] / (1 - b1 ** self.t)
                r_hat = state["r"] / (1 - b2 ** self.t)
                p -= group["lr"] * m_hat / (r_hat.sqrt() + group["eps"])
""",
        "moments rebound and never written back": """class MyAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["m"] = torch.zeros_like(p)
                        state["r"] = torch.zeros_like(p)
                        state["t"] = 0
                    state["t"] += 1
                    m, r, t = state["m"], state["r"], state["t"]
                    m = beta1 * m + (1 - beta1) * p.grad
                    r = beta2 * r + (1 - beta2) * p.grad ** 2
                    p -= group["lr"] * (m / (1 - beta1 ** t)) / ((r / (1 - beta2 ** t)).sqrt() + group["eps"])
""",
    },
    "adamw_step": {
        "L2 in the gradient, as in Adam": """def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    grad = grad + weight_decay * w
    t += 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad * grad
    m_hat = m / (1 - beta1 ** t)
    r_hat = r / (1 - beta2 ** t)
    w = w - lr * m_hat / (torch.sqrt(r_hat) + eps)
    return w, m, r, t
""",
        "decay after the step and without lr": """def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad ** 2
    m_hat = m / (1 - beta1 ** t)
    r_hat = r / (1 - beta2 ** t)
    w = w - lr * m_hat / (r_hat.sqrt() + eps)
    w = w - weight_decay * w
    return w, m, r, t
""",
    },
    "nesterov_step": {
        "look-ahead without effect": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    w_ahead = w - alpha * delta
    g = grad_fn(w)
    delta = alpha * delta + lr * g
    return w - delta, delta
""",
        "(1 + mu) v without - mu v_old": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    g = grad_fn(w)
    v_old = delta
    delta = alpha * delta + lr * g
    w = w - (1 + alpha) * delta
    return w, delta
""",
        "look-ahead never undone": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    w = w - alpha * delta
    g = grad_fn(w)
    delta = alpha * delta + lr * g
    w = w - delta
    return w, delta
""",
        "lr applied twice": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    ahead = w - alpha * delta
    delta = alpha * delta + lr * grad_fn(ahead)
    w = w - lr * delta
    return w, delta
""",
        "2 v - v_old": """def nesterov_step(w, grad_fn, delta, lr, alpha):
    v_old = delta
    delta = alpha * delta + lr * grad_fn(w)
    w = w - (2 * delta - v_old)
    return w, delta
""",
    },
    "momentum_step": {
        "velocity lost": """def momentum_step(w, grad, delta, lr, alpha):
    velocity = torch.zeros_like(w)
    velocity = alpha * velocity + lr * grad
    w = w - velocity
    return w, velocity
""",
        "extra plain step": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    w = w - lr * grad
    w = w - delta
    return w, delta
""",
        "sign of one half of v = mu v - lr g": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta - lr * grad
    w = w - delta
    return w, delta
""",
        "moving average, lr outside": """def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + (1 - alpha) * grad
    w = w - lr * delta
    return w, delta
""",
    },
    "rmsprop_step": {
        "no decay, as AdaGrad": """def rmsprop_step(w, grad, r, lr, beta, eps):
    r = r + grad ** 2
    w = w - lr * grad / (torch.sqrt(r) + eps)
    return w, r
""",
        "r in the numerator": """def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * grad ** 2
    w = w - lr * grad * torch.sqrt(r + eps)
    return w, r
""",
        "scalar norm, one step behind": """def rmsprop_step(w, grad, r, lr, beta, eps):
    w = w - lr * grad / (r.sqrt() + eps)
    r = beta * r + (1 - beta) * grad.norm() ** 2
    return w, r
""",
        "state lost": """def rmsprop_step(w, grad, r, lr, beta, eps):
    cache = beta * r + (1 - beta) * grad ** 2
    w = w - lr * grad / (torch.sqrt(cache) + eps)
    return w, r
""",
    },
    "torch_momentum_step": {
        "first gradient counted twice": """def torch_momentum_step(w, grad, buf, lr, momentum, dampening):
    if buf is None:
        buf = grad.clone()
    buf = momentum * buf + (1 - dampening) * grad
    w = w - lr * buf
    return w, buf
"""
    },
    "exponential_lambda": {
        "an absolute rate for LambdaLR": """def exponential_lambda(k):
    lr0 = 0.01
    def rate(epoch):
        return lr0 * math.exp(-k * epoch)
    return rate
"""
    },
    "minibatches": {
        "last batch from the wrong index": """def minibatches(n, batch_size, generator):
    perm = torch.randperm(n, generator=generator)
    batches = []
    full = n // batch_size
    for b in range(full):
        batches.append(perm[b * batch_size:(b + 1) * batch_size])
    if n % batch_size:
        batches.append(perm[-batch_size:])
    return batches
"""
    },
    "gain_step": {
        "gains added to the step": """def gain_step(w, grad, last_grad, gain, lr, beta):
    same = torch.sign(grad) == torch.sign(last_grad)
    gain = torch.where(same, gain + beta, gain * (1 - beta))
    w = w - lr * (grad + gain)
    return w, gain
"""
    },
    "best_learning_rate": {
        "best seed of all, NaN not looked at": """def best_learning_rate(lrs, losses):
    best_loss = float("inf")
    best_i = 0
    for i in range(len(lrs)):
        for loss in losses[i]:
            if loss < best_loss:
                best_loss = loss
                best_i = i
    if best_i == 0 or best_i == len(lrs) - 1:
        return None
    return lrs[best_i].item()
"""
    },
}
