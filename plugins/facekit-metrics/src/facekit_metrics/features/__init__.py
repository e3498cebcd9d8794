"""Features of pictures by pretrained networks, and sets of them. Importing this package does not import torch."""
