"""Names, versions and aliases in MLflow's registry: how they are written, found, and told where they don't exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.errors import InvalidRequest, TrackingFailed, UnknownName, unknown
from ailab_dataproc.experiment.reaching import asking, knock, mlflow, registry
from ailab_dataproc.experiment.zoo.entries import Entry, of_version

CHAMPION, LATEST = "champion", "latest"
PAGE = 1000  # of an answer
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)  # MLflow's own
_SCHEME = "models:/"


@dataclass(frozen=True, slots=True)
class Asked:
    """A name, and which of its versions is meant."""

    name: str
    version: str = ""
    alias: str = ""  # without both: the champion, else the newest

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Read ``name``, ``name@alias``, ``name:3``, ``models:/name@alias`` or ``models:/name/3``.

        Raises:
            InvalidRequest: it is none of them.
        """
        if not isinstance(text, str):
            raise InvalidRequest(f"model {text!r:.60}: wanted a name such as 'ctr', 'ctr@champion' or 'ctr:3'.")
        rest = text.strip()
        if rest.startswith(_SCHEME):
            rest = re.sub(r"^([^/@:]+)/(\d+|latest)$", r"\1:\2", rest.removeprefix(_SCHEME).lstrip("/"))
        name, at, alias = rest.partition("@")
        name, colon, version = name.partition(":")
        check_name(name)
        if version == LATEST:
            return cls(name, alias=LATEST)
        if (colon and at) or (colon and not re.fullmatch(r"[1-9]\d*", version)) or (at and not alias):
            raise InvalidRequest(
                f"model {text!r}: wanted NAME, NAME@ALIAS or NAME:VERSION with a number, such as ctr:3."
            )
        return cls(name, version, alias)

    def __str__(self) -> str:
        return self.name + (f":{self.version}" if self.version else "") + (f"@{self.alias}" if self.alias else "")


def check_name(name: str) -> None:
    """Raise `InvalidRequest` for what can't be a name."""
    if isinstance(name, str) and "/" in name:
        raise InvalidRequest(
            f"model {name!r}: a name has no /. Write it with a dot, as {name.strip('/').replace('/', '.')!r}."
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"model {name!r:.140}: a name is ASCII letters, digits, '.', '_' and '-', at most 128. "
            "Write it as task.name, such as 'ctr.deepfm'; the card's title may be in any language."
        )


def find(asked: Asked) -> tuple[Any, Entry]:
    """The model and the version that are meant.

    Raises:
        UnknownName: there is no such model, version or alias.
        TrackingFailed: the server is down, or refuses.
    """
    what, client = f"model {asked}", mlflow().MlflowClient()
    knock(what)
    model = _model(client, asked.name)
    number = asked.version or _number(client, model, asked)
    with asking(what), missing("version", what, lambda: [str(one) for one in numbers(client, asked.name)], number):
        found = client.get_model_version(asked.name, number)
    aliases = sorted(key for key, value in model.aliases.items() if str(value) == str(number))
    entry = of_version(found, aliases)
    if entry is None:
        raise TrackingFailed(
            f"{what}: version {number} was not pushed here but logged by MLflow itself. "
            f"Take it with mlflow.artifacts.download_artifacts('models:/{asked.name}/{number}')."
        )
    return model, entry


def alias(name: str, alias: str, version: int | str) -> Entry:
    """Give a version a name of its own, such as ``champion``; a version that had it loses it.

    Args:
        name: of the model.
        alias: what `pull("name@alias")` will mean. `pull("name")` takes ``champion``, where there is one.
        version: its number.

    Raises:
        InvalidRequest: MLflow can't take the alias.
        UnknownName: there is no such model or version.
        TrackingFailed: the server is down, or refuses.
    """
    check_name(name)
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or _RESERVED.fullmatch(alias):
        raise InvalidRequest(
            f"model {name}: alias {alias!r:.60}, wanted letters, digits, - and _, and not 'latest' or 'v1'. "
            "Such as 'champion'."
        )
    _, entry = find(Asked.parse(f"{name}:{version}"))
    what = f"model {name}@{alias}"
    with asking(what):
        mlflow().MlflowClient().set_registered_model_alias(name, alias, entry.version)
    return find(Asked(name, version=entry.version))[1]


def numbers(client: Any, name: str) -> list[int]:
    """All versions of a model, the newest first."""
    with asking(f"model {name}"):
        return sorted((int(one.version) for one in pages(client, f"name = '{name}'")), reverse=True)


def pages(client: Any, question: str) -> Iterator[Any]:
    """The versions that MLflow's registry finds."""
    token: str | None = None
    while True:
        page = client.search_model_versions(question, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def missing(kind: str, where: str, known: Any, asked: str) -> Iterator[None]:
    """Tell with near names what the registry doesn't have, or hides.

    Args:
        kind: what is looked for.
        where: the place of the message.
        known: gives those that exist.
        asked: the name of it.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as raised:
        error: Any = raised
        if error.get_http_status_code() == 403:
            told = f"{where}: there is no such {kind} in {registry()}, or you may not see it (403)."
            raise UnknownName(f"{told} Look with `ailab-dataproc models search`, or ask its owner.") from error
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        hint = "" if kind == "version" else f"Looked in {registry()}."
        raise unknown(kind, asked, known(), where=where if kind == "version" else "", hint=hint) from error


def _model(client: Any, name: str) -> Any:
    with asking(f"model {name}"), missing("model", f"model {name}", lambda: _names(client), name):
        return client.get_registered_model(name)


def _names(client: Any) -> list[str]:
    with asking("models"):
        return [one.name for one in client.search_registered_models(max_results=PAGE)]


def _number(client: Any, model: Any, asked: Asked) -> str:
    if asked.alias not in ("", LATEST):
        if asked.alias not in model.aliases:
            raise unknown("alias", asked.alias, model.aliases, where=f"model {asked.name}", hint=_there(client, asked))
        return str(model.aliases[asked.alias])
    if not asked.alias and CHAMPION in model.aliases:
        return str(model.aliases[CHAMPION])
    there = numbers(client, asked.name)
    if not there:
        raise UnknownName(f"model {asked.name}: it has no version. Push one.")
    return str(there[0])


def _there(client: Any, asked: Asked) -> str:
    return f"Versions: {', '.join(map(str, numbers(client, asked.name)[:10]))}."
