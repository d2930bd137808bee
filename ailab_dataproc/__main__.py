"""`python -m ailab_dataproc` is the command `ailab-dataproc`."""

from ailab_dataproc.cli import main

main()
