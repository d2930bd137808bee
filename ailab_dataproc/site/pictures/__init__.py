"""The pictures of the catalog's pages: small charts of statistics, the lineage of a version, samples of images.

Charts are drawn by the site's template engine: one of 20 bars takes 0.08 ms and 1 kB, in the page's own colours.
Measured beside it, a chart (CPython 3.11, one core): pygal 3.8 ms and 19 kB, matplotlib 18 ms and 8 kB (5.5 ms with one
figure kept), altair with vl-convert 9 ms; a catalog of 6,000 columns would wait 23 to 108 s for them, and none follows
the page's light and dark without inline styles, which a strict content security policy forbids.
"""

from __future__ import annotations

from ailab_dataproc.site.pictures.histogram import histogram
from ailab_dataproc.site.pictures.lineage import lineage
from ailab_dataproc.site.pictures.previews import Preview, can_preview, preview

__all__ = ["Preview", "can_preview", "histogram", "lineage", "preview"]
