"""One function per figure. Each returns a matplotlib `Figure` and never shows it; a notebook shows the last value.

An argument called `title` is the figure's message, in one sentence.
"""

# isort: skip_file
from .architecture import architecture, chain, connections
from .curves import learning_curves, lines, paired_seeds, runs_over, signals_by_layer, stacked_bars
from .images import feature_maps, image_grid, numbers
from .lesson_00 import descents, photo_predictions, tensor_shapes
from .lesson_01 import (
    Stage, convolution_over_channels, convolution_step, kernel_effect, kernel_places, network_walk, patches_as_columns,
    pooling,
)  # fmt: skip
from .lesson_02 import augmented_views, photos_and_maps
from .lesson_03 import channel_values, layer_costs, named_layers, receptive_growth
from .lesson_04 import channel_budget
from .lesson_05 import activation_slopes, gradient_flow, gradient_flow_grid, gradient_series
from .lesson_06 import degradation, depth_and_skip, identity_extension, six_curves
from .lesson_07 import block_diagrams, errors_without, paths_and_lengths, signal_and_gradient
from .lesson_08 import stage_table
from .lesson_09 import challenge_history, error_against_cost, model_picker, published_nets
from .lesson_10 import transfer_curves, transfer_grid, transfer_view
from .lesson_11 import maps_over_photos, photo_attribution
from .lesson_12 import confusion_matrix, named_photos, precision_and_coverage

__all__ = [
    "Stage", "activation_slopes", "architecture", "augmented_views", "block_diagrams", "chain", "challenge_history",
    "channel_budget", "channel_values", "confusion_matrix", "connections", "convolution_over_channels",
    "convolution_step", "degradation", "depth_and_skip", "descents", "error_against_cost", "errors_without",
    "feature_maps", "gradient_flow", "gradient_flow_grid", "gradient_series", "identity_extension", "image_grid",
    "kernel_effect", "kernel_places", "layer_costs", "learning_curves", "lines", "maps_over_photos", "model_picker",
    "named_layers", "named_photos", "network_walk", "numbers", "paired_seeds", "patches_as_columns",
    "paths_and_lengths", "photo_attribution", "photo_predictions", "photos_and_maps", "pooling",
    "precision_and_coverage", "published_nets", "receptive_growth", "runs_over", "signal_and_gradient",
    "signals_by_layer", "six_curves", "stacked_bars", "stage_table", "tensor_shapes", "transfer_curves",
    "transfer_grid", "transfer_view",
]  # fmt: skip
