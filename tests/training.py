"""Small PyTorch models that learn from batches, in processes of their own: Triton and TensorFlow share none."""

from __future__ import annotations

import itertools

import ailab_dataproc as adp


def digits(data_dir):
    """Two convolutions learn the digits; returns the loss of each step, and which part of the test split is right."""
    import torch
    from torch import nn

    torch.set_num_threads(1)  # quicker for small models on a machine that has other work
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    given = {"format": "torch", "data_dir": data_dir}
    train = adp.batches("image_classification/digits", split="train", batch_size=32, shuffle=True, **given)
    for _ in range(6):
        for batch in train:
            loss = nn.functional.cross_entropy(model(batch["image"][:, None] / 16), batch["label"].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    (test,) = adp.batches("image_classification/digits", split="test", batch_size=1_000, **given)
    right = model(test["image"][:, None] / 16).argmax(1) == test["label"]
    return losses, right.float().mean().item()


def letters(data_dir, name, kinds):
    """A table learns which token follows which; returns the loss of each step of two epochs."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = torch.nn.Embedding(kinds, kinds)
    torch.nn.init.zeros_(table.weight)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    losses = []
    blocks = adp.batches(name, split="train", batch_size=64, format="torch", shuffle=True, data_dir=data_dir)
    for batch in itertools.chain(blocks, blocks):
        found = batch["tokens"].long()
        loss = torch.nn.functional.cross_entropy(table(found[:, :-1]).flatten(0, 1), found[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
