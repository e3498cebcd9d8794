"""A model for local edits: it fills a hole in a photo by an edited mask."""
