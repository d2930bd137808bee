"""Data as MLflow shows them: columns, rows and bytes of a dataset, and the tags that tell how a run loaded it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.columns import describe_columns
from ailab_dataproc.errors import AilabError
from ailab_dataproc.experiment.knowing import Known, know
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.planning import Plan
from ailab_dataproc.report import Report, count_bytes

LONGEST = 500  # characters of an input's tag
_SCHEMA = 1_000_000  # characters; MLflow takes 1,048,575
_SHORT = {pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()}
_TYPES: dict[str, Callable[[pa.DataType], bool]] = {
    "boolean": t.is_boolean,
    "integer": lambda x: x in _SHORT,
    "long": lambda x: x in (pa.int64(), pa.uint32()),
    "float": lambda x: t.is_float16(x) or t.is_float32(x),
    "double": t.is_float64,
    "string": lambda x: t.is_string(x) or t.is_large_string(x) or t.is_string_view(x),
    "binary": lambda x: any(is_(x) for is_ in (t.is_binary, t.is_large_binary, t.is_fixed_size_binary)),
    "datetime": lambda x: t.is_date(x) or t.is_timestamp(x),
}


def known_of(data: Known | Used, used: Used) -> Known | None:
    """What is known of data; of a `Used` what its version says, if that is prepared here."""
    if not isinstance(data, Used):
        return data
    try:
        found = know(used.reference, used.split)
    except AilabError:  # only what people see is missing then
        return None
    return found if found.fingerprint == used.fingerprint else None


def entity(used: Used, known: Known | None) -> Any:
    """The dataset as MLflow keeps it: once in an experiment for all runs with the same data."""
    from mlflow.entities import Dataset

    from ailab_dataproc.experiment.source import TYPE, AilabDatasetSource

    columns = None
    if known:
        names = used.columns or tuple(known.selected.selection.schema.names)
        columns = pa.schema([known.selected.selection.schema.field(name) for name in names])
    return Dataset(
        name=used.reference,
        digest=used.digest,
        source_type=TYPE,
        source=AilabDatasetSource(used).to_json(),
        schema=None if columns is None else schema_text(columns),
        profile=json.dumps(_profile(used, columns), ensure_ascii=False),
    )


def _profile(used: Used, columns: pa.Schema | None) -> dict[str, Any]:
    """What MLflow's page shows above the columns: what is the same for all runs with these data, and no more."""
    found = {
        "split": used.split,
        "num_rows": f"at most {used.rows}" if used.at_most else used.rows,
        "num_columns": 0 if columns is None else len(columns),
        "num_bytes": used.bytes,
        "filters": cut(used.filters),
        "draw": used.draw,
        "made_from": "; ".join(used.made_from),
        "fingerprint": used.fingerprint,
    }
    return {key: value for key, value in found.items() if value or key == "num_rows"}


def schema_text(schema: pa.Schema) -> str:
    """Columns as MLflow keeps them, and beside them, as far as there is room, what MLflow's form has no place for."""
    from mlflow.types import ColSpec, Schema

    found: list[Any] = [ColSpec(_type(one.type), one.name, required=not one.nullable) for one in schema]
    columns = {"mlflow_colspec": Schema(found).to_dict()}
    told = [{key: value for key, value in one.items() if value} for one in describe_columns(schema)]
    for more in ({"columns": told}, {}):
        text = json.dumps({**columns, **more}, ensure_ascii=False)
        if len(text) <= _SCHEMA:
            return text
    kept = {"mlflow_colspec": columns["mlflow_colspec"][: _SCHEMA // 400], "all_columns": len(schema)}
    return json.dumps(kept, ensure_ascii=False)


def tags(used: Used, known: Known | None) -> dict[str, str]:
    """What differs between runs that use the same data: how they loaded it, and where."""
    found: dict[str, Any] = {
        "split": used.split,
        "fingerprint": used.fingerprint,
        "rows": _rows(used),
        "columns": ", ".join(used.columns),
        "filters": used.filters,
        "draw": used.draw,
        "location": used.location,
        "made_from": "; ".join(used.made_from),
        "host": platform.node(),
        "job": os.environ.get("AILAB_JOB", ""),
        "cluster": os.environ.get("DASK_SCHEDULER_ADDRESS", "") if os.environ.get("AILAB_JOB") else "",
    }
    if known and known.plan:
        found |= _planned(known.plan)
    if known and known.report:
        found |= _reported(known.report)
    return {key: cut(str(value)) for key, value in found.items() if value}


def line(used: Used, known: Known | None) -> str:
    """The whole in a line, for a run's page."""
    if known and known.report and known.report.step == "load":
        return str(known.report)
    parts = [used.split, used.draw, f"where {used.filters}" if used.filters else "", f"{_rows(used)} rows"]
    return f"{used.reference}: {', '.join(filter(None, parts))}"


def cut(text: str) -> str:
    """A text that fits into a tag."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _rows(used: Used) -> str:
    return f"{'at most ' * used.at_most}{used.rows:,}"


def _planned(plan: Plan) -> Mapping[str, Any]:
    machine = plan.machine
    lazy = machine.cluster is not None and plan.choice.verdict.family == "lazy"
    return {
        "backend": plan.backend,
        "reason": plan.choice.reason,
        "returns": plan.returns,
        "package": plan.package,
        "memory": count_bytes(machine.memory),
        "cpus": machine.cpus,
        "gpus": len(machine.gpus),
        **({"cluster": machine.cluster.address} if lazy and machine.cluster else {}),
    }


def _reported(report: Report) -> Mapping[str, Any]:
    return {
        "seconds": f"{report.seconds:.3f}",
        "peak_memory": count_bytes(report.peak_memory) if report.peak_memory else "",
        "predicted_memory": count_bytes(report.predicted_memory) if report.predicted_memory else "",
        "measured_memory": "" if report.measured_memory is None else count_bytes(report.measured_memory),
        "versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }


def _type(type_: pa.DataType) -> Any:
    """MLflow's type for an Arrow type; `Any` where it has none, such as for decimals and unsigned 64-bit integers."""
    from mlflow.types import schema as mlflow_types

    types: Any = mlflow_types
    if t.is_dictionary(type_):
        return _type(type_.value_type)
    if t.is_map(type_) and t.is_string(type_.key_type):
        return types.Map(_type(type_.item_type))
    if t.is_struct(type_) and type_.num_fields:
        return types.Object([types.Property(one.name, _type(one.type), required=not one.nullable) for one in type_])
    if t.is_nested(type_) and hasattr(type_, "value_type"):
        return types.Array(_type(type_.value_type))
    name = next((name for name, test in _TYPES.items() if test(type_)), "")
    return types.DataType[name] if name else types.AnyType()
