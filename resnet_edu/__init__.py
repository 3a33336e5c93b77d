"""resnet-edu: from LeNet to ResNet, with your own hands.

A lesson begins with `import resnet_edu as edu`. Importing loads torch and little else: what needs matplotlib,
ipywidgets, pandas or captum is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import data, errors, facts, machine, models, probe
from .config import TrainConfig
from .history import Epoch, History
from .machine import profile, setup
from .metrics import Metrics, evaluate
from .predict import Prediction, predict
from .recipe import Recipe
from .run import Run
from .table import table
from .train import fit

if TYPE_CHECKING:
    from . import checks, plots, study, widgets

__version__ = "0.1.0"

__all__ = [
    "Epoch", "History", "Metrics", "Prediction", "Recipe", "Run", "TrainConfig", "checks", "data", "errors", "evaluate",
    "facts", "fit", "machine", "models", "plots", "predict", "probe", "profile", "setup", "study", "table", "widgets",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import `edu.plots`, `edu.widgets` and the like when they are first asked for (PEP 562)."""
    if name in ("checks", "plots", "study", "widgets"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
