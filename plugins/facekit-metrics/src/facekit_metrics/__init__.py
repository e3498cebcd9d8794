"""Metrics of generative face models for facekit."""
