"""facekit.editing"""
