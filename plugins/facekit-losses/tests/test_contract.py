"""The promises of the interfaces, kept by every loss of this plugin."""

from __future__ import annotations

from facekit.testing import LossContract
from facekit_losses.plugin import facekit_components

SPECS = {spec.name: spec for spec in facekit_components()}


class TestAdversarial(LossContract):
    spec = SPECS["adversarial"]


class TestHingeOnShuffledStyles(LossContract):
    spec = SPECS["adversarial"]
    options = {"objective": "hinge", "shuffled_style": True}


class TestAdversarialWithSomeShuffledStyles(LossContract):
    spec = SPECS["adversarial"]
    options = {"shuffled_style": True, "shuffled_faces": 1}


class TestAdversarialWithAPool(LossContract):
    spec = SPECS["adversarial"]
    options = {"replay_pool": 4}


class TestWassersteinObjective(LossContract):
    spec = SPECS["adversarial"]
    options = {"objective": "wasserstein"}


class TestWassersteinObjectiveOnShuffledAttributes(LossContract):
    spec = SPECS["adversarial"]
    options = {"objective": "wasserstein", "results": "shuffled_attributes"}


class TestCycleReconstruction(LossContract):
    spec = SPECS["cycle_reconstruction"]
    declared_in = "facekit_losses.plugin"


class TestDomainClassification(LossContract):
    spec = SPECS["domain_classification"]


class TestDomainClassificationOfOwnFaces(LossContract):
    spec = SPECS["domain_classification"]
    options = {"results": "own"}


class TestDomainClassificationOfShuffledStyles(LossContract):
    spec = SPECS["domain_classification"]
    options = {"results": "shuffled_style"}


class TestFeatureMatching(LossContract):
    spec = SPECS["feature_matching"]
    declared_in = "facekit_losses.plugin"


class TestPerceptual(LossContract):
    spec = SPECS["perceptual"]


class TestL1(LossContract):
    spec = SPECS["l1"]
    declared_in = "facekit_losses.plugin"


class TestLowResolutionColour(LossContract):
    spec = SPECS["low_resolution_colour"]


class TestRegionColour(LossContract):
    spec = SPECS["region_colour"]


class TestRegionColourOfShuffledStyles(LossContract):
    spec = SPECS["region_colour"]
    options = {"shuffled_style": 1.0, "regions": {"hair": 4.0, "skin": 2.0}}


class TestGradientPenalty(LossContract):
    spec = SPECS["gradient_penalty"]
    couples_samples = "the share of photo and result in each mixture is drawn for the whole batch"


class TestGradientPenaltyTowardsShuffledAttributes(LossContract):
    spec = SPECS["gradient_penalty"]
    options = {"results": "shuffled_attributes"}


class TestR1Penalty(LossContract):
    spec = SPECS["r1_penalty"]


class TestKl(LossContract):
    spec = SPECS["kl"]
    couples_samples = "as published, it is the sum over the batch"


class TestMeanKl(LossContract):
    spec = SPECS["kl"]
    options = {"reduction": "mean"}
