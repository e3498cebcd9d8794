"""Contract tests for plugin authors: subclass the class of a component's kind, and pytest checks what it promises.

It needs pytest (``pip install facekit-toolkit[testing]``). Importing it imports torch; import it in tests only.
"""

from facekit.testing.augmentation import AugmentationContract
from facekit.testing.contract import BENCH_ATTRIBUTES, BENCH_LABEL_MAP, BrokenPromise, ComponentContract
from facekit.testing.dataset import DatasetContract
from facekit.testing.importing import (
    ImportContract,
    assert_equals,
    golden_tensors,
    imported_network,
    imported_weights,
)
from facekit.testing.inputs import Inputs
from facekit.testing.loss import LossContract
from facekit.testing.metric import MetricContract
from facekit.testing.network import (
    DiscriminatorContract,
    FamilyNetworkContract,
    GeneratorContract,
    NetworkContract,
    StyleEncoderContract,
)
from facekit.testing.sampler import SamplerContract
from facekit.testing.updates import OptimiserContract, ScheduleContract

__all__ = [
    "BENCH_ATTRIBUTES",
    "BENCH_LABEL_MAP",
    "AugmentationContract",
    "BrokenPromise",
    "ComponentContract",
    "DatasetContract",
    "DiscriminatorContract",
    "FamilyNetworkContract",
    "GeneratorContract",
    "ImportContract",
    "Inputs",
    "LossContract",
    "MetricContract",
    "NetworkContract",
    "OptimiserContract",
    "SamplerContract",
    "ScheduleContract",
    "StyleEncoderContract",
    "assert_equals",
    "golden_tensors",
    "imported_network",
    "imported_weights",
]
