"""Runs of facekit as files that other programs compute with."""
