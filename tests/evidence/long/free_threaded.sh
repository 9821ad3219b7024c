#!/usr/bin/env bash
# The Python tests on free-threaded CPython, where nothing keeps threads apart.
#
#     tests/evidence/long/free_threaded.sh PYTHON [OPTION OF PYTEST ...]
#                                            with that interpreter (3.13t or newer)
#     tests/evidence/long/free_threaded.sh build DIR [OPTION OF PYTEST ...]
#                                            as root: fetches Debian 13's source of CPython
#                                            3.13, builds it without the lock into DIR (5 to
#                                            10 minutes), and goes on with it
#
# The tests run in a venv of their own. Whatever of NumPy, Dask and the like does not come for
# such an interpreter is left out, and pytest says which tests that costs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

build() {
    local apt=(-o Dir::Etc::SourceList="$scratch/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$scratch/lists" -o APT::Sandbox::User=root)
    mkdir -p "$scratch/lists/partial" "$scratch/source"
    # shellcheck disable=SC2016 # that is for apt-get
    echo "deb-src $(apt-get indextargets --format '$(REPO_URI)' |
        grep -m 1 '/debian/*$') trixie main" >"$scratch/sources.list"
    apt-get "${apt[@]}" update -qq
    (cd "$scratch/source" && apt-get "${apt[@]}" source -qq --download-only python3.13)
    tar -xJf "$scratch"/source/python3.13_*.orig.tar.xz -C "$scratch/source" \
        --strip-components=1
    (cd "$scratch/source" &&
        ./configure -q --disable-gil --prefix="$1" &&
        nice make -s -j"$(nproc)" && make -s install) >"$scratch/build.log" 2>&1 ||
        { tail -n 50 "$scratch/build.log"; return 1; }
    python=$1/bin/python3.13t
}

python=${1:?see the head of this script}
shift
if [ "$python" = build ]; then
    build "${1:?a directory to install to}"
    shift
fi
"$python" - <<'END'
import sys, sysconfig
print(sys.version)
if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("this interpreter is not free-threaded")
END

"$python" -m venv "$scratch/venv"
pip=("$scratch/venv/bin/python" -m pip -q --disable-pip-version-check)
"${pip[@]}" install "$root" pytest 'hypothesis<6.150' # newer ones need the lock
for extra in numpy unicorn rich fsspec bincopy intelhex matplotlib pillow pyarrow h5py \
    'dask[array,distributed]>=2024.8' 'ipykernel>=6' nbclient
do # three small ones are built here; that takes a C compiler
    "${pip[@]}" install --only-binary :all: --no-binary tornado,msgpack,pyyaml "$extra" \
        >"$scratch/pip.log" 2>&1 ||
        echo "skipped: what needs $extra, which does not come for this interpreter"
done

# PYTHON_GIL=0: no extension module may bring the lock back. The limit is for a test that
# runs away; it leaves alone the mappings of sparse files of a tebibyte. The C tests know
# nothing of an interpreter.
cd "$root"
ulimit -d $((16 << 20)) # KiB
PYTHON_GIL=0 PYTHONDONTWRITEBYTECODE=1 nice "$scratch/venv/bin/pytest" -q -rs \
    -p no:cacheprovider -o faulthandler_timeout=300 --ignore tests/python/project/test_ctest.py \
    "$@" tests/python
