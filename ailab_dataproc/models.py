"""The model zoo: push a folder with its card, search, show, pull, and name the one to take.

``import ailab_dataproc as adp``, then ``adp.models.push("out/model", "ctr", data=frame, metrics={"auc": 0.71})`` and
``adp.models.pull("ctr")``. What is pulled is a folder: nothing in it is ever run or unpickled.
"""

from __future__ import annotations

from ailab_dataproc.experiment.zoo.entries import Datum, Entry
from ailab_dataproc.experiment.zoo.pulling import pull
from ailab_dataproc.experiment.zoo.pushing import push
from ailab_dataproc.experiment.zoo.registry import alias
from ailab_dataproc.experiment.zoo.searching import search
from ailab_dataproc.experiment.zoo.showing import Shown, show

__all__ = ["Datum", "Entry", "Shown", "alias", "pull", "push", "search", "show"]
