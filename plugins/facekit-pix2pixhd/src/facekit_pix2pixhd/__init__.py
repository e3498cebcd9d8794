"""pix2pixHD for facekit: global generator, local enhancer and multi-scale patch discriminator."""
