"""What stands for a TFDS builder (a name, a class, a script, a folder) -> the builder, prepared once where it isn't."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ailab_dataproc import storage, urls
from ailab_dataproc.bridge.layout import split_name
from ailab_dataproc.bridge.reading import FORMATS
from ailab_dataproc.errors import AilabError, InvalidDefinition, MissingLibrary, SourceFailed, unknown
from ailab_dataproc.storage.lock import locked

_SCRIPT = re.compile(r"(?P<path>.*\.py)(/(?P<config>[^:]+))?(:(?P<version>.+))?")
_PREFIX = re.compile(r'Failed to construct dataset "[^"]*", builder_kwargs "[^"]*": ')  # of what TFDS says
_CONFIG = re.compile(r"BuilderConfig (\S+) not found")
_log = logging.getLogger("ailab_dataproc")


@dataclass(frozen=True, slots=True)
class Found:
    """A builder, and how to make it again for another folder."""

    builder: Any
    make: Callable[..., Any]  # given TFDS's data_dir, and options of the builder

    @property
    def is_prepared(self) -> bool:
        """Whether its data is there."""
        return _is_prepared(self.builder)


def find_builder(source: Any, data_dir: str | None, where: str) -> Found:
    """The builder that a name, a builder's class, a builder, a script or the folder of a prepared version stands for.

    Args:
        source: which.
        data_dir: TFDS's data_dir; None for its own default.
        where: the dataset's name, for messages.

    Raises:
        UnknownName: TFDS has no such builder, config or version.
        InvalidDefinition: it stands for none.
    """
    import tensorflow_datasets as tfds

    if isinstance(source, tfds.core.DatasetBuilder):
        return Found(source, lambda _, **__: source)
    if inspect.isclass(source) and issubclass(source, tfds.core.DatasetBuilder):
        class_: Any = source
        made = functools.partial(_made, class_=class_)
        return made(lambda place, **options: class_(data_dir=place, **options), data_dir, class_.__name__, where)
    if not isinstance(source, str | Path) or not str(source):
        raise InvalidDefinition(
            f"{where}: from_tfds({source!r}): wanted the name of a TFDS builder, a builder, its class, a script or the "
            "folder of a prepared version."
        )
    text = str(source)
    script = _SCRIPT.fullmatch(text)
    if script:
        class_ = _class_of(Path(script["path"]).expanduser().resolve(), where)
        given = {key: script[key] for key in ("config", "version") if script[key]}
        made = functools.partial(_made, class_=class_)
        return made(lambda place, **options: class_(data_dir=place, **given, **options), data_dir, text, where)
    if urls.expand(f"{text.rstrip('/')}/dataset_info.json"):
        return _made(lambda _, **__: tfds.builder_from_directory(text), None, text, where)
    folder = text.startswith((".", "/", "~")) or "://" in text or ("/" in text and Path(text).is_dir())
    if folder or isinstance(source, Path):
        raise _no_version(text, where)
    return _made(lambda place, **options: tfds.builder(text, data_dir=place, **options), data_dir, text, where)


def sources_of(builder: Any, where: str) -> dict[str, tuple[str, ...]]:
    """The shards of each split of a prepared version, but empty ones.

    Raises:
        InvalidDefinition: its files are in a format that isn't read, or two splits have one name.
    """
    form = builder.info.file_format.value
    if form not in FORMATS:
        raise InvalidDefinition(
            f"{where}: TFDS prepared {builder.info.full_name} as {form}, wanted {' or '.join(FORMATS)}. "
            "Prepare it with file_format='tfrecord'."
        )
    found: dict[str, tuple[str, ...]] = {}
    for name, split in builder.info.splits.items():
        mine = split_name(name)
        if mine in found:
            raise InvalidDefinition(f"{where}: two of its splits are called {mine!r}. Rename one in TFDS.")
        files = zip(split.filepaths, split.shard_lengths, strict=True)
        found[mine] = tuple(_literal(str(path)) for path, rows in files if rows)
    return found


def prepare_once(found: Found, folder: str, where: str, *, personal: bool) -> Any:
    """The prepared builder; TFDS downloads and prepares it into the folder where it isn't there.

    Args:
        found: the builder.
        folder: TFDS's data_dir.
        where: the dataset's name, for messages.
        personal: whether it holds personal data, so that no message of the builder's code is shown.

    Raises:
        SourceFailed: TFDS can't prepare it.
    """
    builder = found.make(folder)
    if _is_prepared(builder):
        return builder
    lock = re.sub(r"[^\w.]", "-", builder.info.full_name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with locked(storage.folder(folder), lock, builder.info.full_name):
        builder = found.make(folder)
        if not _is_prepared(builder):  # by a twin that this one waited for
            if importlib.util.find_spec("tensorflow") is None:  # TFDS can't write tfrecord without
                builder = found.make(folder, file_format="array_record")
            _log.warning("%s: TFDS prepares %s into %s, once", where, builder.info.full_name, folder)
            _download_and_prepare(builder, where, personal)
    return builder


def _download_and_prepare(builder: Any, where: str, personal: bool) -> None:
    import tensorflow_datasets as tfds

    # Named, so that TFDS asks no question of a batch job, and Beam fetches no other runner.
    config = tfds.download.DownloadConfig(try_download_gcs=False, beam_runner="FnApiRunner")
    try:
        builder.download_and_prepare(download_config=config)
    except ImportError as error:
        raise _missing(error, builder.info.full_name, where) from error
    except Exception as error:  # whatever the builder's code raises
        told = "message not shown: PII" if personal else _line(error)
        raise SourceFailed(
            f"{where}: TFDS could not prepare {builder.info.full_name} ({type(error).__name__}: {told}). "
            "Mend what it names, or prepare it with TFDS and give the folder."
        ) from (None if personal else error)


def _is_prepared(builder: Any) -> bool:
    """Whether all is there: an empty folder of the version's name is enough for TFDS."""
    return bool(urls.expand(f"{builder.data_dir}/dataset_info.json")) and bool(builder.info.splits)


def _made(make: Callable[..., Any], data_dir: str | None, text: str, where: str, class_: Any = None) -> Found:
    import tensorflow_datasets as tfds

    try:
        return Found(make(data_dir), make)
    except tfds.core.DatasetNotFoundError as error:
        raise _unknown(text, where, error) from error
    except AilabError:
        raise
    except ImportError as error:
        raise _missing(error, text, where) from error
    except Exception as error:  # the builder's own code, and all that TFDS raises for a config, a version, a folder
        config = _CONFIG.search(str(error))
        if config:
            known = (class_ or tfds.builder_cls(text.partition("/")[0])).builder_configs
            raise unknown("config", config[1], known, where=f"{where}: {text}") from error
        raise InvalidDefinition(
            f"{where}: TFDS can't make the builder {text!r} ({type(error).__name__}: {_line(error)}). "
            "Correct the name, or mend the builder."
        ) from error


def _unknown(text: str, where: str, error: Exception) -> AilabError:
    import tensorflow_datasets as tfds

    name = text.partition("/")[0].partition(":")[0]
    known = tfds.list_builders(with_community_datasets=False)
    if name in known or ":" in text.partition("/")[0]:  # of another version, or of a namespace
        return InvalidDefinition(f"{where}: TFDS has no {text!r} ({_line(error)}). Correct the name or data_dir=.")
    return unknown("TFDS builder", name, known, where=where)


def _no_version(text: str, where: str) -> InvalidDefinition:
    place = Path(text).expanduser()
    if not place.exists():
        return InvalidDefinition(f"{where}: {text} does not exist. Give the folder of a prepared TFDS version.")
    inner = sorted(one.parent for one in place.glob("*/dataset_info.json"))
    inner = inner or sorted(one.parent for one in place.glob("*/*/dataset_info.json"))
    advice = f"Did you mean {inner[-1]}?" if inner else "Give a folder such as …/mnist/3.0.1."
    return InvalidDefinition(f"{where}: {text} holds no dataset_info.json, so is no prepared TFDS version. {advice}")


def _class_of(path: Path, where: str) -> Any:
    """The builder's class that a script defines."""
    import tensorflow_datasets as tfds

    if not path.exists():
        raise InvalidDefinition(f"{where}: the script {path} does not exist. Correct its path.")
    try:
        with tfds.core.registered.skip_registration():  # a second script may have a builder of the same name
            module = _imported(path)
    except ImportError as error:
        raise _missing(error, str(path), where) from error
    except Exception as error:  # the script's own
        raise InvalidDefinition(
            f"{where}: importing {path} raised {type(error).__name__}: {_line(error)}. Mend it."
        ) from error
    classes: list[Any] = [
        one
        for one in vars(module).values()
        if inspect.isclass(one)
        and issubclass(one, tfds.core.DatasetBuilder)
        and one.__module__ == module.__name__
        and not inspect.isabstract(one)
    ]
    if len(classes) != 1:
        names = ", ".join(one.__name__ for one in classes)
        raise InvalidDefinition(
            f"{where}: {path} defines {f'{len(classes)} builders ({names})' if names else 'no TFDS builder'}, wanted "
            "one. Give the class itself."
        )
    if not classes[0].__dict__.get("pkg_dir_path"):
        classes[0].pkg_dir_path = tfds.core.Path(path.parent)  # where README.md and TAGS.txt may stand
    return classes[0]


def _imported(path: Path) -> ModuleType:
    """A script as a module: of its package, if its folder is one."""
    package = (path.parent / "__init__.py").exists()
    name = f"{path.parent.name}.{path.stem}" if package else path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if package:
        sys.path.insert(0, str(path.parent.parent))
        return importlib.import_module(name)
    if known is not None:  # another file of this name
        name = f"{path.parent.name}_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _missing(error: ImportError, what: str, where: str) -> MissingLibrary:
    return MissingLibrary(
        f"{where}: the TFDS builder {what} needs a library that isn't here ({_line(error)}). Install it; TensorFlow "
        "comes with pip install 'ailab_dataproc[tensorflow]'."
    )


def _literal(path: str) -> str:
    """A path in which nothing is a pattern."""
    return re.sub(r"([*?[])", r"[\1]", path)


def _line(error: BaseException) -> str:
    lines = [one.strip() for one in _PREFIX.sub("", str(error)).splitlines() if one.strip()]
    first = lines[0] if lines else "no message"
    told = " ".join(lines[-2:]) if first.endswith(":") else first  # what follows is a whole row, and then the reason
    return told if len(told) <= 300 else told[:299] + "…"
