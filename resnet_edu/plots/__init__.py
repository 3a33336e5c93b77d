"""One function per figure. Each returns a matplotlib `Figure` and never shows it; a notebook shows the last value."""

from .curves import degradation, depth_sweep, learning_curves, six_curves
from .images import image_grid
from .style import course_style

__all__ = ["course_style", "degradation", "depth_sweep", "image_grid", "learning_curves", "six_curves"]
