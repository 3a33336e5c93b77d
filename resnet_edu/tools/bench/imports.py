"""What `import resnet_edu` costs on top of torch and torchvision, each time in a fresh interpreter."""

import json
import os
import subprocess
import sys
from typing import Any

from ... import files
from .measured import Measured

SCRIPT = """
import json, time
start = time.perf_counter()
import torch, torchvision
between = time.perf_counter()
import resnet_edu
print(json.dumps([between - start, time.perf_counter() - between]))
"""


def measure_imports(rounds: int) -> dict[str, Any]:
    """Seconds for torch with torchvision, and for resnet_edu after them: both in the same interpreter, one a round."""
    import_once()  # what lies on the disk is in memory from now on
    first, second = zip(*(import_once() for _ in range(rounds)), strict=True)
    return {"torch": Measured("s", first).to_dict(), "resnet_edu": Measured("s", second).to_dict()}


def import_once() -> tuple[float, float]:
    """Seconds for torch with torchvision, then for resnet_edu, in a fresh interpreter.

    Raises:
        ValueError: the interpreter failed.
    """
    path = os.pathsep.join(filter(None, [str(files.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ValueError(f"A fresh interpreter cannot import resnet_edu: {done.stderr.strip().splitlines()[-1:]}")
    first, second = json.loads(done.stdout.splitlines()[-1])
    return first, second
