"""Raw files as the publishers of TFDS's own datasets offer them, in small, so that their builders run offline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(7)

VOC = """<annotation><size><width>20</width><height>10</height></size>{objects}</annotation>"""
THING = """<object><name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>{difficult}</difficult>
<bndbox><xmin>2</xmin><ymin>1</ymin><xmax>12</xmax><ymax>9</ymax></bndbox></object>"""


def write_all(folder: Path) -> None:
    """Write them, each below the last part of its URL."""
    for write in (_iris, _titanic, _cifar, _squad, _voc, _ted, _moving, _penguins):
        write(folder)


def _iris(folder):
    lines = [f"{5 + i / 10},3.5,1.4,{i / 7:.3f},Iris-{'setosa' if i % 2 else 'virginica'}" for i in range(30)]
    _text(folder / "iris.zip" / "iris.data", "\n".join(lines) + "\n\n")


def _titanic(folder):
    head = "pclass,survived,name,sex,age,sibsp,parch,ticket,fare,cabin,embarked,boat,body,home.dest"
    rows = [
        f'{1 + i % 3},{i % 2},"Bråund, Mr. {i}",male,{i + 0.5},0,0,A/5 {i},7.25,C{i},S,2,{i},Zürich' for i in range(9)
    ]
    _text(folder / "phpMYEkMl", "\n".join([head, *rows]))


def _cifar(folder):
    inner = folder / "cifar-10-binary.tar.gz" / "cifar-10-batches-bin"
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    _text(inner / "batches.meta.txt", "\n".join(names) + "\n\n")
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        rows = RANDOM.integers(0, 256, (4, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (inner / f"{name}.bin").write_bytes(rows.tobytes())


def _squad(folder):
    for part, rows in (("train", 6), ("dev", 2)):
        answers = [{"text": "né en 1960", "answer_start": 3}, {"text": "b", "answer_start": 9}]
        qas = [{"id": f"{part}{i}", "question": f"Who is {i}?", "answers": answers[: i % 3]} for i in range(rows)]
        article = {"title": "Ñ", "paragraphs": [{"context": "Il est né en 1960.", "qas": qas}]}
        _text(folder / f"{part}-v1.1.json", json.dumps({"data": [article]}))


def _voc(folder):
    for archive, parts in (("VOCtest_06-Nov-2007.tar", ["test"]), ("VOCtrainval_06-Nov-2007.tar", ["train", "val"])):
        root = folder / archive / "VOCdevkit" / "VOC2007"
        for number, part in enumerate(parts):
            names = [f"{number}{i:03d}" for i in range(3)]
            _text(root / "ImageSets" / "Main" / f"{part}.txt", "\n".join(names) + "\n")
            for i, name in enumerate(names):
                things = "".join(THING.format(difficult=j % 2) for j in range(i))
                _text(root / "Annotations" / f"{name}.xml", VOC.format(objects=things))
                (root / "JPEGImages").mkdir(exist_ok=True)
                pixels = np.full((10, 20, 3), 40 * (i + 1), np.uint8)  # a plain colour: decoders of JPEG round alike
                Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg", quality=95)


def _ted(folder):
    root = folder / "qi18naacl-dataset.tar.gz" / "datasets" / "pt_to_en"
    for part in ("train", "dev", "test"):
        _text(root / f"pt.{part}", "\n".join(f"olá número {i} de {part}" for i in range(5)))
        _text(root / f"en.{part}", "\n".join(f"hello number {i} of {part}" for i in range(5)))


def _moving(folder):
    np.save(folder / "mnist_test_seq.npy", RANDOM.integers(0, 256, (20, 3, 64, 64), dtype=np.uint8))


def _penguins(folder):
    head = (
        "studyName,Sample Number,Species,Region,Island,Stage,Individual ID,Clutch Completion,Date Egg,"
        "Culmen Length (mm),Culmen Depth (mm),Flipper Length (mm),"
        "Body Mass (g),Sex,Delta 15 N (o/oo),Delta 13 C (o/oo),Comments"
    )
    rows = [
        f"PAL0708,{i},Adelie,Anvers,Torgersen,Adult,N{i}A1,Yes,11/11/07,39.{i},18.7,181,NA,MALE,NA,-2{i}.5,none"
        for i in range(5)
    ]
    _text(folder / "penguins_lter.csv", "\n".join([head, *rows]))


def _text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
