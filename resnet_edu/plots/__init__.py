"""One function per figure. Each returns a matplotlib `Figure` and never shows it; a notebook shows the last value."""

from .curves import degradation, depth_sweep, learning_curves, six_curves
from .depth import depth_and_skip, depth_and_skip_grid
from .gradients import gradients_by_layer
from .images import image_grid
from .landscape import loss_surfaces
from .predictions import photo_predictions
from .style import course_style

__all__ = [
    "course_style",
    "degradation",
    "depth_and_skip",
    "depth_and_skip_grid",
    "depth_sweep",
    "gradients_by_layer",
    "image_grid",
    "learning_curves",
    "loss_surfaces",
    "photo_predictions",
    "six_curves",
]
