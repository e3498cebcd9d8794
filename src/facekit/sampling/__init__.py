"""What a recipe's sampler asks for, read from ports, and the noise that it starts from."""
