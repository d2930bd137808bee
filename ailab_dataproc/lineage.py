"""What a version was made from, where that is other prepared versions and a function."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Origin(BaseModel):
    """A prepared version that another one was made from, and what of it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    fingerprint: str  # of the version
    split: str  # as it was asked for
    columns: list[str] = Field(default_factory=list)  # as they were asked for; none: all that the code uses
    filters: str = ""

    def __str__(self) -> str:
        rows = "" if self.split == "all" else f" {self.split}"
        return f"{self.name}:{self.version}{rows}" + (f" where {self.filters}" if self.filters else "")


class Lineage(BaseModel):
    """What a version was made from, where that is other prepared versions; part of the fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str  # such as "transform"
    derived_from: list[Origin]
    function: str  # module and name
    code: str  # a hash of the function's code and arguments
    options: dict[str, Any] = Field(default_factory=dict)  # of the step, as far as they change a byte

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.derived_from))} by {self.function}"
