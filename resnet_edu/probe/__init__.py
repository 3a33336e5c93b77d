"""Instruments that look into any network and leave it as they found it.

`activations` and `forward_statistics` show the signal, `gradient_norms` and `input_output_gradients` the
training signal, `loss_surface` the loss around the weights.
"""

from .activations import LayerStatistics, activations, forward_statistics
from .gradients import LayerGradient, autocorrelation, gradient_norms, input_output_gradients
from .landscape import Slice, Surface, loss_slice, loss_surface, random_direction

__all__ = [
    "LayerGradient",
    "LayerStatistics",
    "Slice",
    "Surface",
    "activations",
    "autocorrelation",
    "forward_statistics",
    "gradient_norms",
    "input_output_gradients",
    "loss_slice",
    "loss_surface",
    "random_direction",
]
