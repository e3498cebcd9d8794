"""facekit.testing"""
