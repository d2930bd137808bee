"""show: an entry with its card, its data and how to load them, its run, its files and the other versions."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import DamagedData, TrackingFailed
from ailab_dataproc.experiment.reaching import asking, mlflow, place
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.experiment.zoo import files as filing
from ailab_dataproc.experiment.zoo.cards import CARD
from ailab_dataproc.experiment.zoo.entries import Entry
from ailab_dataproc.experiment.zoo.files import MANIFEST, File
from ailab_dataproc.experiment.zoo.registry import Asked, find, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that the zoo knows of an entry."""

    entry: Entry
    card: str  # its text
    used: tuple[Used, ...]  # the data, in the order of `entry.data`; `load` of each loads the same again
    files: tuple[File, ...]
    aliases: dict[str, str]  # of the model: the version of each
    versions: tuple[int, ...]  # of the model, the newest first
    run: str  # the page of the run that made it, or its id where there is no server

    @property
    def loads(self) -> tuple[str, ...]:
        """The lines that load its data again."""
        return tuple(one.load_line for one in self.used)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            **self.entry.to_dict(),
            "card": self.card,
            "data": [
                {"context": datum.context, "digest": datum.digest, "load": used.load_line, **used.to_dict()}
                for datum, used in zip(self.entry.data, self.used, strict=True)
            ],
            "file_list": [{"path": one.path, "bytes": one.bytes, "checksum": one.checksum} for one in self.files],
            "all_aliases": self.aliases,
            "versions": list(self.versions),
            "run": self.run,
        }


def show(name: str) -> Shown:
    """What the zoo knows of an entry.

    Args:
        name: ``name``, ``name@alias`` or ``name:3``; `pull` says which version a plain name means.

    Raises:
        UnknownName: there is no such model, version or alias.
        DamagedData: its manifest isn't the one that was pushed.
        TrackingFailed: the server is down, or refuses.
    """
    model, entry = find(Asked.parse(name))
    client = mlflow().MlflowClient()
    with tempfile.TemporaryDirectory(prefix="ailab-show-") as scratch:
        manifest = read_manifest(entry, Path(scratch))
        card = fetch(entry, CARD, Path(scratch)).read_text(encoding="utf-8")
    return Shown(
        entry=entry,
        card=card,
        used=tuple(Used.from_dict(one["used"]) for one in manifest["data"]),
        files=tuple(manifest["files"]),
        aliases={key: str(value) for key, value in sorted(model.aliases.items())},
        versions=tuple(numbers(client, entry.name)),
        run=_page(client, entry.run_id),
    )


def read_manifest(entry: Entry, folder: Path) -> dict[str, Any]:
    """The manifest of an entry, downloaded into a folder, with `File`s in it."""
    where = f"model {entry.name}:{entry.version}"
    path = fetch(entry, MANIFEST, folder)
    content = path.read_bytes()
    if not filing.is_whole(path, File(MANIFEST, len(content), entry.manifest)):
        raise DamagedData(f"{where}: its {MANIFEST} is not the one that was pushed. Push the model again.")
    found: dict[str, Any] = json.loads(content)
    return {**found, "files": filing.checked(found["files"], where)}


def fetch(entry: Entry, name: str, folder: Path) -> Path:
    """Download a file of an entry into a folder."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from requests.exceptions import RequestException

    where, path = f"model {entry.name}:{entry.version}", folder / name
    with asking(where):
        location = mlflow().MlflowClient().get_logged_model(entry.model_id).artifact_location
        repository: Any = get_artifact_repository(location)
        try:
            # The public download_artifacts lists folders first, and draws a bar for each file.
            repository._download_file(name, str(path))
        except (OSError, RequestException) as error:  # a RequestException is an OSError, but types don't say so
            answer = getattr(error, "response", None)
            if isinstance(error, FileNotFoundError) or getattr(answer, "status_code", 0) == 404:
                raise DamagedData(f"{where}: {name} is gone from {location}. Push the model again.") from error
            told = " ".join(str(error).split())
            raise TrackingFailed(
                f"{where}: {name} can't be fetched ({told:.200}). Pull again; what has arrived is kept."
            ) from error
    return path


def _page(client: Any, run_id: str) -> str:
    where = place()
    if not where.startswith("http"):
        return run_id
    with asking(f"run {run_id}"):
        return f"{where}/#/experiments/{client.get_run(run_id).info.experiment_id}/runs/{run_id}"
