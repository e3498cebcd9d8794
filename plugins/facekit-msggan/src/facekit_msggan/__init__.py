"""MSG-ProGAN: faces from noise, generated and judged at every size at once."""
