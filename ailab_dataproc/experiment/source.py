"""The source of a run's data as MLflow keeps it, which loads them again; MLflow finds it by its entry point."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from mlflow.data.dataset_source import DatasetSource

from ailab_dataproc.experiment.used import Used

TYPE = "ailab"  # of the source
_SCHEME = "ailab://"


class AilabDatasetSource(DatasetSource):
    """A version of a dataset, and what of it was read."""

    def __init__(self, used: Used) -> None:
        self.used = used

    @staticmethod
    def _get_source_type() -> str:
        return TYPE

    @property
    def uri(self) -> str:
        """``ailab://name/version?split=…``, from which MLflow makes such a source."""
        return f"{_SCHEME}{self.used.name}/{self.used.version}?split={quote(self.used.split, safe='[]:')}"

    def load(self, **options: Any) -> Any:
        """Load the same rows and columns again; see `Used.load`."""
        return self.used.load(**options)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, str) and raw_source.startswith(_SCHEME)

    @classmethod
    def _resolve(cls, raw_source: str) -> AilabDatasetSource:
        path, _, query = raw_source.removeprefix(_SCHEME).partition("?")
        name = unquote(path).strip("/")
        if ":" not in name:
            name = ":".join(name.rsplit("/", 1))
        asked = dict(parse_qsl(query.replace("+", "%2B")))  # a + joins splits
        return cls(Used.of(name, split=asked.get("split", "all")))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"uri": self.uri, **self.used.to_dict()}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> AilabDatasetSource:
        """Of what `to_dict` gave."""
        return cls(Used.from_dict(source_dict))
