"""Experiments: runs, models and pipelines tracked with MLflow, each tied to the exact version of its data."""
