"""Executors for grids on clusters: SLURM by submitit, and Ray."""
