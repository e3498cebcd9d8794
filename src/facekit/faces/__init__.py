"""What masks and photos of faces show, computed from pixels alone.

Datasets, metrics and edits must decide such things alike, so they are decided here.
"""
