"""Instruments that look into any network and leave it as they found it.

`summary` says what each layer costs, `receptive_field` what it sees, `activations` and `forward_statistics` what
it puts out, `gradient_norms` what it learns from; `input_output_gradients` and `autocorrelation` measure how
gradients shatter, `loss_surface` the loss around the weights.
"""

from .activations import LayerStatistics, activations, forward_statistics
from .gradients import LayerGradient, autocorrelation, gradient_norms, input_output_gradients
from .landscape import Slice, Surface, loss_slice, loss_surface, random_direction
from .receptive import MeasuredField, ReceptiveField, measured_receptive_field, receptive_field
from .summary import LayerSummary, Summary, summary

__all__ = [
    "LayerGradient",
    "LayerStatistics",
    "LayerSummary",
    "MeasuredField",
    "ReceptiveField",
    "Slice",
    "Summary",
    "Surface",
    "activations",
    "autocorrelation",
    "forward_statistics",
    "gradient_norms",
    "input_output_gradients",
    "loss_slice",
    "loss_surface",
    "measured_receptive_field",
    "random_direction",
    "receptive_field",
    "summary",
]
