"""How a block or a network is judged: against a reference class that gets the learner's own weights.

Compared are the layers with weights (kind, sizes, stride, groups, eps and all other settings), then, in eval and in
train mode, for every input and for one image alone: the output, the gradients at the input and at every parameter, and
that the input is left alone. What has no weights may be written in any style: `nn.ReLU`, `F.relu`, in place or not.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import UnionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from .exercise import Call, Exercise, Variant, seed_all
from .result import NotYet, Wrong, is_not_yet, kind_of
from .values import difference

#: Takes the constructor's arguments and gives inputs: tensors, or shapes of random ones.
Inputs = Callable[..., Sequence[Tensor | tuple[int, ...]]]

#: The fault where one side raises an error and the other does not, or another one.
ERROR = "error"

ONE_RELU_PER_USE = (
    " Make an `nn.ReLU()` for each use: hooks cannot tell the uses of one module apart, nor see `F.relu`."
)
CUT_OFF = "Is a part of `forward` done with `.detach()`, `.data` or under `no_grad`?"


@dataclass(frozen=True)
class Outcome:
    """One run: where, the output or the error, and the gradients by the name of what they reached."""

    where: str
    out: Any
    gradients: dict[str, Tensor | None]


class Side:
    """A module and the inputs it is tried on; the learner's, or one that it is compared with.

    Attributes:
        used: names of its innermost parts in the order in which they are called.
        layers: those with weights, each once, then those that are never called.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], seed: int, *, traced: bool = True) -> None:
        self.module, self.inputs, self.seed = module, inputs, seed
        self.used = self.order_of_use() if traced and inputs else [name for name, _ in leaves(module)]
        inside = {name: [*part.parameters(), *part.buffers()] for name, part in leaves(module)}
        weighty = [name for name, part in leaves(module) if inside[name] or isinstance(part, _BatchNorm)]
        self.layers = sorted(weighty, key=lambda name: self.used.index(name) if name in self.used else len(self.used))

    @torch.no_grad()
    def order_of_use(self) -> list[str]:
        """The innermost parts as one forward calls them, which gives lazy layers their sizes as well."""
        used: list[str] = []
        with ExitStack() as hooks:
            for name, part in leaves(self.module):
                hooks.callback(part.register_forward_pre_hook(lambda *_, name=name: used.append(name)).remove)
            try:
                self.module.eval()(self.inputs[0].clone())
            except Exception as error:
                if is_not_yet(error):
                    raise
                # any other error comes again when the module is run
        return used

    def before(self, layer: str) -> str | None:
        """The layer that is used before this one."""
        place = self.layers.index(layer)
        return self.layers[place - 1] if place else None

    def keys_of(self, layer: str) -> list[str]:
        """The names of a layer's parameters and statistics in the whole module."""
        return [f"{layer}.{key}".lstrip(".") for key in self.module.get_submodule(layer).state_dict()]

    def runs(self) -> Iterator[Outcome]:
        """All inputs and one image alone, in eval and in train mode; one more in eval mode, which shows the statistics.

        Gradients come last: most mistakes are found without.
        """
        for x in self.inputs[:1]:
            for training in (False, True):
                yield from (self.run(each, training) for each in (*self.inputs, x[:1]))
            yield self.run(x, training=False)
            for training in (False, True):
                yield self.run(x, training, backward=True)

    def run(self, x: Tensor, training: bool, *, backward: bool = False) -> Outcome:
        """Forward, and perhaps backward, once, with the same random numbers on every side."""
        where = f"In {'train' if training else 'eval'} mode, for a tensor of shape {tuple(x.shape)}"
        leaf = x.clone().requires_grad_()
        given = leaf * 1  # no leaf, so that what is done to it in place shows
        self.module.zero_grad(set_to_none=True)  # new tensors for the next gradients
        seed_all(self.seed)
        try:
            with torch.set_grad_enabled(backward):
                out = self.module.train(training)(given)
        except Exception as error:
            if is_not_yet(error):
                raise
            error.add_note(f"It was given a tensor of shape {tuple(x.shape)}.")
            return Outcome(where, error, {})
        if not torch.equal(given, x):
            out = Wrong("changes the tensor it is given, which others may still need. Write `out = out + x`.")
        if not isinstance(out, Tensor):
            return Outcome(where, out, {})
        if not backward:
            return Outcome(where, out.detach(), {})
        if out.requires_grad:
            out.backward(torch.linspace(-1, 2, out.numel()).reshape(out.shape))
        parameters = dict(self.module.named_parameters(remove_duplicate=False))
        return Outcome(where, out.detach(), {"": leaf.grad} | {name: p.grad for name, p in parameters.items()})


class Trial:
    """What the learner's answer builds for one call: the module, and its weights and outcomes."""

    def __init__(self, answer: Callable[..., Any], call: Call, inputs: Sequence[Tensor], seed: int) -> None:
        self.call, self.name, self.done = call, getattr(answer, "__name__", "your function"), list[Outcome]()
        args, options = call.copied()
        with ExitStack() if inputs else WithoutValues():
            module = answer(*args, **options)
        if module is None or module is ...:
            raise NotYet
        if not isinstance(module, nn.Module) or isinstance(module, nn.ModuleList):
            hint = " It cannot be called; `nn.Sequential(*layers)` can." if isinstance(module, Iterable) else ""
            raise Wrong(f"Expected a module from `{self.name}`, got {kind_of(module)}.{hint}")
        self.side = Side(module, inputs, seed)
        self.weights = dict[str, Tensor]()
        if inputs:
            randomise(module)
            self.weights = {key: value.clone() for key, value in module.state_dict().items()}
        self.runs = self.side.runs()

    def outcomes(self) -> Iterator[Outcome]:
        """How the runs end; each is done when somebody asks for it, and only once."""
        yield from self.done
        for outcome in self.runs:
            if outcome.out is None or outcome.out is ...:
                raise NotYet
            if isinstance(outcome.out, Wrong):
                raise Wrong(f"`{self.name}` {outcome.out}")
            if not isinstance(outcome.out, Tensor | Exception):
                raise Wrong(f"Expected a tensor from `{self.name}`, got {kind_of(outcome.out)}.")
            self.done.append(outcome)
            yield outcome


@dataclass(eq=False, kw_only=True)
class ModuleExercise(Exercise):
    """The check of a module class, or of a function that builds a module; `calls` makes the constructor's arguments."""

    # takes them and gives inputs; have odd and even sides among them, not square. With none, only layers are compared
    inputs: Inputs
    names: bool = False  # parameters and buffers carry the oracle's names, so that stored weights load
    own_relus: bool = False  # the text asks for one `nn.ReLU()` for each use, not in place

    def judge_answer(self, answer: Any) -> str:
        """The oracle's praise; raises `NotYet` where the module returns nothing, `Wrong` where it differs."""
        calls, seed = self.calls(), random.getrandbits(32)
        self.need_kind(answer, calls)
        trials = []
        for call in calls:
            shapes = self.inputs(*self.values(*call.args, **call.options).values())
            inputs = [x if isinstance(x, Tensor) else random_input(x) for x in shapes]
            trials.append(Trial(answer, call, inputs, seed))
        fault = self.fault(trials, self.oracle)
        if fault is None:
            self.last_question(answer)
            return self.praise
        for message, variant in self.wrong_answers():
            if self.fault(trials, variant) is None:
                raise Wrong(message)
        outcomes = itertools.chain.from_iterable(trial.outcomes() for trial in trials)
        error = next((outcome.out for outcome in outcomes if isinstance(outcome.out, Exception)), None)
        if error and (fault is ERROR or not isinstance(error, RuntimeError)):
            raise error
        raise Wrong(fault)

    def fault(self, trials: Sequence[Trial], variant: Callable[..., nn.Module]) -> str | None:
        """How the learner's modules differ from those of the reference, or of a variant; None where they do not."""
        for trial in trials:
            args, options = trial.call.copied()
            with WithoutValues():
                module = variant(*args, **options)
            fault = names_fault(trial.side.module, module) if self.names else None
            if fault is None:
                theirs = Side(module, trial.side.inputs, trial.side.seed, traced=not self.names)
                fault, layers = self.pair(trial.side, theirs)
                fault = fault or outcome_fault(trial, theirs, layers)
            if fault is not None:
                return fault if fault is ERROR or trial is trials[0] else f"{trial.call.says(self.name)}: {fault}"
        return None

    def pair(self, mine: Side, theirs: Side) -> tuple[str | None, list[tuple[str, str]]]:
        """The learner's layers with those of another module, or in words why they are not the same."""
        if fault := sharing_fault(mine, theirs) or counts_fault(mine, theirs, own_relus=self.own_relus):
            return fault, []
        left, pairs = list(mine.layers), []
        for right in theirs.layers:
            layer = theirs.module.get_submodule(right)
            beside = [right] if self.names else left
            faults = {name: settings_faults(mine.module.get_submodule(name), layer) for name in beside}
            fits = [right] if self.names else [name for name in left if not faults[name]]
            # of several the one after the same layer: a batch norm belongs to its convolution
            behind = (name for name in fits if (mine.before(name), theirs.before(right)) in pairs)
            fitting = next(behind, fits[0] if fits else None)
            if fitting is None or faults[fitting]:
                same = [n for n in beside if isinstance(mine.module.get_submodule(n), type(layer))] or beside
                nearest = fitting or min(same, key=lambda name: len(faults[name]))
                return f"`{nearest}` {faults[nearest][0]}.", []
            left.remove(fitting)
            pairs.append((fitting, right))
        return (f"`{left[0]}` is one layer too many." if left else None), pairs

    def as_answer(self, variant: Variant) -> Callable[..., Any]:
        """A variant that is built like the oracle."""
        oracle: Any = self.oracle
        if not isinstance(oracle, type):
            return super().as_answer(variant)
        if isinstance(variant, dict):

            def init(module: nn.Module, *args: Any, **options: Any) -> None:
                oracle.__init__(module, **(self.values(*args, **options) | variant))

            return type(self.name, (oracle,), {"__init__": init})
        return type(self.name, (oracle,), {"forward": lambda module, x: variant(module, x)})


def module_exercise(title: str, **specification: Any) -> Callable[[Callable[..., nn.Module]], ModuleExercise]:
    """Turn a class, or a function that builds a module, into its check; see the attributes of `ModuleExercise`."""
    return lambda oracle: ModuleExercise(title=title, oracle=oracle, **specification)


class WithoutValues(TorchFunctionMode):
    """Inside, new layers are left without initial values, which take most of the time of building a large network."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"]
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


def random_input(shape: Sequence[int]) -> Tensor:
    """Random numbers; small ones on the left, where biases decide: a ReLU before a max pooling shows nowhere else."""
    left = torch.arange(shape[-1]) < shape[-1] // 3
    return torch.randn(*shape) * torch.where(left, 0.05, 1.0)


def leaves(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The innermost parts of a module by name."""
    return [(name, part) for name, part in module.named_modules() if not list(part.children())]


@torch.no_grad()
def randomise(module: nn.Module) -> None:
    """Give layers values that show: new weights are so small that tanh changes little, new batch norms all 0 or 1."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(part.weight)
            if part.bias is not None:
                part.bias.copy_(torch.linspace(-0.5, 0.5, len(part.bias)))
        if isinstance(part, _BatchNorm) and part.affine:
            part.weight.uniform_(0.5, 1.5)
            part.bias.uniform_(-0.5, 0.5)
        if isinstance(part, _BatchNorm) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 1.5)


def names_fault(mine: nn.Module, theirs: nn.Module) -> str | None:
    """In words, which parameter or buffer has not the name or the shape of the other module's."""
    got, wanted = ({key: tuple(value.shape) for key, value in m.state_dict().items()} for m in (mine, theirs))
    if got == wanted:
        return None
    if got.keys() != wanted.keys() and sorted(got.values()) == sorted(wanted.values()):
        at, lacking = (next(key for key in one if key not in other) for one, other in ((got, wanted), (wanted, got)))
        return f"All layers have the right size, but `{at}` has the wrong name: it should be `{lacking}`."
    for key in wanted:
        if key in got and got[key] != wanted[key]:
            return f"`{key}` has shape {got[key]}, expected {wanted[key]}."
    missing, more = ([key for key in one if key not in other] for one, other in ((wanted, got), (got, wanted)))
    words = [f"{verb} `{keys[0]}`" for verb, keys in (("lacks", missing), ("has an additional", more)) if keys]
    return f"The net {' and '.join(words)}."


def sharing_fault(mine: Side, theirs: Side) -> str | None:
    """In words, which layer is used several times, or which parameter belongs to none."""
    for name in mine.layers:
        if mine.used.count(name) > max(1, theirs.used.count(name)):
            return (
                f"`{name}` is used {mine.used.count(name)} times. Each step needs a layer of its own: convolutions "
                "would share their weights, batch norms their statistics."
            )
    inside = {key for name in mine.layers for key in mine.keys_of(name)}
    outside = [name for name, _ in mine.module.named_parameters() if name not in inside]
    return f"`{outside[0]}` is a parameter outside of any layer. None is needed." if outside else None


def counts_fault(mine: Side, theirs: Side, *, own_relus: bool) -> str | None:
    """In words, of which kind there are too many layers or too few."""
    kinds: list[tuple[str, type | UnionType]] = [("convolution", nn.Conv2d), ("linear layer", nn.Linear)]
    if any(isinstance(part, nn.Linear) for _, part in leaves(theirs.module)):  # for which a convolution may stand
        kinds = [("convolution or linear layer", nn.Conv2d | nn.Linear)]
    kinds += [("batch norm", _BatchNorm), *([("ReLU", nn.ReLU)] if own_relus else [])]
    for word, kind in kinds:
        got, wanted = (sum(isinstance(part, kind) for _, part in leaves(side.module)) for side in (mine, theirs))
        if got != wanted:
            why = ONE_RELU_PER_USE if kind is nn.ReLU and got < wanted else ""
            return f"Your module defines {got} × {word}; it needs {wanted}.{why}"
    if own_relus:
        relus = {name: part for name, part in leaves(mine.module) if isinstance(part, nn.ReLU)}
        if twice := [name for name in relus if mine.used.count(name) > 1]:
            return f"`{twice[0]}` is used {mine.used.count(twice[0])} times.{ONE_RELU_PER_USE}"
        if any(relu.inplace for relu in relus.values()):
            return "A ReLU works in place, so it overwrites what the layer before put out. Leave `inplace` off."
    return None


def settings_faults(mine: nn.Module, wanted: nn.Module) -> list[str]:
    """In words, in what one layer differs from another: kind, sizes, settings. Its values do not count."""
    if isinstance(mine, nn.Conv2d) and isinstance(wanted, nn.Linear):  # over a whole map, or of 1×1: the same sum
        shapes = [(tuple(part.weight.flatten(1).shape), part.bias is None) for part in (mine, wanted)]
        same = shapes[0] == shapes[1] and mine.groups == 1
        return [] if same else [f"is a convolution with weights of shape {tuple(mine.weight.shape)}"]
    kind = nn.Conv2d if isinstance(wanted, nn.Conv2d) else type(wanted)  # the package's are a kind of their own
    if not isinstance(mine, kind):
        return [f"is a `{type(mine).__name__}`, expected a `{kind.__name__}`"]
    got, faults = settings(mine), []
    for key, value in settings(wanted).items():
        if got.get(key) != value and key == "bias":
            faults.append("has a bias, which the batch norm after it cancels" if got[key] else "has no bias")
        elif got.get(key) != value:
            faults.append(f"has `{key}={brief(got.get(key))}`, expected `{key}={brief(value)}`")
    return faults


def settings(layer: nn.Module) -> dict[str, Any]:
    """Whatever a layer was built with: sizes, stride, padding, groups, eps, momentum and so on."""
    plain = (bool, int, float, str, tuple, type(None))
    found: dict[str, Any] = {k: v for k, v in vars(layer).items() if isinstance(v, plain) and not k.startswith("_")}
    found.pop("training")
    if found.get("padding") == "same":
        found["padding"] = tuple(d * (k - 1) // 2 for d, k in zip(found["dilation"], found["kernel_size"], strict=True))
    return found | {"bias": getattr(layer, "bias", None) is not None}


def brief(value: Any) -> str:
    """A setting as it is usually written: 3 for (3, 3)."""
    return repr(value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value)


def outcome_fault(trial: Trial, theirs: Side, layers: Sequence[tuple[str, str]]) -> str | None:
    """How what the learner's module computes differs from what another does with the same weights.

    `ERROR` where one of them raises and the other does not, or raises something else.
    """
    keys = [
        (key, other)
        for mine, right in layers
        for key, other in zip(trial.side.keys_of(mine), theirs.keys_of(right), strict=True)
    ]
    state = theirs.module.state_dict()
    for mine, right in keys if trial.weights else []:
        state[right].copy_(trial.weights[mine].reshape(state[right].shape))
    for got, wanted in zip(trial.outcomes(), theirs.runs(), strict=True):
        errors = [outcome.out for outcome in (got, wanted) if isinstance(outcome.out, Exception)]
        if len(errors) == 2 and (type(errors[0]), str(errors[0])) == (type(errors[1]), str(errors[1])):
            continue
        if errors:
            return ERROR
        if got.out.shape != wanted.out.shape:
            return f"{got.where}, expected {kind_of(wanted.out)}, got shape {tuple(got.out.shape)}."
        if fault := difference(got.out, wanted.out, 1e-3):
            if unused := [mine for mine, right in layers if mine not in trial.side.used and right in theirs.used]:
                return f"`{unused[0]}` is defined and not used in `forward`."
            return f"The layers are right, what happens between them is not. {got.where}, {fault}."
        for mine, right in [*keys, ("", "")]:
            gradient, expected = got.gradients.get(mine), wanted.gradients.get(right)
            at = f"`{mine}`" if mine else "the input"
            if expected is None:
                continue
            if gradient is None:
                return f"The output is right, but no gradient reaches {at}. {CUT_OFF}"
            if difference(gradient.reshape(expected.shape), expected, 1e-2):
                return f"The output is right, the gradient that reaches {at} is not. {CUT_OFF}"
    return None
