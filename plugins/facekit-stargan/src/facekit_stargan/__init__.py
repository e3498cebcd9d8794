"""StarGAN as a facekit plugin; see :mod:`facekit_stargan.plugin`."""
