"""Dataset cards as on the Hugging Face Hub: a README.md whose YAML names license, splits, files and classes."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ailab_dataproc.errors import InvalidData, InvalidRequest, unknown
from ailab_dataproc.importing.features import of_readme
from ailab_dataproc.importing.naming import split_name
from ailab_dataproc.importing.words import Words, text

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_BIBTEX = re.compile(r"```\w*\s*\n(\s*@\w+\{.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says."""

    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)  # by split; none: it doesn't say
    folder: str = ""  # that holds the data, below the card's
    words: Words = field(default_factory=Words)


def read(root: Path, config: str | None = None) -> Card:
    """The card of a folder; an empty one where there is none.

    Raises:
        InvalidData: its YAML can't be read, or it names files that aren't there.
        InvalidRequest: it describes several configurations, and none is asked for.
        UnknownName: it describes none of this name.
    """
    path = root / "README.md"
    whole = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    front = _FRONT.match(whole)
    try:
        about = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError as error:
        raise InvalidData(f"{path}: the YAML at its head can't be read ({_one_line(error)}). Mend it.") from error
    about = about if isinstance(about, dict) else {}
    chosen = _chosen(path, _by_name(about.get("configs")), config)
    infos = _by_name(about.get("dataset_info"))
    info = infos.get(str(chosen.get("config_name", config or "default"))) or next(iter(infos.values()), {})
    body = whole[front.end() :] if front else whole
    words = Words(
        description=text(info.get("description")) or _description(about, body),
        citation=text(info.get("citation")) or _citation(body),
        license=text(about.get("license")) or text(info.get("license")),
        homepage=text(info.get("homepage")),
        features=of_readme(info.get("features")),
    )
    return Card(files=_files(root, chosen.get("data_files")), folder=text(chosen.get("data_dir")), words=words)


def _by_name(listed: Any) -> dict[str, dict[str, Any]]:
    """Configurations by name; one without a name is the default."""
    members = listed if isinstance(listed, list) else [listed]
    return {str(one.get("config_name", "default")): one for one in members if isinstance(one, dict)}


def _chosen(path: Path, configs: dict[str, dict[str, Any]], asked: str | None) -> dict[str, Any]:
    if asked is not None:
        if asked not in configs:
            raise unknown("configuration", asked, configs, where=str(path))
        return configs[asked]
    if len(configs) < 2:
        return next(iter(configs.values()), {})
    marked = next((one for name, one in configs.items() if one.get("default") or name == "default"), None)
    if marked is None:
        raise InvalidRequest(
            f"{path}: describes the configurations {', '.join(configs)}, wanted one of them. Give --config."
        )
    return marked


def _files(root: Path, told: Any) -> dict[str, list[Path]]:
    """The files that a configuration names, by split."""
    members = told if isinstance(told, list) else [told] if told else []
    found: dict[str, list[Path]] = {}
    for one in members:
        split, patterns = (one.get("split", "train"), one.get("path")) if isinstance(one, dict) else ("train", one)
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            there = sorted(glob.glob(str(pattern), root_dir=root, recursive=True))
            files = [root / name for name in there if (root / name).is_file()]
            if not files:
                raise InvalidData(f"{root / 'README.md'}: names {pattern}, where no file is. Fetch the whole folder.")
            found.setdefault(split_name(str(split)), []).extend(files)
    return found


def _description(about: dict[str, Any], body: str) -> str:
    """The card's title and its first paragraph of prose."""
    title = text(about.get("pretty_name"))
    plain = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", plain))
    prose = next((one for one in paragraphs if re.match(r"[A-Za-z0-9\"'*_]", one) and not one.startswith("- ")), "")
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    return "\n\n".join(filter(None, [f"{title}." if title and prose else title, prose]))


def _citation(body: str) -> str:
    found = _BIBTEX.search(body)
    return found[1].strip() if found else ""


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{getattr(error, 'problem', error)}" + (f", line {mark.line + 2}" if mark else "")
