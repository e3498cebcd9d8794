"""facekit.report"""
