"""Which files of a project travel with a job: what git keeps or would add, without secrets and environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.functions import OWN

MOST = 20_000  # files; a project with more has data in it
# Names of files in lower case. What only shows what is wanted (.env.example) may travel.
_SECRETS = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc", ".git-credentials"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ovpn", ".htpasswd", ".dockercfg"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "kubeconfig", "credentials", "*credentials*.json"),
    *("client_secret*.json", "service_account*.json", "service-account*.json"),
    *("secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml"),
)
_SECRET_FOLDERS = frozenset({".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".kube", ".ssh"})
_SHOWN = (".example", ".sample", ".template", ".dist", ".pub")
# Folders that are made, not written; of a repository only what is no source in any.
_MADE = frozenset({"__pycache__", "node_modules", ".ipynb_checkpoints"})
_BUILT = frozenset({"build", "dist", "site-packages", "mlruns", "wandb"})
_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta/history")  # what marks a folder with an installed Python
_OWN_PLACES = (OWN, f"src/{OWN}")  # in a project, from where it would be imported instead
_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE"})  # name another repository
ADVICE = (
    "Leave out what is no code in .gitignore, name a smaller folder by code=, raise code_limit=, "
    "or make a dataset of the data."
)


def is_secret(name: str) -> bool:
    """Whether a path looks as if it held a password, a key or a token."""
    *folders, file = name.lower().split("/")
    looks = any(fnmatchcase(file, pattern) for pattern in _SECRETS) and not file.endswith(_SHOWN)
    return looks or not _SECRET_FOLDERS.isdisjoint(folders)


def is_everything(folder: Path) -> bool:
    """Whether a folder is the home directory or the whole disk, which is no project."""
    return folder in (Path.home().resolve(), Path(folder.anchor))


def own_package(names: Iterable[str]) -> str | None:
    """The folder among a project's files that is this package itself, as in its repository; None where none is."""
    found = set(names)
    return next((place for place in _OWN_PLACES if f"{place}/__init__.py" in found), None)


def git_root(folder: Path) -> Path | None:
    """The root of the git repository that a folder belongs to; one of the whole home directory doesn't count."""
    found = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    return None if found is None or is_everything(found) else found


def project_files(folder: Path, without: Iterable[Path] = ()) -> list[str]:
    """The names of the files below a folder that belong to its project, links among them, with `/` and sorted.

    In a git repository those that git tracks, and new ones that it doesn't ignore, also of submodules. Elsewhere all
    but hidden files, environments and what is built.

    Args:
        folder: the project's, without links in its path.
        without: folders that hold no code, such as the data directory.

    Raises:
        InvalidRequest: git can't list them, or there are more than `MOST`.
    """
    left_out = [one.relative_to(folder).as_posix() + "/" for one in without if folder in one.parents]
    asks_git = git_root(folder) and shutil.which("git")
    listed = list(islice(_of_git(folder) if asks_git else _walked(folder, "", left_out), 10 * MOST))
    left_out += [name.removesuffix(mark) for name in listed for mark in _ENVIRONMENTS if name.endswith(f"/{mark}")]
    found = {name for name in listed if _MADE.isdisjoint(name.split("/")) and not name.startswith(tuple(left_out))}
    if len(found) > MOST:
        raise InvalidRequest(f"{folder}: the project has more than {MOST:,} files, {_most(found)}. {ADVICE}")
    return sorted(found)


def _of_git(folder: Path) -> Iterator[str]:
    """Git's own answer, without what is tracked and deleted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    here = {key: value for key, value in os.environ.items() if key not in _OF_A_HOOK}
    git = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=here)
    if git.returncode:
        raise InvalidRequest(
            f"{folder}: git can't list the files of the project ({_first_line(git.stderr)}). Mend it as git says."
        )
    for raw in git.stdout.split(b"\0"):
        name = os.fsdecode(raw).rstrip("/")
        if not name:
            continue
        inner = folder / name
        if inner.is_dir() and not inner.is_symlink():  # a submodule, or a repository of its own within this one
            below = _of_git(inner) if (inner / ".git").exists() else _walked(inner, "")
            yield from (f"{name}/{one}" for one in below)
        elif os.path.lexists(inner):  # else it is tracked, and deleted
            yield name


def _walked(folder: Path, prefix: str, left_out: Sequence[str] = ()) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        yield prefix.rstrip("/")  # so that it is named among what stays here
        return
    if prefix and any((folder / mark).exists() for mark in _ENVIRONMENTS):
        return
    for entry in found:
        name = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith(".") or is_secret(entry.name):  # which is named, where it is left out
                yield name
        elif not (entry.name.startswith(".") or entry.name in _MADE | _BUILT or f"{name}/" in left_out):
            yield from _walked(folder / entry.name, f"{name}/", left_out)


def _most(names: Iterable[str]) -> str:
    """The folder that holds most of them."""
    counts = Counter(name.rpartition("/")[0] or "." for name in names)
    ((folder, count),) = counts.most_common(1)
    return f"{count:,} of them in {folder}"


def _first_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().split("\n", 1)[0]
