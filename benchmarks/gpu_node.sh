#!/usr/bin/env bash
# Tests and benchmark on a machine with a GPU, which needs no Beam and no network.
#
#   bash benchmarks/gpu_node.sh pack FOLDER [ROWS]   where Beam is: prepare what the tests and the benchmark load
#   bash benchmarks/gpu_node.sh run FOLDER           on the GPU: tests marked gpu, then the benchmark; with
#                                                    `pip install '.[pandas,dask,gpu]' pytest`, or environment.yml
#
# PYTHON names the interpreter. Not run on a GPU yet.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

case "${1:-} ${2:+folder}" in
"pack folder")
    folder=$(realpath -m "$2")
    mkdir -p "$folder"
    "$python" -c 'import sys; from ailab_dataproc.testing import prepare_edge_cases as p; p(sys.argv[1])' "$folder/edge"
    "$python" -m ailab_dataproc prepare products/ad_log/impressions --data-dir "$folder/log" \
        --formats parquet --source "train=synthetic:rows=${3:-4000000},seed=0"
    du -sh "$folder"
    ;;
"run folder")
    folder=$(realpath "$2")
    # Neither this folder's pytest settings nor its fixtures: they want plugins and a made-up bucket.
    AILAB_TEST_DATA=$folder/edge "$python" -m pytest -c /dev/null --rootdir . -p no:cacheprovider --noconftest -q -rfE \
        tests/test_gpu.py || failed=$?
    "$python" benchmarks/gpu.py --data-dir "$folder/log"
    exit "${failed:-0}"
    ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
