"""The ablation room: grids of runs, where they are done, and the tables that compare them. Torch-free."""
