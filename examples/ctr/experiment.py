"""A whole experiment, from the log of a product to a model of clicks in the zoo and a report; see README.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

MADE_UP = "products/ad_log/impressions"
SPLITS = {  # what is learnt from, what calibrates, what is judged by: in order of time
    MADE_UP: ("train[:95%]", "train[95%:]", "test"),
    "products/open_bandit/mens": ("bts[:80%]", "bts[80%:90%]", "bts[90%:]"),
}


def experiment(asked: argparse.Namespace, results: Path) -> None:
    """Run the steps that have changed, and tell what came out."""
    from features import preprocess
    from steps import evaluate, prepare, publish, train

    import ailab_dataproc as adp

    started = time.perf_counter()
    log = prepare(MADE_UP, asked.rows) if asked.dataset == MADE_UP else adp.plan(asked.dataset).dataset
    flow = adp.Flow(results / "flow", name="ctr", track=True)
    features = flow(preprocess, log)
    learnt, calibrating, judged = (adp.plan(features, split=one, backend="dask") for one in SPLITS[asked.dataset])
    model = flow(train, learnt, calibrating, learning_rate=asked.learning_rate, epochs=asked.epochs)
    metrics = flow(evaluate, judged, model["weights"])
    store = os.environ["MLFLOW_TRACKING_URI"]  # a model is in the zoo that it was pushed to, not in another
    entry = flow(
        publish, f"ctr-{log.partition(':')[0].rpartition('/')[2]}", model["weights"], metrics, learnt, judged, store
    )
    page = flow.report(results / "report.html", title=f"Clicks of {log}")
    tell(flow, metrics, entry, page, time.perf_counter() - started)


def tell(flow, metrics: dict, entry: str, page: Path, seconds: float) -> None:
    """What came out, and where it is."""
    ran = [step.label for step in flow.steps if step.ran]
    print(f"\n{'ran: ' + ', '.join(ran) if ran else 'All steps came from memory'} ({seconds:.0f} s).")
    print("".join(f"\n  {name:24}{value:.4f}" for name, value in metrics.items() if isinstance(value, float)))
    store, tools = os.environ["MLFLOW_TRACKING_URI"], Path(sys.executable).parent
    print(f"\nreport  {page}")
    print(
        f"runs    {tools}/mlflow ui --backend-store-uri {store}"
        if "://" in store and "http" not in store
        else f"runs    {store}"
    )
    print(
        f"model   {entry}: MLFLOW_TRACKING_URI={store} {tools}/ailab-dataproc models search クリック --metric 'auc>0.6'"
    )


class Options(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        """End with it."""
        self.exit(2, f"error: {message}. {self.prog} --help tells all options.\n")


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = Options(description=__doc__)
    parser.add_argument(
        "--dataset", choices=SPLITS, default=MADE_UP, help="the log; another than the made-up one has to be prepared"
    )
    parser.add_argument("--rows", type=int, default=4_000_000, help="of the made-up log (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="of the gradient descent (%(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="how often each row is learnt from (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=Path("experiment_results"), help="folder of all that is made (%(default)s)"
    )
    asked = parser.parse_args()
    if not 0 < asked.learning_rate <= 10:
        parser.error(f"--learning-rate {asked.learning_rate}: wanted more than 0, and 10 at most")
    if asked.rows < 20_000 or asked.epochs < 1:
        parser.error(f"--rows {asked.rows} --epochs {asked.epochs}: wanted at least 20,000 rows and one epoch")
    return asked


def keep_here(results: Path) -> None:
    """Runs and models go to the lab's server if MLFLOW_TRACKING_URI names one, else below the folder of results."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", "ctr")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{results / 'mlflow.db'}"
        import mlflow

        if mlflow.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"]) is None:
            mlflow.create_experiment(
                os.environ["MLFLOW_EXPERIMENT_NAME"], artifact_location=(results / "artifacts").as_uri()
            )


def main() -> int:
    """Run it; an error is one sentence."""
    asked = options()
    results = asked.results.absolute()
    try:
        results.mkdir(parents=True, exist_ok=True)
        if asked.dataset == MADE_UP:  # made for this experiment: the lab's prepared data stay as they are
            os.environ["AILAB_DATA_DIR"] = str(results / f"data-{asked.rows}")
        from ailab_dataproc.errors import AilabError
    except OSError as error:
        print(f"error: {results}: {error.strerror}. Give another --results.", file=sys.stderr)
        return 2
    try:
        keep_here(results)
        experiment(asked, results)
    except AilabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
