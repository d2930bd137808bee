"""One MLflow server for a lab: a workspace for each person and team, and a whitelist that says who may what."""
