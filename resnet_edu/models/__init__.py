"""The networks of the course, from LeNet-5 (1998) to ResNet-200 (2016), each written out by hand."""

from .alexnet import AlexNet
from .cifar import CifarNet, PadShortcut, PlainBlock, ResidualBlock, extend_with_identity
from .deep import DeepLayer, deep_net
from .googlenet import AUXILIARY_WEIGHT, GoogLeNet, GoogLeNetOutputs, Inception
from .heads import Heads, head_of, replace_head
from .lenet import LeNet5
from .modes import fold_batch_norms, freeze, training_mode
from .pretrained import Pretrained, detected_box, load_state, normalisation, pretrained
from .registry import available, build, options
from .resnet import BasicBlock, Bottleneck, PreActBlock, ResNet
from .vgg import VGG

__all__ = [
    "AUXILIARY_WEIGHT", "AlexNet", "BasicBlock", "Bottleneck", "CifarNet", "DeepLayer", "GoogLeNet",
    "GoogLeNetOutputs", "Heads", "Inception", "LeNet5", "PadShortcut", "PlainBlock", "PreActBlock", "Pretrained",
    "ResNet", "ResidualBlock", "VGG", "available", "build", "deep_net", "detected_box", "extend_with_identity",
    "fold_batch_norms", "freeze", "head_of", "load_state", "normalisation", "options", "pretrained", "replace_head",
    "training_mode"
]  # fmt: skip
