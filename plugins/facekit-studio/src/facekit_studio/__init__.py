"""Editing photos with trained runs: edit scripts, tuning to a photo, a page in the browser, and how good edits are."""
