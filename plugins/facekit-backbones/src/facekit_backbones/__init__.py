"""ImageNet networks whose features losses, metrics and evaluators look at.

A library that plugins read photos with; it uses the interfaces of facekit and nothing else of it.
"""

from .efficientnet_lite0 import EfficientNetLite0
from .weights import tensor_of

__all__ = ["EfficientNetLite0", "tensor_of"]
