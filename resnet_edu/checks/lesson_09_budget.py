"""The check of lesson 09 on choosing a net: the lowest error that a budget allows."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from .expect import need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

#: Name → (top-1 error in percent, GMACs, million parameters).
Nets = Mapping[str, tuple[float, float, float]]
Choose = Callable[[Nets, float, float], str | None]


def fitting(nets: Nets, gmacs: float, million: float) -> list[str]:
    """The names within both budgets, in the order of the table."""
    return [name for name, (_, macs, parameters) in nets.items() if macs <= gmacs and parameters <= million]


def best(names: list[str], nets: Nets, column: int = 0) -> str | None:
    """The name with the smallest value in a column, None of none."""
    return min(names, key=lambda name: nets[name][column], default=None)


def oracle(nets: Nets, gmacs: float, million: float) -> str | None:
    """The lowest error within both budgets."""
    return best(fitting(nets, gmacs, million), nets)


def worst(names: list[str], nets: Nets, column: int = 0) -> str | None:
    """The name with the largest value in a column, None of none."""
    return max(names, key=lambda name: nets[name][column], default=None)


def strictly(nets: Nets, gmacs: float, million: float) -> list[str]:
    """Those that cost less than the budget."""
    return [name for name, (_, macs, parameters) in nets.items() if macs < gmacs and parameters < million]


def either(nets: Nets, gmacs: float, million: float) -> list[str]:
    """Those within one of the budgets at least."""
    return [name for name, (_, macs, parameters) in nets.items() if macs <= gmacs or parameters <= million]


MISTAKES: tuple[tuple[Choose, str], ...] = (
    (
        lambda n, g, p: best(list(n), n),
        "You return the best net of all, whatever it costs. Leave out what is too large.",
    ),
    (
        lambda n, g, p: best(fitting(n, g, float("inf")), n),
        "The parameters have no effect. Both budgets must hold: multiply-adds and parameters.",
    ),
    (
        lambda n, g, p: best(fitting(n, float("inf"), p), n),
        "The multiply-adds have no effect. Both budgets must hold: multiply-adds and parameters.",
    ),
    (lambda n, g, p: best(either(n, g, p), n), "A net passes that keeps one of the budgets. It must keep both: `and`."),
    (
        lambda n, g, p: best(strictly(n, g, p), n),
        "A net that costs exactly the budget is within it: compare with `<=`.",
    ),
    (
        lambda n, g, p: worst(fitting(n, g, p), n),
        "You take the largest error. The table holds errors, so the smallest is the best.",
    ),
    (
        lambda n, g, p: worst(fitting(n, g, p), n, 1),
        "You take the net with the most multiply-adds that fits. The most expensive is not always the best.",
    ),
    (
        lambda n, g, p: worst(fitting(n, g, p), n, 2),
        "You take the net with the most parameters that fits. More parameters are not always better.",
    ),
    (
        lambda n, g, p: best(fitting(n, g, p), n, 1),
        "You take the net with the fewest multiply-adds. Compare the errors.",
    ),
    (lambda n, g, p: best(fitting(n, g, p), n, 2), "You take the net with the fewest parameters. Compare the errors."),
    (lambda n, g, p: next(iter(fitting(n, g, p)), None), "You return the first net that fits. Look at all of them."),
    (
        lambda n, g, p: (fitting(n, g, p) or [None])[-1],
        "You return the last net that fits, as if the table were sorted. It is not.",
    ),
    (
        lambda n, g, p: best(fitting(n, p, g), n),
        "The two budgets are swapped: the second number of a net is GMACs, the third is million parameters.",
    ),
)


@check("09.3 choose under a budget")
def check_choose_net(choose_net: Any) -> str:
    """`choose_net(nets, gmacs, million) -> str | None`: the name with the lowest error within both budgets.

    `nets` maps a name to (top-1 error in percent, GMACs, million parameters). No two errors are equal. None if
    nothing fits.
    """
    name = need_function(choose_net, "choose_net(nets, gmacs, million)", {}, 1.0, 1.0)
    questions = [random_question() for _ in range(200)]
    got = [answered(choose_net, name, *question) for question in questions]
    if not any(got):
        raise NotYet
    wanted = [oracle(*question) for question in questions]
    if got != wanted:
        for variant, message in MISTAKES:
            if got == [variant(*question) for question in questions]:
                raise Wrong(message)
        nets, gmacs, million = questions[next(i for i in range(len(got)) if got[i] != wanted[i])]
        table = "; ".join(f"{net}: {error} %, {macs} GMACs, {p} M" for net, (error, macs, p) in nets.items())
        expected, given = oracle(nets, gmacs, million), answered(choose_net, name, nets, gmacs, million)
        raise Wrong(f"With {gmacs} GMACs and {million} M parameters: expected {expected}, got {given}. Nets: {table}.")
    nets, _, _ = questions[0]
    if (nothing := answered(choose_net, name, nets, 0.0, 0.0)) is not None:
        raise Wrong(f"With a budget of 0 nothing fits, and you return {nothing}. Expected None.")
    return f"Right for {len(questions)} random tables, and None where nothing fits."


def random_question() -> tuple[dict[str, tuple[float, float, float]], float, float]:
    """Seven nets and a budget that one of them meets to the last digit, and that leaves some out."""
    names = random.sample([f"net {letter}" for letter in "ABCDEFGHKLMNP"], 7)
    errors = random.sample(range(200, 450), 7)
    macs, parameters = random.sample(range(3, 200), 7), random.sample(range(10, 1500), 7)
    nets = {n: (e / 10, m / 10, p / 10) for n, e, m, p in zip(names, errors, macs, parameters, strict=True)}
    _, gmacs, million = nets[random.choice(names)]
    gmacs, million = (gmacs, million * 1.5) if random.random() < 0.5 else (gmacs * 1.5, million)
    return nets, round(gmacs, 2), round(million, 2)


def answered(answer: Choose, name: str, nets: Nets, gmacs: float, million: float) -> str | None:
    """The answer to one question.

    Raises:
        Wrong: it is no name of a net.
    """
    try:
        value = answer(dict(nets), gmacs, million)
    except Exception as error:
        if not fitting(nets, gmacs, million):
            raise Wrong(f"Nothing fits a budget of {gmacs:g} GMACs and {million:g} M parameters, and `{name}` raised "
                        f"{type(error).__name__}: {error}. Return None then.") from None  # fmt: skip
        error.add_note(f"It was called with {len(nets)} nets, gmacs={gmacs} and million={million}.")
        raise
    if value is ...:
        raise NotYet
    if value is not None and not isinstance(value, str):
        raise Wrong(f"Expected the name of a net or None, got {kind_of(value)}.")
    if value is not None and value not in nets:
        raise Wrong(f"{value!r} is no net of the table. Return one of its names.")
    return value
