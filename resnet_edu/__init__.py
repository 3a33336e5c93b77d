"""resnet-edu: from LeNet to ResNet, with your own hands.

A lesson begins with `import resnet_edu as edu`. What a name needs is imported when it is first used, so the command
`resnet-edu --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import checks, data, errors, facts, files, machine, models, plots, probe, study, widgets
    from .config import TrainConfig
    from .display import table
    from .history import Epoch, History
    from .machine import profile, setup
    from .metrics import Metrics, evaluate
    from .prediction import Prediction, predict
    from .recipe import Recipe
    from .run import Run
    from .train import fit

__version__ = "0.1.0"

__all__ = [
    "Epoch", "History", "Metrics", "Prediction", "Recipe", "Run", "TrainConfig", "checks", "data", "errors", "evaluate",
    "facts", "files", "fit", "machine", "models", "plots", "predict", "probe", "profile", "setup", "study", "table",
    "widgets",
]  # fmt: skip

#: In which module each name is; what is not listed is a module itself.
MODULES = {
    "Epoch": "history", "History": "history", "Metrics": "metrics", "Prediction": "prediction", "Recipe": "recipe",
    "Run": "run", "TrainConfig": "config", "evaluate": "metrics", "fit": "train", "predict": "prediction",
    "profile": "machine", "setup": "machine", "table": "display",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{MODULES.get(name, name)}", __name__)
    return getattr(module, name) if name in MODULES else module


def __dir__() -> list[str]:
    return __all__
