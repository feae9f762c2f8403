"""Data frames and figures of tracked runs, independent of the training code.

A name is imported when it is first used, so that commands that draw no figures do not load seaborn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
