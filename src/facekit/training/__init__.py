"""Training: the loop and all it needs. Importing the package imports no torch."""
