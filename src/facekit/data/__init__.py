"""facekit.data"""
