"""Instruments that look into any network and leave it as they found it.

`summary` says what each layer costs, `receptive_field` what it sees, `activations` and `forward_statistics` what it
puts out, `gradient_norms` what it learns from, `layer_signals` both along a deep stack; `autocorrelation` measures how
gradients shatter, `linear_head` what features are good for; `grad_cam`, `integrated_gradients` and `occlusion` say
where in an image the evidence is. They take a `model`, a batch of `images` as it takes them, `(N, C, H, W)`, and
`labels`, int64 `(N,)`.
"""

from .activations import LayerStatistics, activations, forward_statistics
from .attribution import Integrated, grad_cam, guided_backprop, integrated_gradients, occlusion
from .gradients import LayerGradient, autocorrelation, gradient_norms
from .linear import clothing_features, layer_features, linear_head
from .receptive import ReceptiveField, receptive_field
from .removal import block_removal, removable_blocks, without_blocks
from .signals import Flow, LayerSignals, factor_per_layer, layer_signals, residual_flow
from .summary import LayerSummary, Summary, summary

__all__ = [
    "Flow", "Integrated", "LayerGradient", "LayerSignals", "LayerStatistics", "LayerSummary",
    "ReceptiveField", "Summary", "activations", "autocorrelation", "block_removal", "clothing_features",
    "factor_per_layer", "forward_statistics", "grad_cam", "gradient_norms", "guided_backprop",
    "integrated_gradients", "layer_features", "layer_signals", "linear_head", "occlusion", "receptive_field",
    "removable_blocks", "residual_flow", "summary", "without_blocks"
]  # fmt: skip
