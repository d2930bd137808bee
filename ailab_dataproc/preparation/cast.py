"""One Arrow type to another of its family, where no value changes."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t


def cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """The array as another type of its family.

    Raises:
        ValueError, pa.ArrowException: the types don't go together, or a value would change.
    """
    if not allowed(array.type, wanted):
        raise ValueError(f"{array.type} doesn't become {wanted} by itself")
    if t.is_dictionary(array.type) and not t.is_dictionary(wanted):
        return cast(array.cast(array.type.value_type), wanted)
    if t.is_dictionary(wanted) and not t.is_dictionary(array.type):
        return cast(array, wanted.value_type).dictionary_encode().cast(wanted)
    result = array.cast(wanted, safe=True)
    if _loses_digits(array, result):
        raise ValueError("a float would lose digits")
    return result


def _loses_digits(array: pa.Array, result: pa.Array) -> bool:
    """Whether a float, at any depth, became a shorter one that isn't equal. Arrow's safe casts don't look."""
    if is_list(array.type) and is_list(result.type):
        return _loses_digits(array.flatten(), result.flatten())
    if t.is_struct(array.type) and t.is_struct(result.type):
        pairs = zip(array.flatten(), result.flatten(), strict=True)
        return any(_loses_digits(one, other) for one, other in pairs)
    if not (t.is_floating(array.type) and t.is_floating(result.type) and result.type.bit_width < array.type.bit_width):
        return False
    same = pc.or_kleene(pc.equal(result.cast(array.type), array), pc.is_nan(array))
    return not pc.all(same, skip_nulls=True).as_py()


def allowed(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type may become another, if each of them fits."""
    if t.is_null(found) or found == wanted:
        return True
    if t.is_dictionary(found) or t.is_dictionary(wanted):
        plain = [one.value_type if t.is_dictionary(one) else one for one in (found, wanted)]
        return allowed(plain[0], plain[1])
    if is_list(found) and is_list(wanted):
        return allowed(found.value_type, wanted.value_type)
    if t.is_struct(found) and t.is_struct(wanted):
        pairs = list(zip(found, wanted, strict=False))
        same = found.num_fields == wanted.num_fields and all(one.name == other.name for one, other in pairs)
        return same and all(allowed(one.type, other.type) for one, other in pairs)
    if t.is_timestamp(found) and t.is_timestamp(wanted):
        return (found.tz is None) == (wanted.tz is None)
    families: tuple[Callable[[pa.DataType], bool], ...] = (
        lambda x: t.is_integer(x) or t.is_floating(x),
        lambda x: t.is_string(x) or t.is_large_string(x) or t.is_string_view(x),
        lambda x: t.is_binary(x) or t.is_large_binary(x) or t.is_fixed_size_binary(x),
        lambda x: t.is_decimal(x) or t.is_integer(x),
        t.is_duration,
        t.is_date,
    )
    return any(family(found) and family(wanted) for family in families)


def is_list(type_: pa.DataType) -> bool:
    """Whether it is a list of any kind, also of fixed size."""
    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))
