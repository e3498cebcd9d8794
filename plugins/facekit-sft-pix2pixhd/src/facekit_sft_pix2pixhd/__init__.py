"""The SFT/AdaIN pix2pixHD for facekit: a spatial-aware style encoder and a generator that takes its style."""
