"""The run folder: its files, who owns it, its recipe and its event log. Importing this package does not import
torch."""
