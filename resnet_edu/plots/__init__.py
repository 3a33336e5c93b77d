"""One function per figure. Each returns a matplotlib `Figure` and never shows it; a notebook shows the last value.

An argument called `title` is the figure's message, in one sentence.
"""

# isort: skip_file
from .architecture import architecture, connections
from .curves import errors_by_epoch, gradients_by_layer, learning_curves, lines, signals_by_layer
from .images import feature_maps, image_grid, numbers
from .lesson_00 import chain, descents, photo_predictions, tensor_shapes
from .lesson_01 import (
    Stage, convolution_over_channels, convolution_step, kernel_effect, kernel_gallery, kernel_places, network_walk,
    patches_as_columns, pooling,
)  # fmt: skip
from .lesson_02 import augmentation_grid, augmented_views, photos_and_maps, train_and_test
from .lesson_03 import channel_values, layer_costs, named_layers, receptive_growth, receptive_growth_grid, seen_pixels
from .lesson_04 import channel_budget, channel_budget_grid, paired_seeds, votes
from .lesson_05 import (
    activation_slopes, autocorrelations, gradient_chain, gradient_flow, gradient_flow_grid, gradient_series,
)  # fmt: skip
from .lesson_06 import (
    degradation, depth_and_skip, depth_and_skip_grid, depth_sweep, errors_by_rate, identity_extension, six_curves,
)  # fmt: skip
from .lesson_07 import (
    block_diagrams, errors_without, paths_and_lengths, signal_and_gradient, signal_and_gradient_grid,
)  # fmt: skip
from .lesson_08 import stage_table, stage_table_grid
from .lesson_09 import (
    challenge_history, error_against_cost, model_picker, model_picker_grid, published_nets, stage_costs,
)  # fmt: skip
from .lesson_10 import errors_by_layer, transfer_curves, transfer_grid, transfer_view
from .lesson_11 import attribution_grid, maps_over_photos, photo_attribution, rank_correlations
from .lesson_12 import confusion_matrix, named_photos, precision_and_coverage
from .lesson_13 import losses_together, step_times

__all__ = [
    "Stage", "activation_slopes", "architecture", "attribution_grid", "augmentation_grid", "augmented_views",
    "autocorrelations", "block_diagrams", "chain", "challenge_history", "channel_budget", "channel_budget_grid",
    "channel_values", "confusion_matrix", "connections", "convolution_over_channels", "convolution_step", "degradation",
    "depth_and_skip", "depth_and_skip_grid", "depth_sweep", "descents", "error_against_cost", "errors_by_epoch",
    "errors_by_layer", "errors_by_rate", "errors_without", "feature_maps", "gradient_chain", "gradient_flow",
    "gradient_flow_grid", "gradient_series", "gradients_by_layer", "identity_extension", "image_grid", "kernel_effect",
    "kernel_gallery", "kernel_places", "layer_costs", "learning_curves", "lines", "losses_together", "maps_over_photos",
    "model_picker", "model_picker_grid", "named_layers", "named_photos", "network_walk", "numbers", "paired_seeds",
    "patches_as_columns", "paths_and_lengths", "photo_attribution", "photo_predictions", "photos_and_maps", "pooling",
    "precision_and_coverage", "published_nets", "rank_correlations", "receptive_growth", "receptive_growth_grid",
    "seen_pixels", "signal_and_gradient", "signal_and_gradient_grid", "signals_by_layer", "six_curves", "stage_costs",
    "stage_table", "stage_table_grid", "step_times", "tensor_shapes", "train_and_test", "transfer_curves",
    "transfer_grid", "transfer_view", "votes",
]  # fmt: skip
