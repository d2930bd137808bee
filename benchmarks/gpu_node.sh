#!/usr/bin/env bash
# Tests and benchmark on a machine with a GPU, which needs no Beam, DuckDB or network.
#
#   bash benchmarks/gpu_node.sh pack FOLDER [ROWS]      where Beam is: make what the tests and the benchmark load
#   bash benchmarks/gpu_node.sh run FOLDER [OPTION…]    on the GPU: tests marked gpu, then benchmarks/gpu.py OPTION…;
#                                                       with `pip install '.[pandas,polars,dask,gpu]' pytest`, torch for
#                                                       the tensors, or environment.yml
#
# `pack` needs the extras beam and bench. ROWS are 4,000,000 by default: some 300 MB. PYTHON names the interpreter.
# Tried without a GPU only (run FOLDER --cpu-only).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

case "${1:-} ${2:+folder}" in
"pack folder")
    folder=$(realpath -m "$2")
    rows=${3:-4000000}
    mkdir -p "$folder"
    "$python" -c 'import sys; from ailab_dataproc.testing import prepare_edge_cases as p; p(sys.argv[1])' "$folder/edge"
    "$python" benchmarks/gpu.py --make --rows "$rows" --folder "$folder"
    echo "$rows" >"$folder/rows"
    du -sh "$folder"
    ;;
"run folder")
    folder=$(realpath "$2")
    rows=$(cat "$folder/rows")
    shift 2
    # Neither this folder's pytest settings nor its fixtures: they want plugins and a made-up bucket.
    AILAB_TEST_DATA=$folder/edge "$python" -m pytest -c /dev/null --rootdir . -p no:cacheprovider --noconftest -q -rfE \
        tests/test_gpu.py || failed=$?
    "$python" benchmarks/gpu.py --folder "$folder" --rows "$rows" "$@"
    exit "${failed:-0}"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
