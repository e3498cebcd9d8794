"""The metrics that compare sets of pictures, as the plugin offers them. Importing this module does not import torch."""

from __future__ import annotations

from facekit.interfaces import GENERATED, IMAGE, Options, PortContext, Ports
from facekit.registry import ComponentSpec

from .set_options import (
    DensityCoverageOptions,
    FidOptions,
    FrechetDistanceOptions,
    KidOptions,
    NearestTrainingNeighbourOptions,
    PrecisionRecallOptions,
)

_WEIGHTS = "Apache-2.0 (efficientnet_lite0, inception), BSD-2-Clause (squeezenet)"


def _ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED))


def set_metrics() -> list[ComponentSpec]:
    """Return their specs."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/fid",
            summary="Fréchet Inception distance between results and real photos; needs the weights of 2015 in a file.",
            options=FidOptions,
            factory="facekit_metrics.frechet_distance:build_fid",
            ports=_ports,
            paper="Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, "
            "NeurIPS 2017; Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation, CVPR 2022 "
            "(resize)",
            weights_licence="Apache-2.0",
            example={"task": "style_copy", "real": "evaluated"},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/frechet_distance",
            summary="Fréchet distance between results and real photos in the features of a named network: FD, not FID.",
            options=FrechetDistanceOptions,
            factory="facekit_metrics.frechet_distance:build",
            ports=_ports,
            paper="Dowson and Landau, The Fréchet Distance Between Multivariate Normal Distributions, Journal of "
            "Multivariate Analysis, 1982; Tan and Le, EfficientNet, ICML 2019 (features)",
            weights_licence=_WEIGHTS,
            example={"extractor": "efficientnet_lite0"},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/kid",
            summary="Kernel distance between results and real photos, unbiased for small sets.",
            options=KidOptions,
            factory="facekit_metrics.kid:build",
            ports=_ports,
            paper="Bińkowski et al., Demystifying MMD GANs, ICLR 2018",
            weights_licence=_WEIGHTS,
            example={"extractor": "efficientnet_lite0", "subsets": 100},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/precision_recall",
            summary="The share of results that lie among real photos, and of real photos that lie among results.",
            options=PrecisionRecallOptions,
            factory="facekit_metrics.precision_recall:build",
            ports=_ports,
            paper="Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, "
            "NeurIPS 2019",
            weights_licence=_WEIGHTS,
            example={"k": 3},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/density_coverage",
            summary="How thickly real photos surround the results, and the share of real photos with a result nearby.",
            options=DensityCoverageOptions,
            factory="facekit_metrics.density_coverage:build",
            ports=_ports,
            paper="Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020",
            weights_licence=_WEIGHTS,
            example={"k": 5},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/nearest_training_neighbour",
            summary="Are results copies? Their distance to the nearest training photo, beside that of unseen photos.",
            options=NearestTrainingNeighbourOptions,
            factory="facekit_metrics.nearest_training_neighbour:build",
            ports=_ports,
            paper="Meehan et al., A Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020 "
            "(the share of pairs)",
            weights_licence=_WEIGHTS,
            example={"training": "train"},
        ),
    ]
