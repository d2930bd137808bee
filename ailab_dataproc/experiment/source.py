"""Where a run's data came from, as MLflow keeps it: the source of a dataset, which loads the same data again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mlflow.data.dataset_source import DatasetSource

from ailab_dataproc.experiment.used import Used


class AilabDatasetSource(DatasetSource):
    """A version of a dataset, and what of it was read."""

    def __init__(self, used: Used) -> None:
        self.used = used

    @staticmethod
    def _get_source_type() -> str:
        return "ailab"

    def load(self, **options: Any) -> Any:
        """The same data again; `options` are those of `load`."""
        from ailab_dataproc.loading import load

        return load(self.used.reference, split=self.used.split, columns=self.used.columns or None, **options)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, str) and raw_source.startswith("ailab://")

    @classmethod
    def _resolve(cls, raw_source: Any) -> AilabDatasetSource:
        name, _, split = str(raw_source).removeprefix("ailab://").partition("?split=")
        name, _, version = name.rpartition("/")
        return cls(Used.of(f"{name}:{version}", split=split or "all"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return json.loads(json.dumps(asdict(self.used)))

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> AilabDatasetSource:
        """Of what `to_dict` gave."""
        return cls(Used(**{**source_dict, "columns": tuple(source_dict["columns"])}))
