"""The figures room: charts as SVG, sheets of images, and pages of HTML that need nothing else. Torch-free."""
