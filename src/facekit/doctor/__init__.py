"""The doctor: finds what is wrong with installed plugins without loading them into this process. Torch-free."""
