"""Checkpoints: safetensors and JSON with checksums, written beside and renamed; never pickle."""
