"""(e) Metrics: features of pictures, and the Fréchet distance in 2,048 dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import torch

from benchmarks.measure import in_turns, ratio
from facekit_losses.backbones.efficientnet_lite0 import EfficientNetLite0
from facekit_metrics.frechet import frechet_distance
