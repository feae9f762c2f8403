"""From run folders to pandas frames and figures. Needs no training code."""
