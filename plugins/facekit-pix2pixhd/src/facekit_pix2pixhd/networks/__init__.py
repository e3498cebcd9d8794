"""The networks of pix2pixHD (Wang et al., CVPR 2018) as plain torch modules.

They know nothing of facekit: tensors in, tensors out, every option an explicit keyword argument.
"""

from .discriminator import MultiScaleDiscriminator, PatchDiscriminator, ScaleOutput
from .feature_encoder import FeatureEncoder
from .global_generator import GlobalGenerator
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
]
