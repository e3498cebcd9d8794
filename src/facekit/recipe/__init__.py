"""facekit.recipe"""
