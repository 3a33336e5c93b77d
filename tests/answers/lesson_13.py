"""Answers to the exercises of lesson 13."""

import torch


def average_gradients(gradients, sizes):
    shares = [size / sum(sizes) for size in sizes]
    return [
        sum(share * each for share, each in zip(shares, same, strict=True)) for same in zip(*gradients, strict=True)
    ]


def with_stack(gradients, sizes):
    """Right: a weighted mean along a new first dimension."""
    shares = torch.tensor(sizes) / sum(sizes)
    return tuple(torch.tensordot(shares, torch.stack(same), dims=1) for same in zip(*gradients, strict=True))


def in_place(gradients, sizes):
    for own, size in zip(gradients, sizes, strict=True):
        for each in own:
            each *= size / sum(sizes)
    return [sum(same) for same in zip(*gradients, strict=True)]


def by_process(gradients, sizes):
    return [sum(each.sum() for each in own) for own in gradients]


def scaled_rate(step, batch_size, warmup_steps):
    base, final = 0.1, 0.1 * batch_size / 256
    if step >= warmup_steps:
        return final
    return base + (final - base) * step / warmup_steps


def with_min(step, batch_size, warmup_steps):
    """Right: one formula, the share capped at 1."""
    share = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return torch.tensor(0.1 * (1 + (batch_size / 256 - 1) * share))


def starts_late(step, batch_size, warmup_steps):
    return 0.1 if step == warmup_steps == 0 else scaled_rate(step, batch_size, warmup_steps)


def find_bottleneck(seconds, workers, batch_size):
    between = {name: seconds[name] / workers[name] for name in seconds}
    stage = max(between, key=lambda name: between[name])
    return stage, batch_size / between[stage]


def by_speed(seconds, workers, batch_size):
    """Right: the lowest speed."""
    return min(((name, batch_size * workers[name] / seconds[name]) for name in seconds), key=lambda pair: pair[1])


def consumed(seconds, workers, batch_size):
    found = find_bottleneck(seconds, workers, batch_size)
    seconds.pop(found[0])
    return found


RIGHT = {
    "13.1": [average_gradients, with_stack],
    "13.2": [scaled_rate, with_min],
    "13.3": [find_bottleneck, by_speed],
}

WRONG = {
    "13.1": [
        (in_place, "changes the list it is given as `gradients`"),
        (by_process, "expected 3 entries"),
        (lambda g, sizes: [each.mean().item() for each in average_gradients(g, sizes)], "Expected a list of tensors"),  # pyright: ignore[reportAttributeAccessIssue]
        (lambda g, sizes: [each.flatten() for each in average_gradients(g, sizes)], "got shape (6,)"),  # pyright: ignore[reportAttributeAccessIssue]
    ],
    "13.2": [
        (starts_late, "expected 0.4, got 0.1"),
        (lambda step, batch_size, warmup_steps: [0.1], "Expected a learning rate"),
    ],
    "13.3": [
        (consumed, "changes the dictionary it is given as `seconds`"),
        (lambda seconds, workers, batch_size: find_bottleneck(seconds, workers, batch_size)[0], "Expected a pair"),
        (lambda seconds, workers, batch_size: find_bottleneck(seconds, workers, batch_size)[::-1], "Expected the name"),
    ],
}
