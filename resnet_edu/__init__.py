"""resnet-edu: from LeNet to ResNet, with your own hands."""

__version__ = "0.1.0"
