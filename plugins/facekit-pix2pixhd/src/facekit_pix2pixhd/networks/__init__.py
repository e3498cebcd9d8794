"""The networks of pix2pixHD (Wang et al., CVPR 2018) as plain torch modules.

They know nothing of facekit: tensors in, tensors out, every option an explicit keyword argument.
"""

from .discriminator import MultiScaleDiscriminator, PatchDiscriminator, ScaleOutput
from .feature_encoder import FeatureEncoder, average_by_region, spread_over_regions
from .global_generator import GlobalGenerator
from .initialisation import initialise_as_published
from .local_enhancer import LocalEnhancer
from .unet import UNet

__all__ = [
    "FeatureEncoder",
    "GlobalGenerator",
    "LocalEnhancer",
    "MultiScaleDiscriminator",
    "PatchDiscriminator",
    "ScaleOutput",
    "UNet",
    "average_by_region",
    "initialise_as_published",
    "spread_over_regions",
]
