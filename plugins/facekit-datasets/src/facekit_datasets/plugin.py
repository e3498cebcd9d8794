"""What this plugin offers. Imports neither torch nor NumPy."""

from __future__ import annotations

from facekit.interfaces import LabelMap
from facekit.registry import ComponentSpec, PluginInfo, hookimpl
from facekit_datasets import celeba_attributes, celebamask_hq, image_folder, image_mask_folder, synthetic_faces
from facekit_datasets.label_maps import CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what the plugin is."""
    return PluginInfo(
        summary="Face datasets: CelebAMask-HQ, CelebA, folders of photos with or without masks, drawn faces",
    )


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the datasets."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="dataset",
            id="facekit/celebamask_hq",
            summary="CelebAMask-HQ as its authors hand it out: photos, part annotations, attributes",
            options=celebamask_hq.CelebAMaskHQOptions,
            factory="facekit_datasets.celebamask_hq:create",
            ports=celebamask_hq.ports,
            example={"root": "data/CelebAMask-HQ"},
            paper="Lee, Liu, Wu, Luo: MaskGAN: Towards Diverse and Interactive Facial Image Manipulation, CVPR 2020, "
            "https://arxiv.org/abs/1907.11922",
        ),
        ComponentSpec(
            interface_version=1,
            kind="dataset",
            id="facekit/celeba_attributes",
            summary="CelebA's aligned photos with their attributes and without masks, for attribute classifiers",
            options=celeba_attributes.CelebAAttributesOptions,
            factory="facekit_datasets.celeba_attributes:create",
            ports=celeba_attributes.ports,
            example={"root": "data/CelebA"},
            paper="Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015, "
            "https://arxiv.org/abs/1411.7766",
        ),
        ComponentSpec(
            interface_version=1,
            kind="dataset",
            id="facekit/image_mask_folder",
            summary="Any folder of photos with a folder of class-id masks of the same names",
            options=image_mask_folder.ImageMaskFolderOptions,
            factory="facekit_datasets.image_mask_folder:create",
            ports=image_mask_folder.ports,
            example={
                "root": "data/my-faces",
                "photos": "photos",
                "masks": "masks",
                "fractions": {"train": 0.9, "test": 0.1},
            },
        ),
        ComponentSpec(
            interface_version=1,
            kind="dataset",
            id="facekit/image_folder",
            summary="Any folder of photos, without masks",
            options=image_folder.ImageFolderOptions,
            factory="facekit_datasets.image_folder:create",
            ports=image_folder.ports,
            example={"root": "data/my-photos", "fractions": {"train": 0.9, "test": 0.1}},
        ),
        ComponentSpec(
            interface_version=1,
            kind="dataset",
            id="facekit/synthetic_faces",
            summary="Procedurally drawn faces with exact masks and attributes; nothing to download",
            options=synthetic_faces.SyntheticFacesOptions,
            factory="facekit_datasets.synthetic_faces:create",
            ports=synthetic_faces.ports,
            example={"train": 1000, "validation": 50, "test": 200},
        ),
    ]


@hookimpl
def facekit_label_maps() -> list[LabelMap]:
    """Offer the label map of CelebAMask-HQ, and its merged form."""
    return [CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED]
