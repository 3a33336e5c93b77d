"""Where a network's parameters, multiply-adds and memory sit, layer by layer.

Numbers agree with torchvision's `Weights.meta`: `num_params` exactly, `_ops` (GMACs) to within 0.5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..display import Table, table
from .activations import forward_on_meta, meta_input, watch


class LayerSummary(NamedTuple):
    """One layer: the shape of its output, () if it did not run, its own parameters, and its costs for the whole batch.

    `macs` are multiply-adds, `activation_bytes` the size of the output.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """A network's layers in order of execution, and their totals. Prints as a table, in a notebook as HTML."""

    rows: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass."""
        return sum(row.macs for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' outputs: about what training keeps for the backward pass."""
        return sum(row.activation_bytes for row in self.rows)

    def table(self) -> Table:
        """Rows and total: counts, MACs in millions, memory in KiB."""
        total = LayerSummary("total", "", (), self.parameters, self.macs, self.activation_bytes)
        lines = []
        for row in (*self.rows, total):
            shape = " × ".join(map(str, row.output_shape)) or ("" if row is total else "did not run")
            costs = f"{row.macs / 1e6:,.2f} M", f"{row.activation_bytes / 1024:,.1f} KiB"
            lines.append((row.name, row.kind, shape, row.parameters, *costs))
        return table(lines, ["layer", "kind", "output", "parameters", "MACs", "activations"])

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def summary(model: nn.Module, input_shape: Sequence[int]) -> Summary:
    """Shape, parameters, multiply-adds and activation memory of each layer.

    What is counted, as in the papers and in torchvision: one multiply-add (MAC) for each product in a convolution or a
    linear layer. Not counted: biases, batch norm, ReLU, pooling, additions (together about 1 % of a ResNet), transposed
    convolutions, and products that are no module of their own. One MAC is two floating-point operations; papers that
    say "FLOPs" mean MACs. Nothing is computed, and the model does not change.

    Args:
        input_shape: `(C, H, W)` of one image, or `(N, C, H, W)`; for a linear net `(D,)` or `(N, D)`.

    Returns:
        One row per module without children, in order of execution. A second run of the same module is a row `name#2`
        without parameters. Parameters of modules that did not run, or that have children of their own, come last.

    Raises:
        ValueError: a shape that is none, or that the network cannot take.
    """
    inputs = meta_input(model, input_shape)
    unclaimed = {id(parameter): parameter.numel() for parameter in model.parameters()}
    rows: list[LayerSummary] = []

    def claim(module: nn.Module) -> int:
        return sum(unclaimed.pop(identity, 0) for identity in identities[module])

    def record(name: str, module: nn.Module, output: Any) -> None:
        if not isinstance(output, Tensor):
            output = next(tensor for tensor in output if isinstance(tensor, Tensor))
        costs = claim(module), macs(module, output), output.numel() * output.element_size()
        rows.append(LayerSummary(name, type(module).__name__, tuple(output.shape), *costs))

    # Taken before the pass, during which each parameter is replaced by one without memory.
    identities = {module: [id(own) for own in module.parameters(recurse=False)] for module in model.modules()}
    with watch(model, None, record):
        forward_on_meta(model, inputs)
    for name, module in model.named_modules():
        left = claim(module)
        if left:
            rows.append(LayerSummary(name or type(module).__name__, type(module).__name__, (), left, 0, 0))
    return Summary(tuple(rows))


def macs(module: nn.Module, output: Tensor) -> int:
    """Multiply-adds of one layer: for each number it outputs, the length of the dot product behind it."""
    if isinstance(module, _ConvNd) and not module.transposed:
        return output.numel() * (module.in_channels // module.groups) * math.prod(module.kernel_size)
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    return 0
