"""The options of a Beam runner: from a configuration, each known to Beam, and complete before anything starts."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc import configuration
from ailab_dataproc.errors import InvalidRequest, MissingLibrary, SettingsError, unknown
from ailab_dataproc.storage import Folder

_KEYS: dict[str, type | tuple[type, ...]] = {"runner": str, "options": dict}
_SECRET = re.compile(
    "secret|password|token|credential|connection_string|access_key|environment_(config|option)|jvm_propert|gbek"
)
# What `workers` is called by a runner.
_WORKERS = {"FlinkRunner": "parallelism", "DataflowRunner": "num_workers"}
_REFUSED = {
    "DirectRunner": "it first tries to download a Go binary. Use runner='threads'.",
    "PrismRunner": "it downloads a Go binary. Use runner='threads'.",
    "DaskRunner": "it loses data in silence. Use runner='dask', which hands the same work to Dask directly.",
}
_JOB_SERVERS = {"FlinkRunner": "flink", "SparkRunner": "spark"}


@dataclass(frozen=True, slots=True)
class Config:
    """A Beam runner and its options."""

    name: str  # of the configuration
    runner: str  # Beam's name, or a class with its module
    options: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The runner's class."""
        return self.runner.rsplit(".", 1)[-1]


def read_config(name: str, given: Mapping[str, Any], workers: int | None) -> Config:
    """Read configs/beam/NAME.yaml, or a file by its path.

    Args:
        name: name or path.
        given: options that go before those of the file; None takes one away.
        workers: how many, where the runner has an option for that.
    """
    file = configuration.find("beam", name)
    if file is None:
        raise unknown("Beam configuration", name, configuration.names("beam"))
    values = configuration.read(file, _KEYS)
    if "runner" not in values:
        raise SettingsError(f"{file}: found no runner, wanted one such as runner: FlinkRunner. Add it.")
    merged = {**values.get("options", {}), **given}
    config = Config(file.stem, values["runner"], {k: v for k, v in merged.items() if v is not None})
    if workers is None:
        return config
    option = _WORKERS.get(config.kind)
    if option is None:
        raise InvalidRequest(f"workers={workers}: {config.runner} has no option for it; its cluster decides.")
    return Config(config.name, config.runner, {**config.options, option: workers})


def parsed(config: Config) -> Any:
    """Beam's `PipelineOptions`, of which every option is known and has a value that Beam takes."""
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions([]).get_all_options()  # without a list it would read this program's own arguments
    for option in config.options:
        if option not in known:
            error = unknown("Beam option", option, known, where=f"runner {config.name!r}")
            raise InvalidRequest(str(error)) from error
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            options = PipelineOptions.from_dictionary({"runner": config.runner, **config.options})
            options.get_all_options()
    except SystemExit as error:  # which is how argparse says that a value is wrong
        line = told.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise InvalidRequest(f"runner {config.name!r}: Beam refuses an option: {line}. Mend its value.") from error
    return options


def check(config: Config, data_dir: Folder) -> None:
    """Refuse what can't work, before anything is submitted.

    Raises:
        InvalidRequest: an option is unknown, wrong or missing, or the workers couldn't see the data directory.
        MissingLibrary: Java, or Google's libraries, are not installed.
    """
    if config.kind in _REFUSED:
        raise InvalidRequest(f"runner {config.name!r}: Beam's {config.kind} is not used, since {_REFUSED[config.kind]}")
    with quiet():
        parsed(config)
    if config.kind in _JOB_SERVERS:
        _check_job_server(config, _JOB_SERVERS[config.kind])
    elif config.kind == "PortableRunner" and "job_endpoint" not in config.options:
        raise InvalidRequest(f"runner {config.name!r}: no job server is named. {_give('job_endpoint=host:8099')}.")
    if config.kind == "DataflowRunner" and data_dir.is_local:
        raise InvalidRequest(
            f"runner {config.name!r}: workers of Dataflow do not see the folder {data_dir.url}. Give a bucket: "
            "data_dir='gs://…'."
        )
    with quiet():
        _check_complete(config)
    if config.kind == "DataflowRunner":
        _require_google(config)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Beam warns of Google libraries that nobody asked for, and of its own workers; what it raises it logs, too."""
    beam = logging.getLogger("apache_beam")
    level = beam.level
    beam.setLevel(logging.CRITICAL)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        beam.setLevel(level)


def shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for the manifest: secrets hidden, of local paths the last part only."""

    def one(name: str, value: Any) -> Any:
        if _SECRET.search(name):
            return "hidden"
        return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value

    return {name: one(name, value) for name, value in sorted(options.items())}


def _check_job_server(config: Config, kind: str) -> None:
    """Flink and Spark take a pipeline from a job server: one that runs, or a jar that is started here."""
    if config.options.get("job_endpoint"):
        return
    option = f"{kind}_job_server_jar"
    jar = config.options.get(option)
    if not jar:
        raise InvalidRequest(
            f"runner {config.name!r}: found neither job_endpoint nor {option}, and Beam would download the job server "
            f"from Maven. {_give('job_endpoint=host:8099')}, or {option}=/path/of/the.jar."
        )
    if "://" not in jar and not Path(jar).is_file():
        raise InvalidRequest(f"runner {config.name!r}: {option}={jar!r} does not exist. Give the path of the jar.")
    java = str(config.options.get("job_server_java_launcher", "java"))
    if not config.options.get(f"{kind}_submit_uber_jar") and shutil.which(java) is None:
        raise MissingLibrary(
            f"runner {config.name!r}: there is no {java!r} to start the job server with. Install Java, or "
            "name one that runs: --beam-option job_endpoint=host:8099."
        )


def _check_complete(config: Config) -> None:
    """Ask Beam's own validator, about a copy that never leaves this machine."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions, TestOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    try:
        runner = create_runner(config.runner)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"runner {config.name!r}: Beam has no runner {config.runner!r} ({error}).") from error
    options = parsed(config)
    options.view_as(TestOptions).dry_run = True  # no network
    validator = PipelineOptionsValidator(options, runner)
    problems = []
    if config.kind == "DataflowRunner":  # where one of these is wrong, Beam takes the other or makes a bucket
        google = options.view_as(GoogleCloudOptions)
        for option in ("temp_location", "staging_location"):
            problems += validator.validate_gcs_path(google, option)
    problems = problems or validator.validate()
    if problems:
        raise InvalidRequest(
            f"runner {config.name!r}: {' '.join(problems)} {_give('NAME=VALUE')}, or write it into the file."
        )


def _require_google(config: Config) -> None:
    try:
        importlib.import_module("google.cloud.dataflow")
    except ImportError as error:
        raise MissingLibrary(
            f"runner {config.name!r}: Google's libraries are not installed. Install them with: "
            "pip install 'apache-beam[gcp]'"
        ) from error


def _give(option: str) -> str:
    return f"Give it with --beam-option {option}"
