"""An invented record of the bench, with everything in it."""

from typing import Any

from resnet_edu.tools.bench.measured import Measured


def measured(unit: str, value: float) -> dict[str, Any]:
    return Measured(unit, (value, 0.9 * value, 1.1 * value)).to_dict()


def training(title: str, model: str, *, faster: float = 3.0) -> dict[str, Any]:
    return {
        "title": title,
        "model": model,
        "side": 32,
        "channels": 3,
        "batch": 128,
        "gflop_per_image": 0.25,
        "precision": "bfloat16",
        "plain": measured("images/s", 1234.5),
        "fit": measured("images/s", 1234.5 * faster),
        "ratio": measured("fit / plain", faster),
        "matrix": measured("GFLOP/s", 600.0),
        "share": measured("% of matrix", 36.6),
        "plain_peak_gb": 1.25,
        "fit_peak_gb": 1.1,
    }


def curve(x: str, y: str) -> dict[str, Any]:
    values = [measured(y, value) for value in (1.0, 2.0, 4.0)]
    return {"x": x, "at": [20, 40, 80], "y": y, "values": values, "exponent": 1.0, "r2": 0.9999}


def record() -> dict[str, Any]:
    lessons = [{"lesson": f"{number:02}_name", "quick": 0.5, "full": 12.3} for number in range(14)]
    return {
        "date": "2026-01-01",
        "machine": {
            "cpu": "A Processor With A Long Name 9999X 64-Core Processor @ 3.00GHz",
            "cores": 2,
            "threads": 2,
            "memory_gb": 24.0,
            "os": "Linux x86_64",
            "python": "3.12.0",
            "torch": "2.9.1+cpu",
            "torchvision": "0.24.1+cpu",
            "device": "cpu",
            "precision": "bfloat16",
            "omp_num_threads": None,
        },
        "settings": {"parts": [], "repeats": 3, "quick": False},
        "limits": {
            "float32": measured("GFLOP/s", 180.0),
            "bfloat16": measured("GFLOP/s", 600.0),
            "one_thread": measured("GFLOP/s", 92.0),
            "copy": measured("GB/s", 21.5),
        },
        "training": [
            training("LeNet-5", "lenet5"),
            training("ResNet-20", "resnet20"),
            training("ResNet-56", "resnet56"),
            training("ResNet-18 at 64", "resnet18"),
        ],
        "verdict": {
            "nets": ["plain20", "plain56"],
            "epochs": 6,
            "seconds": measured("s", 9.5),
            "rate": measured("GFLOP/s", 80.0),
        },
        "prediction": {
            "network": "bundled ResNet-18",
            "files": 64,
            "one_by_one": measured("pictures/s", 30.0),
            "predict": measured("pictures/s", 60.0),
            "ratio": measured("predict / one by one", 2.0),
        },
        "imports": {"torch": measured("s", 2.5), "resnet_edu": measured("s", 0.25)},
        "lessons": {
            "matrix": measured("GFLOP/s", 180.0),
            "larger_nets": 5.0,
            "lessons": lessons,
            "total": {"quick": 7.0, "full": 172.2},
        },
        "naming": {
            "pictures": 10_000,
            "rows": [
                {
                    "network": "ResNet-18 at 64×64",
                    "what": "float32",
                    "plain": measured("pictures/s", 800.0),
                    "ours": measured("pictures/s", 1600.0),
                    "ratio": measured("ours / plain", 2.0),
                    "other_labels": 0,
                    "largest_difference": 0.01,
                }
            ],
        },
        "accuracy": {
            "title": "ResNet-20 of width 8",
            "phases": [[6, 0.05], [3, 0.005]],
            "images": {"train": 3500, "test": 1000},
            "fit": measured("% test error", 3.1),
            "plain": measured("% test error", 3.0),
            "difference": {"mean": 0.1, "standard_error": 0.12},
        },
        "growth": {
            "curves": {"depth": curve("layers", "ms an image"), "batch": curve("images a step", "ms a step")},
            "loading": {**curve("pictures", "s"), "peak_gb": [0.4, 0.5, 0.6]},
        },
    }
