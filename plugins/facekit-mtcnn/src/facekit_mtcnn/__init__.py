"""MTCNN: a face detector with five landmarks."""
