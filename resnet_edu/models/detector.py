"""Where in a photo the thing is: torchvision's Faster R-CNN with weights trained on COCO, from the cache.

Ren et al. 2015, https://arxiv.org/abs/1506.01497, on a MobileNetV3; the smallest of torchvision's detectors.
"""

from functools import cache
from pathlib import Path
from threading import Lock

import torch
from PIL import Image
from torch import nn
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.transforms.v2 import functional as transforms

from .imagenet import DETECTOR, imagenet_file, imagenet_state
from .weights import load_state

Box = tuple[float, float, float, float]

SURE = 0.5  # score from which a detection counts
ONE_AT_A_TIME = Lock()  # the detector's anchors are made anew for each picture, and folders are read in threads


def detected_box(picture: Image.Image) -> Box | None:
    """Left, top, right and bottom of the surest detection, in pixels; None if nothing is found.

    Args:
        picture: in RGB.

    Raises:
        DatasetUnavailable: the weights are not cached; the message has the command that gets them.
        WrongCheckpoint: their file is damaged.
    """
    with ONE_AT_A_TIME, torch.inference_mode():
        (found,) = detector(imagenet_file(DETECTOR))([transforms.to_dtype(transforms.to_image(picture), scale=True)])
    sure = found["boxes"][found["scores"] >= SURE]  # (N, 4), surest first
    if len(sure) == 0:
        return None
    left, top, right, bottom = sure[0].tolist()
    return left, top, right, bottom


@cache
def detector(file: Path) -> nn.Module:
    """The detector with the weights in `file`, its place in the cache, in evaluation mode.

    Raises:
        DatasetUnavailable, WrongCheckpoint: as for `imagenet_state`.
    """
    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    load_state(model, imagenet_state(DETECTOR), name=DETECTOR)
    return model.eval()
