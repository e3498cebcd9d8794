"""How the recipes of evaluators show what their networks read: as an image, and as the map that metrics look at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, Networks, NoOptions, Sampler

from .networks import both_ways
from .options import ATTRIBUTE_CLASSIFIER, ATTRIBUTE_LOGITS, FACE_SEGMENTER, MASK_LOGITS


def build_mask_reader(options: NoOptions, context: BuildContext) -> Sampler:
    """Build the sampler: coloured masks (N, 3, S, S), and the map ``logits`` (N, C, S, S)."""
    mirror = torch.from_numpy(context.label_map.mirror_table())
    colours = torch.tensor([entry.colour for entry in context.label_map.classes], dtype=torch.float32) / 127.5 - 1

    def read(networks: Networks, condition: Condition) -> Generated:
        photo = _photo(condition)
        logits = both_ways(networks[FACE_SEGMENTER], photo, mirror.to(photo.device))
        logits = F.interpolate(logits, size=photo.shape[-2:], mode="bilinear", align_corners=False)
        return Generated(colours.to(photo.device)[logits.argmax(1)].permute(0, 3, 1, 2), maps={MASK_LOGITS: logits})

    return read


def build_attribute_reader(options: NoOptions, context: BuildContext) -> Sampler:
    """Build the sampler: photos with a row of fields, and the map ``attribute_logits`` (N, A)."""

    def read(networks: Networks, condition: Condition) -> Generated:
        photo = _photo(condition)
        logits = both_ways(networks[ATTRIBUTE_CLASSIFIER], photo)
        high, side = photo.shape[-1] // 8, photo.shape[-1]
        fields = F.interpolate(logits.sigmoid()[:, None, None] * 2 - 1, size=(high, side))
        image = torch.cat([photo[:, :, :-high], fields.to(photo).expand(-1, 3, -1, -1)], dim=2)
        return Generated(image, maps={ATTRIBUTE_LOGITS: logits})

    return read


def _photo(condition: Condition) -> Tensor:
    if condition.source_image is None:
        raise FacekitError("an evaluator reads photos, and there is none", remedy="give a source photo")
    return condition.source_image
