"""register_with_tfds: prepared datasets by their own names in `tfds.load` and `tfds.builder`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.errors import InvalidRequest, require, unknown
from ailab_dataproc.manifest import list_names, read_manifest, read_versions
from ailab_dataproc.references import Reference
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.storage import Folder


def register_with_tfds(settings: Settings | None = None) -> list[str]:
    """Make TFDS find the prepared datasets by name, in this process.

    TFDS's names have two parts at most, so further ones are joined by dots: ``products/ad_log/impressions`` is
    ``tfds.load("products/ad_log.impressions:1.*.*")``. A name whose first part is a builder of TFDS itself, such as
    ``mnist``, stays TFDS's. Access is that of the files: TFDS knows no columns with personal data.

    Args:
        settings: say where the data lies; by default as `load_settings` reads them.

    Returns:
        The names that TFDS knows now.
    """
    require("tensorflow_datasets", "beam")
    from tensorflow_datasets.core import registered

    asked = settings or load_settings()
    provider = Provider(storage.folder(asked.data_dir, asked.storage_options))
    if provider not in registered._DATASET_PROVIDER_REGISTRY:
        registered.add_dataset_builder_provider(provider)
    return provider.names()


@dataclass(frozen=True)
class Provider:
    """TFDS's protocol of a registry: which names it has, and what makes their builders."""

    place: Folder

    def names(self) -> list[str]:
        """The names of prepared datasets, as TFDS takes them."""
        return sorted(_tfds_name(name) for name in list_names(self.place))

    def has_dataset(self, name: str) -> bool:
        """Whether a dataset's name begins with this part."""
        return bool((self.place / name).names()) and any(
            one.partition("/")[0] == name for one in list_names(self.place)
        )

    def get_builder_cls(self, name: str) -> Any:
        """What TFDS calls with config, version and data_dir to get a builder."""
        return Builders(self.place, name)


@dataclass(frozen=True)
class Builders:
    """Stands for the builder's class of all datasets whose name begins with one part."""

    place: Folder
    name: str

    @property
    def builder_configs(self) -> dict[str, Any]:
        """None that TFDS could make itself."""
        return {}

    def __call__(
        self,
        *,
        config: str | None = None,
        version: str | None = None,
        data_dir: str | None = None,
        file_format: Any = None,
        **others: Any,
    ) -> Any:
        """The builder that reads a prepared version.

        Raises:
            UnknownName: there is no such dataset or version.
            InvalidRequest: it has no TFRecord files, or they can't do what is asked.
        """
        import tensorflow_datasets as tfds

        asked = getattr(file_format, "value", file_format)
        if asked not in (None, "tfrecord"):
            raise InvalidRequest(
                f"{self.name}: {asked} was asked for, as tfds.data_source does, and prepared datasets are tfrecord, "
                "which has no random access. Take tfds.load, or ailab_dataproc.batches with shuffle=True."
            )
        if others:
            raise InvalidRequest(f"{self.name}: got {', '.join(others)}, which a prepared dataset doesn't take.")
        place = storage.folder(data_dir) if data_dir else self.place
        name = f"{self.name}/{config.replace('.', '/')}" if config else self.name
        known = list_names(place)
        if name not in known:
            raise unknown("dataset", _tfds_name(name), map(_tfds_name, known), where=place.url)
        versions, wanted = read_versions(place, name), Reference.parse(name, str(version) if version else None)
        folder = place / name / wanted.choose(versions.there, versions.notices.deprecated)
        formats = read_manifest(folder).formats
        if "tfrecord" not in formats:
            raise InvalidRequest(
                f"{name}: was prepared as {' and '.join(formats)}, TFDS reads tfrecord. Prepare it with both formats."
            )
        return tfds.builder_from_directory(folder.url)


def _tfds_name(name: str) -> str:
    first, _, rest = name.partition("/")
    return f"{first}/{rest.replace('/', '.')}" if rest else first
