"""Folders with a card in the registry of MLflow, each tied to the exact dataset; see `ailab_dataproc.models`."""
