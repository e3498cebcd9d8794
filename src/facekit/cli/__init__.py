"""facekit.cli"""
