"""Frozen ImageNet networks whose features losses compare."""

from .efficientnet_lite0 import EfficientNetLite0
from .vgg19 import VGG19

__all__ = ["VGG19", "EfficientNetLite0"]
