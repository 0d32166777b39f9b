#!/bin/sh
# Feeds every reader with broken files: libFuzzer under the address and undefined behaviour sanitizers.
#   tests/fuzz/run.sh [seconds each, 60] [name ...]      for example: tests/fuzz/run.sh 300 json safetensors
# A reader that crashes, hangs or asks for more than 512 MB leaves the input under build/fuzz/NAME/found/; what it teaches belongs
# into that reader's test. To add a reader: write tests/fuzz/NAME.cpp like its neighbours, put a few small valid files into
# tests/fuzz/seeds/NAME/. Needs clang with libFuzzer: FUZZ_CXX=clang++-16 names another compiler.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
names=${*:-$(basename -s .cpp tests/fuzz/*.cpp)}

compiler=${FUZZ_CXX:-}
for candidate in clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++; do
    [ -n "$compiler" ] || ! command -v $candidate >/dev/null || compiler=$candidate
done
[ -n "$compiler" ] || { echo "fuzz: clang++ with libFuzzer is needed: apt-get install clang"; exit 2; }

flags="-std=c++20 -O1 -g -I. -fsanitize=address,undefined -fno-sanitize-recover=all"
mkdir -p build/fuzz/objects
objects=
for source in nn/base/*.cpp nn/data/*.cpp walkthroughs/lesson/options.cpp bert/wordpiece.cpp gpt/bpe.cpp; do
    case $source in *show*) continue ;; esac
    object=build/fuzz/objects/$(echo "$source" | tr / _).o
    objects="$objects $object"
    [ -n "$(find "$object" -newer "$source" 2>/dev/null)" ] || $compiler $flags -fsanitize=fuzzer-no-link -pthread -c "$source" -o "$object"
done

failed=0
for name in $names; do
    folder=build/fuzz/$name
    mkdir -p "$folder/corpus" "$folder/found"
    $compiler $flags -fsanitize=fuzzer -pthread "tests/fuzz/$name.cpp" $objects -o "$folder/fuzz"
    if "$folder/fuzz" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=10 -use_value_profile=1 \
        -artifact_prefix="$folder/found/" "$folder/corpus" "tests/fuzz/seeds/$name" >"$folder/log" 2>&1; then
        echo "$name: $(tail -n 1 "$folder/log")"
    else
        failed=1
        echo "$name: FAILED, see $folder/log and $folder/found/"
    fi
done
exit $failed
