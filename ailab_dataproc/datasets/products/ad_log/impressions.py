"""Ad impressions of a made-up product: realistic skew at any size, the same bytes on every machine.

One row is one ad shown in one slot of a page. Users, items and referrers follow bounded Zipf laws, traffic has a daily
cycle, and clicks depend on the slot, the device, the item and the taste of the user, so that a model can learn them.
The split's text says how much: ``synthetic:rows=1_000_000,seed=0``. No person is behind any row.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidDefinition, unknown

GENERATOR = 1  # raise it with the dataset's version when the same text gives other rows
PART = 250_000  # rows a source
BATCH = 65_536  # rows
FIRST, DAYS = np.datetime64("2021-01-04", "us").astype(np.int64), 28  # the log's first microsecond and length
USERS, ITEMS, REFERRERS = 200_000, 20_000, 20_000
BITS = 21  # quantiles of a Zipf law, as a power of two: 2 Mi, enough for every one of 200,000 users to appear
TRAFFIC = (9, 6, 4, 3, 3, 5, 10, 18, 24, 22, 20, 22, 28, 26, 22, 20, 21, 24, 28, 34, 40, 42, 34, 20)  # by hour, UTC
CAMPAIGNS = {"brand": 20, "spring_sale": 30, "retargeting": 35, "new_arrivals": 12, "test": 3}
DISCOUNT = np.array([1.0, 0.75, 1.0, 0.875, 1.0])
DEVICES = {"phone": 62, "desktop": 25, "tablet": 9, "tv": 3, "console": 1}
DEVICE_CTR = np.array([1.0, 1.4, 1.1, 0.3, 0.2])
COUNTRIES = {"JP": 70, "US": 10, "TW": 7, "KR": 5, "DE": 3, "FR": 2, "BR": 2, "IN": 1}
POSITIONS = {1: 24, 2: 20, 3: 16, 4: 13, 5: 10, 6: 8, 7: 5, 8: 4}
POSITION_CTR = np.array([1.6, 1.2, 0.9, 0.7, 0.55, 0.45, 0.4, 0.35])
WORDS = (
    "靴",
    "スニーカー",
    "冬",
    "コート",
    "黒",
    "レディース",
    "メンズ",
    "かばん",
    "安い",
    "東京",
    "shoes",
    "red",
    "coat",
    "sale",
    "bag",
    "running",
    "café",
    "kids",
)

schema = pa.schema(
    [
        column("timestamp", pa.timestamp("us", "UTC"), "when the ad was shown; never falls within a split"),
        column("user", pa.int64(), "number of a made-up user; no person is behind it", pii=False),
        column("item", pa.int32(), "item shown, 0 to 19,999; lower numbers are shown more often"),
        column("campaign", pa.string(), "campaign that paid for the slot"),
        column("device", pa.string(), "kind of device"),
        column("country", pa.string(), "ISO 3166 code of the country"),
        column("position", pa.int8(), "slot on the page, 1 at the top to 8"),
        column("price", pa.float32(), "price of the item as shown", unit="JPY"),
        column("bid", pa.float64(), "what the campaign offered for the impression", unit="JPY"),
        column("query", pa.string(), "search words; empty where the page was no search"),
        column("referrer", pa.string(), "page that led here; null for direct visits", nullable=True),
        column("recent_items", pa.list_(pa.int32()), "up to 10 items that the user saw before, latest first"),
        column("clicked", pa.bool_(), "whether the ad was clicked: the label"),
        column("dwell_seconds", pa.float32(), "time on the item's page; null without a click", nullable=True, unit="s"),
    ]
)


def sources(split: str, text: str) -> Iterable[Source]:
    """Cut a text such as ``synthetic:rows=1_000_000,seed=0`` into parts of at most 250,000 rows."""
    rows, seed = _parse(text)
    parts = -(-rows // PART)
    digits = max(5, len(str(parts - 1)))
    for part in range(parts):
        url = f"synthetic:rows={rows},seed={seed}#part={part:0{digits}d}"
        yield Source(url=url, split=split, identity=f"generator {GENERATOR} {url}")


def read(source: Source) -> Iterator[pa.RecordBatch]:
    """Generate one part; it depends on nothing but the source's text."""
    text, _, label = source.url.partition("#part=")
    rows, seed = _parse(text)
    if not label.isdecimal() or int(label) * PART >= rows:
        raise InvalidDefinition(f"{source.url}: no part {label!r}. Let `sources` make the parts.")
    part = int(label)
    draw = np.random.Philox(np.random.SeedSequence([seed, part]))
    for start in range(part * PART, stop := min(rows, (part + 1) * PART), BATCH):
        yield _batch(draw, start, min(BATCH, stop - start), rows)


def _batch(draw: np.random.Philox, start: int, n: int, rows: int) -> pa.RecordBatch:
    # Only raw bits, tables and exactly rounded arithmetic: exp and power differ between processors in the last bit.
    campaign, device, country, position, bid, dwell, search, direct = _bits(draw, n, 8, np.uint16)
    jitter, user, item, chance, words, referrer = _bits(draw, n, 6, np.uint32)
    user, item, recent = _zipf(user, USERS), _zipf(item, ITEMS), _recent(draw, n)
    campaign, device, position = _choice(campaign, CAMPAIGNS), _choice(device, DEVICES), _choice(position, POSITIONS)
    appeal = 0.25 + 2.25 * (item * 52_711 % 65_536 / 65_536) ** 2
    odds = appeal * DEVICE_CTR[device] * POSITION_CTR[position] * np.where((user ^ item) & 7, 0.021, 0.07)
    clicked = chance < odds * 2.0**32
    words = np.where(search < 40_000, (words & 1023) % len(WORDS) ** 2 + 1, 0)
    columns = [
        pa.array(_times(start, n, rows, jitter)).cast(pa.timestamp("us", "UTC")),
        pa.array((user.astype(np.uint64) * 0x9E3779B97F4A7C15 & np.uint64(2**63 - 1)).astype(np.int64)),
        pa.array(item),
        _texts(tuple(CAMPAIGNS)).take(pa.array(campaign)),
        _texts(tuple(DEVICES)).take(pa.array(device)),
        _texts(tuple(COUNTRIES)).take(pa.array(_choice(country, COUNTRIES))),
        pa.array((position + 1).astype(np.int8)),
        pa.array(np.rint(_lognormal(8.0, 0.9)[item * 40_503 % 65_536] * DISCOUNT[campaign]).astype(np.float32)),
        pa.array(_lognormal(3.0, 0.8)[bid]),
        _queries().take(pa.array(words)),
        _referrers().take(pa.array(_zipf(referrer, REFERRERS), mask=direct < 24_000)),
        recent,
        pa.array(clicked),
        pa.array(_lognormal(3.2, 1.1)[dwell].astype(np.float32), mask=~clicked),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _bits(draw: np.random.Philox, n: int, columns: int, kind: type) -> np.ndarray:
    # random_raw's stream is promised for ever by NumPy; that of Generator's methods is not.
    count, size = n * columns, np.dtype(kind).itemsize
    return draw.random_raw(-(-count * size // 8)).astype("<u8", copy=False).view(kind)[:count].reshape(columns, n)


def _times(start: int, n: int, rows: int, jitter: np.ndarray) -> np.ndarray:
    day = sum(TRAFFIC)
    place = (np.arange(start, start + n) + jitter * 2.0**-32) * (DAYS * day / rows)  # in units of traffic
    whole = np.minimum(place.astype(np.int64), DAYS * day - 1)
    hour = np.repeat(np.arange(24), TRAFFIC)[whole % day]
    since = place - (whole // day * day + (np.cumsum(TRAFFIC) - TRAFFIC)[hour])
    within = (since * (3.6e9 / np.array(TRAFFIC))[hour]).astype(np.int64)
    return FIRST + (whole // day * 24 + hour) * 3_600_000_000 + np.minimum(within, 3_599_999_999)


def _recent(draw: np.random.Philox, n: int) -> pa.ListArray:
    lengths = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10])[_bits(draw, n, 1, np.uint16)[0] & 15]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    items = _zipf(_bits(draw, int(offsets[-1]), 1, np.uint32)[0], ITEMS)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(items))


def _choice(bits: np.ndarray, weights: dict[str, int] | dict[int, int]) -> np.ndarray:
    return _choices(tuple(weights.values()))[bits]


def _zipf(bits: np.ndarray, size: int) -> np.ndarray:
    return _zipf_table(size)[bits >> (32 - BITS)]


@functools.cache
def _zipf_table(size: int) -> np.ndarray:
    weights = np.cumsum(1.0 / (np.arange(size) + 10.0))
    return np.searchsorted(weights, (np.arange(2**BITS) + 0.5) * (weights[-1] / 2**BITS)).astype(np.int32)


@functools.cache
def _lognormal(mean: float, sigma: float) -> np.ndarray:
    normal = NormalDist(mean, sigma)
    values = np.exp([normal.inv_cdf((i + 0.5) / 65_536) for i in range(65_536)])
    return np.rint(values * 100) / 100  # a hundredth swallows what processors disagree on


@functools.cache
def _choices(weights: tuple[int, ...]) -> np.ndarray:
    ends = np.cumsum(weights)
    return np.searchsorted(ends, (np.arange(65_536) + 0.5) * (ends[-1] / 65_536)).astype(np.int32)


@functools.cache
def _texts(values: tuple[str, ...]) -> pa.Array:
    return pa.array(values, pa.string())


@functools.cache
def _queries() -> pa.Array:
    return _texts(("", *(f"{a} {b}" if a != b else a for a in WORDS for b in WORDS)))


@functools.cache
def _referrers() -> pa.Array:
    return _texts(tuple(f"https://site{i % 97}.example/articles/{i * 7_919 % 100_003:05d}" for i in range(REFERRERS)))


def _parse(text: str) -> tuple[int, int]:
    (scheme, _, rest), found = text.partition(":"), dict[str, int]()
    if scheme != "synthetic":
        raise InvalidDefinition(f"{text!r}: wanted synthetic:rows=…,seed=…, such as 'synthetic:rows=1_000_000,seed=0'.")
    for pair in rest.split(","):
        key, _, value = (one.strip() for one in pair.partition("="))
        if key not in ("rows", "seed"):
            raise InvalidDefinition(str(unknown("key", key, ("rows", "seed"), where=repr(text))))
        if key in found or not re.fullmatch(r"[0-9][0-9_]{0,17}", value):
            what = "is given twice" if key in found else f"is {value!r}, wanted a whole number such as 1_000_000"
            raise InvalidDefinition(f"{text!r}: {key} {what}.")
        found[key] = int(value.replace("_", ""))
    if found.get("rows", 0) < 1:
        raise InvalidDefinition(f"{text!r}: rows is {found.get('rows', 'missing')}, wanted 1 or more.")
    return found["rows"], found.get("seed", 0)


dataset = Dataset(
    name="products/ad_log/impressions",
    version="1.0.0",
    schema=schema,
    splits={"train": "synthetic:rows=1_000_000,seed=0", "test": "synthetic:rows=100_000,seed=1"},
    read=read,
    sources=sources,
    owner="ailab_dataproc",
    description=__doc__,
    citation="Generated by ailab_dataproc; nothing to cite.",
    license="CC0-1.0",
    release_notes={"1.0.0": "First version."},
)
