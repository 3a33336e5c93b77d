"""The explorers: a few lines of ipywidgets each, around a figure of `plots`."""

from .attribution import attribution_explorer
from .augmentation import augmentation_explorer
from .depth import depth_and_skip
from .explorer import explorer
from .gradient_flow import gradient_flow
from .inception import channel_budget
from .kernel import kernel_explorer
from .naming import naming_explorer
from .picker import model_picker
from .receptive import receptive_explorer
from .residual import residual_explorer
from .stages import stage_explorer
from .transfer import transfer_explorer

__all__ = [
    "attribution_explorer",
    "augmentation_explorer",
    "channel_budget",
    "depth_and_skip",
    "explorer",
    "gradient_flow",
    "kernel_explorer",
    "model_picker",
    "naming_explorer",
    "receptive_explorer",
    "residual_explorer",
    "stage_explorer",
    "transfer_explorer",
]
