"""Checks of a recipe before it is trained: shapes and memory on fake tensors, then a few real steps."""
