"""Folders that others have made (of Hugging Face, Parquet, CSV, JSON Lines) become definitions."""
