"""Watches facekit's runs for TensorBoard."""
