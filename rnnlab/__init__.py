"""Gradients through time in recurrent networks: training, measurement, tracking and comparison.

The names that this module exports are the public interface: they keep their meaning, and changes are listed
in the changelog. All other modules may change without notice. A name is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
