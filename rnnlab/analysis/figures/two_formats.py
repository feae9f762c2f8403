"""A figure as PNG and as SVG, drawn only once.

Most of the time of drawing goes into the layout of ticks and text, which matplotlib repeats for every file.
Here, the renderer of the SVG also passes each line, marker, image and text to the renderer of the PNG, scaled
to its resolution.
"""

import io
from typing import Any

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform, TransformedBbox, TransformedPath

from rnnlab.analysis.figures.picture_files import png_bytes
from rnnlab.text import sanitize

POINTS = 72
"""Points per inch, the unit of an SVG."""

# Matplotlib has no types for its backends.
_SVG: Any = RendererSVG
_Pixels: Any = RendererAgg
_MixedMode: Any = MixedModeRenderer


def draw_png_and_svg(figure: Figure, dpi: float) -> tuple[bytes, bytes]:
    """Return a figure as PNG, with the given number of pixels per inch, and as SVG.

    The figure must have fixed margins, because a layout engine would not run. The SVG contains no control
    characters and no date, so the same figure gives the same file.
    """
    text, before = io.StringIO(), figure.dpi
    figure.dpi = POINTS
    try:
        width, height = figure.get_size_inches()
        both: Any = _SVGAndPixels(POINTS * width, POINTS * height, text, dpi)
        # Heat maps are images in the SVG; the wrapper draws them at the resolution of the PNG.
        figure.draw(_MixedMode(figure, width, height, dpi, both))
        both.finalize()
    finally:
        figure.dpi = before
    return png_bytes(both.pixels.buffer_rgba(), dpi), sanitize(text.getvalue()).encode()


class _SVGAndPixels(_SVG):  # type: ignore[misc]
    """SVG renderer that draws the same into `pixels`."""

    def __init__(self, width: float, height: float, text: io.StringIO, dpi: float) -> None:
        self._scale = dpi / POINTS
        self._to_pixels = Affine2D().scale(self._scale)
        self.pixels = _Pixels(width * self._scale, height * self._scale, dpi)
        super().__init__(width, height, text, image_dpi=dpi, metadata={"Date": None})

    def draw_path(self, gc: Any, path: Path, transform: Transform, rgbFace: Any = None) -> None:
        super().draw_path(gc, path, transform, rgbFace)
        self.pixels.draw_path(self._scaled(gc), path, transform + self._to_pixels, rgbFace)

    def draw_markers(
        self,
        gc: Any,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        rgbFace: Any = None,
    ) -> None:
        super().draw_markers(gc, marker_path, marker_trans, path, trans, rgbFace)
        marker_trans, trans = marker_trans + self._to_pixels, trans + self._to_pixels
        self.pixels.draw_markers(self._scaled(gc), marker_path, marker_trans, path, trans, rgbFace)

    def draw_path_collection(self, *arguments: Any, **keys: Any) -> None:
        """Draw path by path, without the definitions by which the SVG renderer shortens its file."""
        RendererBase.draw_path_collection(self, *arguments, **keys)

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Transform | None = None) -> None:
        super().draw_image(gc, x, y, im, transform)
        self.pixels.draw_image(self._scaled(gc), round(self._scale * x), round(self._scale * y), im)

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        x, y = self._scale * x, self._scale * y
        self.pixels.draw_text(self._scaled(gc), x, y, s, prop, angle, ismath, mtext)

    def _scaled(self, gc: Any) -> Any:
        """Return a graphics context whose clipping is in pixels; its widths are in points in both formats."""
        scaled = self.new_gc()
        scaled.copy_properties(gc)
        if (box := gc.get_clip_rectangle()) is not None:
            scaled.set_clip_rectangle(TransformedBbox(box, self._to_pixels))
        path, transform = gc.get_clip_path()
        if path is not None:
            scaled.set_clip_path(TransformedPath(path, transform + self._to_pixels))
        return scaled
