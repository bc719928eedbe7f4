"""histhooks: the flight recorder for model training."""

__version__ = "0.1.0"
