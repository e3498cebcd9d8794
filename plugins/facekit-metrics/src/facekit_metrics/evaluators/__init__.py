"""Evaluators: networks that say what pictures show. Trained on real photos, kept by what they were made of."""
