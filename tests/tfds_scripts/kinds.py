"""A TFDS builder with every kind of feature, as somebody might have one lying around; its data is made up."""

import numpy as np
import tensorflow_datasets as tfds

F = tfds.features
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


class Kinds(tfds.core.GeneratorBasedBuilder):
    """All that TFDS can hold."""

    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 - as TFDS wants it
        tfds.core.BuilderConfig(name="plain", description="What a tf.train.Example of ours can hold, too."),
        tfds.core.BuilderConfig(name="all", description="Also text and an array that may be missing."),
    ]
    RELEASE_NOTES = {"1.2.0": "All kinds."}  # noqa: RUF012

    def _info(self):
        several = F.Sequence(
            {"bbox": F.BBoxFeature(), "kind": F.ClassLabel(names=["a", "b"]), "tags": F.Sequence(F.Text())}
        )
        steps = F.Dataset({"seen": F.Tensor(shape=(2,), dtype=np.float32), "reward": np.float32, "said": F.Text()})
        maybe = {
            "maybe_text": F.Text(optional=True),
            "maybe_pair": F.Tensor(shape=(2,), dtype=np.float32, optional=True),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Every kind of feature.",
            homepage="https://example.org/kinds",
            citation="nobody, 2026",
            features=F.FeaturesDict(
                {
                    **{name: getattr(np, name) for name in INTEGERS},
                    "flag": np.bool_,
                    "half": np.float16,
                    "single": np.float32,
                    "double": np.float64,
                    "exact": F.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
                    "text": F.Text(doc="what was said"),
                    "name": np.str_,
                    "label": F.ClassLabel(names=["cat", "dog"]),
                    "matrix": F.Tensor(shape=(2, 3), dtype=np.float32),
                    "rows": F.Tensor(shape=(None, 3), dtype=np.int32),
                    "columns": F.Tensor(shape=(3, None), dtype=np.int64),
                    "raw": F.Tensor(shape=(2, 2), dtype=np.float64, encoding="bytes"),
                    "zipped": F.Tensor(shape=(None, 2), dtype=np.uint16, encoding="zlib"),
                    "any": F.Tensor(shape=(None, None), dtype=np.int64, encoding="zlib"),
                    "numbers": F.Sequence(np.int64),
                    "words": F.Sequence(F.Text()),
                    "three": F.Sequence(np.int64, length=3),
                    "ragged": F.Sequence(F.Sequence(np.float32)),
                    "deep": F.Sequence(F.Sequence(F.Sequence(F.Text()))),
                    "pairs": F.Sequence(F.Tensor(shape=(2,), dtype=np.float32)),
                    "objects": several,
                    "box": F.BBoxFeature(),
                    "nested": {"a": np.int64, "b": {"c": F.Text(), "d": F.Tensor(shape=(2,), dtype=np.float32)}},
                    "maybe": F.Scalar(np.int32, optional=True),
                    **(maybe if self.builder_config.name == "all" else {}),
                    "photo": F.Image(shape=(None, None, 3)),
                    "depth": F.Image(shape=(4, 4, 1), dtype=np.uint16),
                    "mask": F.LabeledImage(labels=["ground", "road"], shape=(4, 4, 1)),
                    "video": F.Video(shape=(None, 4, 4, 3)),
                    "sound": F.Audio(sample_rate=16_000),
                    "stereo": F.Audio(shape=(None, 2), dtype=np.int32),
                    "line": F.Translation(languages=["en", "fr"]),
                    "lines": F.TranslationVariableLanguages(languages=["en", "fr", "de"]),
                    "steps": steps,
                    "file/name": F.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40, 0), "test-b": self._generate_examples(7, 1)}

    def _generate_examples(self, rows, seed):
        random = np.random.default_rng(seed)
        for i in range(rows):
            k = i % 4
            maybe = {
                "maybe_text": None if i % 4 == 0 else "here",
                "maybe_pair": None if i % 5 == 0 else np.ones(2, np.float32) * i,
            }
            limits = {name: np.iinfo(getattr(np, name)) for name in INTEGERS}
            yield (
                i,
                {
                    **{name: random.choice(np.array([a.min, a.max, 1], name)) for name, a in limits.items()},
                    "flag": bool(i % 2),
                    "half": np.float16(i / 7),
                    "single": np.float32(i / 7),
                    "double": np.float64(np.float32(i / 7)),
                    "exact": np.float64(i / 7),
                    "text": f"wörd {i}" * (i % 3),
                    "name": f"x{i}",
                    "label": i % 2,
                    "matrix": random.random((2, 3), dtype=np.float32),
                    "rows": random.integers(0, 9, (k, 3)).astype(np.int32),
                    "columns": random.integers(-9, 9, (3, k)),
                    "raw": random.random((2, 2)),
                    "zipped": random.integers(0, 60_000, (k, 2)).astype(np.uint16),
                    "any": random.integers(-9, 2**40, (k, i % 3)),
                    "numbers": list(range(-k, k)),
                    "words": ["é" * j for j in range(k)],
                    "three": [i, i + 1, -i],
                    "ragged": [[1.5] * j for j in range(k)],
                    "deep": [[["z"] * j, []] for j in range(k)],
                    "pairs": [random.random(2, dtype=np.float32) for _ in range(k)],
                    "objects": [
                        {"bbox": F.BBox(0.1, 0.2, 0.5, 0.25 * (j + 1)), "kind": j % 2, "tags": ["t"] * j}
                        for j in range(k)
                    ],
                    "box": F.BBox(0.0, 0.0, 0.5, 1.0),
                    "nested": {"a": i, "b": {"c": "ü", "d": random.random(2, dtype=np.float32)}},
                    "maybe": None if i % 3 == 0 else i,
                    **(maybe if self.builder_config.name == "all" else {}),
                    "photo": random.integers(0, 255, (3 + k, 4, 3)).astype(np.uint8),
                    "depth": random.integers(0, 65_000, (4, 4, 1)).astype(np.uint16),
                    "mask": random.integers(0, 2, (4, 4, 1)).astype(np.uint8),
                    "video": random.integers(0, 255, (k + 1, 4, 4, 3)).astype(np.uint8),
                    "sound": random.integers(-9999, 9999, 10 + k),
                    "stereo": random.integers(-9999, 9999, (5, 2)).astype(np.int32),
                    "line": {"en": "cat", "fr": "chât"},
                    "lines": {"en": "cat", "fr": ["chat", "le chat"]},
                    "steps": [
                        {"seen": random.random(2, dtype=np.float32), "reward": float(j), "said": "t" * j}
                        for j in range(k)
                    ],
                    "file/name": f"n{i}.png",
                },
            )
