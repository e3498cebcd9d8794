"""Tuning to a photo: a run is adapted to one face, so that repainting all of it keeps the person and their detail.

After pivotal tuning (Roich et al., Pivotal Tuning for Latent-based Editing of Real Images, 2021) the photo is generated
from its own mask and style, and style and generator are optimised until it comes out. All weights together would learn
the photo and forget the face. So the change of each weight is of low rank (Hu et al., LoRA, 2021), and other masks and
styles must come out as before, wherever they differ from the photo's.
"""

from facekit_studio.editing.tuning.fit import METHOD, TuningOptions, TuningProgress
from facekit_studio.editing.tuning.low_rank import TunedChange
from facekit_studio.editing.tuning.tuner import FaceTuner, TunedFace, TunesFaces, check_can_be_tuned

__all__ = [
    "METHOD",
    "FaceTuner",
    "TunedChange",
    "TunedFace",
    "TunesFaces",
    "TuningOptions",
    "TuningProgress",
    "check_can_be_tuned",
]
