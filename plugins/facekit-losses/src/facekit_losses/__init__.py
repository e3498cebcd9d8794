"""Losses of generative face models for facekit: adversarial, feature matching, perceptual, penalties."""
