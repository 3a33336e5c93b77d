"""One function per figure. Each returns a matplotlib `Figure` and never shows it; a notebook shows the last value."""

from .architecture import architecture
from .attribution import (
    ATTRIBUTIONS,
    attribution_grid,
    completeness,
    maps_over_photos,
    photo_attribution,
    rank_correlations,
)
from .augmentation import augmentation_grid, augmented_views, train_and_test
from .auxiliary import gradient_with_and_without, votes
from .blocks import block_diagrams, errors_without
from .budget import NetCost, error_against_cost, model_picker, model_picker_grid, published_nets, within_budget
from .channel_budget import channel_budget, channel_budget_grid
from .confusion import confusion_matrix
from .convolution import convolution_step, kernel_positions, pooling
from .curves import degradation, depth_sweep, learning_curves, six_curves
from .depth import depth_and_skip, depth_and_skip_grid
from .family import challenge_history, stage_costs
from .features import feature_maps
from .flow import carry_by_depth, signal_and_gradient, signal_and_gradient_grid
from .gradients import gradients_by_layer
from .heads import errors_by_head, faults_by_instrument
from .images import image_grid
from .inception import inception_diagrams
from .kernels import KERNELS, kernel_effect, kernel_gallery
from .landscape import loss_surfaces
from .layer_costs import layer_costs, named_layers
from .layer_signals import (
    activation_slopes,
    errors_by_epoch,
    gradient_flow,
    gradient_flow_grid,
    losses_by_step,
    signals_by_layer,
)
from .naming import deepest_layer, named_photos, precision_and_coverage
from .normalisation import response_normalisation
from .predictions import photo_predictions
from .race import loss_race, steps_to_reach
from .receptive import receptive_growth, receptive_growth_grid, seen_pixels
from .scale import gradient_error, losses_together, rates_and_losses, step_times
from .shattered import autocorrelations, gradient_series
from .shift import error_by_shift
from .stages import stage_table, stage_table_grid
from .style import course_style, without_glyph
from .transfer import errors_by_layer, transfer_curves, transfer_grid, transfer_view
from .walk import Stage, network_walk

__all__ = [
    "ATTRIBUTIONS",
    "KERNELS",
    "NetCost",
    "Stage",
    "activation_slopes",
    "architecture",
    "attribution_grid",
    "augmentation_grid",
    "augmented_views",
    "autocorrelations",
    "block_diagrams",
    "carry_by_depth",
    "challenge_history",
    "channel_budget",
    "channel_budget_grid",
    "completeness",
    "confusion_matrix",
    "convolution_step",
    "course_style",
    "deepest_layer",
    "degradation",
    "depth_and_skip",
    "depth_and_skip_grid",
    "depth_sweep",
    "error_against_cost",
    "error_by_shift",
    "errors_by_epoch",
    "errors_by_head",
    "errors_by_layer",
    "errors_without",
    "faults_by_instrument",
    "feature_maps",
    "gradient_error",
    "gradient_flow",
    "gradient_flow_grid",
    "gradient_series",
    "gradient_with_and_without",
    "gradients_by_layer",
    "image_grid",
    "inception_diagrams",
    "kernel_effect",
    "kernel_gallery",
    "kernel_positions",
    "layer_costs",
    "learning_curves",
    "loss_race",
    "loss_surfaces",
    "losses_by_step",
    "losses_together",
    "maps_over_photos",
    "model_picker",
    "model_picker_grid",
    "named_layers",
    "named_photos",
    "network_walk",
    "photo_attribution",
    "photo_predictions",
    "pooling",
    "precision_and_coverage",
    "published_nets",
    "rank_correlations",
    "rates_and_losses",
    "receptive_growth",
    "receptive_growth_grid",
    "response_normalisation",
    "seen_pixels",
    "signal_and_gradient",
    "signal_and_gradient_grid",
    "signals_by_layer",
    "six_curves",
    "stage_costs",
    "stage_table",
    "stage_table_grid",
    "step_times",
    "steps_to_reach",
    "train_and_test",
    "transfer_curves",
    "transfer_grid",
    "transfer_view",
    "votes",
    "within_budget",
    "without_glyph",
]
