"""What travels with a job's task and is never written anywhere: values of secrets, and options of stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Carried:
    """Values that go from the submitter to the worker over the wire only; nothing prints them."""

    __slots__ = ("data_options", "folder_options", "secrets")

    def __init__(
        self,
        secrets: Mapping[str, str] | None = None,
        folder_options: Mapping[str, Any] | None = None,
        data_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep them.

        Args:
            secrets: values of `Asked.secrets`, by the name of the variable that holds them in the job.
            folder_options: of the store with the jobs' folders, for fsspec.
            data_options: of the store with the data: the submitter's `Settings.storage_options`.
        """
        self.secrets = dict(secrets or {})
        self.folder_options = dict(folder_options or {})
        self.data_options = dict(data_options or {})

    def __repr__(self) -> str:
        """Show nothing: Dask writes arguments of tasks to its logs and its dashboard."""
        return "Carried()"
