"""Descriptions of components: help, JSON schema, example options, and pages. Torch-free."""
