"""What a recipe's sampler asks for, read from ports, and the noise that it starts from."""

from facekit.sampling.inputs import SamplingInputs, inputs_of
from facekit.sampling.noise import derive_seed, noise_for_batch, noise_for_keys, random_generator

__all__ = [
    "SamplingInputs",
    "derive_seed",
    "inputs_of",
    "noise_for_batch",
    "noise_for_keys",
    "random_generator",
]
