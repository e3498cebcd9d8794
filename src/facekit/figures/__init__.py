"""The figures room: charts as SVG, sheets of pictures, and pages of HTML that need nothing else. Torch-free."""
