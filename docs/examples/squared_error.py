"""A whole plugin in one file: a loss. Use it with ``facekit run RECIPE --plugin-file squared_error.py``."""

from facekit.registry import components, loss


@loss("example/squared_error", needs=("image", "generated"))
def squared_error(step, *, border: int = 0):
    """Mean squared difference between the pixels of fake and real image.

    Args:
        border: pixels at the border that are left out.
    """
    from facekit_gan import fake  # it imports torch, which nobody needs who only lists components

    difference = fake(step).image - step.batch.image
    if border:
        difference = difference[..., border:-border, border:-border]
    return difference.square().mean()


facekit_components = components(squared_error)
