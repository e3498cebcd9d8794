"""The label map of CelebAMask-HQ, which the datasets of this plugin share."""

from __future__ import annotations

from facekit.interfaces import LabelClass, LabelMap

CELEBAMASK_HQ = LabelMap(
    name="celebamask_hq",
    description=(
        "The 19 classes of CelebAMask-HQ (Lee et al., 2020) in the order of its part list; "
        "l_ and r_ are the person's own left and right"
    ),
    classes=(
        LabelClass("background", (38, 42, 51)),
        LabelClass("skin", (240, 196, 164)),
        LabelClass("nose", (226, 145, 110)),
        LabelClass("eye_g", (67, 104, 214)),
        LabelClass("l_eye", (64, 196, 232)),
        LabelClass("r_eye", (20, 148, 186)),
        LabelClass("l_brow", (164, 118, 66)),
        LabelClass("r_brow", (116, 80, 40)),
        LabelClass("l_ear", (255, 159, 79)),
        LabelClass("r_ear", (221, 117, 30)),
        LabelClass("mouth", (150, 22, 62)),
        LabelClass("u_lip", (232, 72, 96)),
        LabelClass("l_lip", (250, 120, 150)),
        LabelClass("hair", (94, 62, 138)),
        LabelClass("hat", (38, 166, 112)),
        LabelClass("ear_r", (255, 222, 66)),
        LabelClass("neck_l", (198, 226, 72)),
        LabelClass("neck", (214, 170, 205)),
        LabelClass("cloth", (96, 140, 150)),
    ),
    mirrored=(("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")),
)
"""Background, then the 18 parts in the order in which their annotations are merged, later over earlier."""

PARTS = CELEBAMASK_HQ.names[1:]
"""The part names of CelebAMask-HQ's annotation files, in class-id order from 1."""
