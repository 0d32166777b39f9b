#!/bin/sh
# Feeds every reader with broken files: libFuzzer under the address and undefined behaviour sanitizers.
#   tests/fuzz/run.sh [seconds each, 60] [name ...]      for example: tests/fuzz/run.sh 300 json safetensors
# A reader that crashes, hangs or asks for more than 512 MB leaves the input under build/fuzz/NAME/found/; what it teaches belongs
# into that reader's test. After each reader comes the number of its lines that were reached; the goal is 90 %,
# what was missed is in build/fuzz/NAME/lines.
# To add a reader: write tests/fuzz/NAME.cpp like its neighbours, with a line "// covers FILE FUNCTIONS" (a pattern of their names)
# for each file that holds a part of the reader, and put a few small valid files into tests/fuzz/seeds/NAME/.
# Needs clang 15 or newer with libFuzzer (FUZZ_CXX=clang++-16 names one), and its llvm-cov for the lines.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
names=${*:-$(basename -s .cpp tests/fuzz/*.cpp)}

mkdir -p build/fuzz/objects
# A compiler will do that compiles this project and has libFuzzer's library: clang 14 fails at std::source_location.
printf '#include "nn/base/require.h"\nextern "C" int LLVMFuzzerTestOneInput(const unsigned char*, std::size_t) { return Where::current().line() == 0; }\n' \
    > build/fuzz/probe.cpp
will_do() {
    command -v "$1" >/dev/null && "$1" -std=c++20 -I. -fsanitize=fuzzer build/fuzz/probe.cpp -o build/fuzz/probe >build/fuzz/probe.log 2>&1
}
compiler=
for candidate in ${FUZZ_CXX:-clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++}; do
    [ -n "$compiler" ] || ! will_do "$candidate" || compiler=$candidate
done
if [ -z "$compiler" ]; then
    echo "fuzz: clang++ 15 or newer with libFuzzer is needed, ${FUZZ_CXX:-none here} will not do: apt-get install clang-16 libclang-rt-16-dev llvm-16"
    exit 2
fi
cov=$("$compiler" --print-prog-name=llvm-cov)
profdata=$("$compiler" --print-prog-name=llvm-profdata)
if ! command -v "$cov" >/dev/null || ! command -v "$profdata" >/dev/null; then
    echo "fuzz: without llvm-cov and llvm-profdata of $compiler no lines are counted: apt-get install llvm-16"
    cov=
fi

flags="-std=c++20 -O1 -g -I. -fsanitize=address,undefined -fno-sanitize-recover=all -fprofile-instr-generate -fcoverage-mapping"
echo "$compiler $flags" > build/fuzz/flags.new
cmp -s build/fuzz/flags.new build/fuzz/flags || { rm -f build/fuzz/objects/*.o; mv build/fuzz/flags.new build/fuzz/flags; }
objects=
for source in nn/base/*.cpp nn/autograd/variable.cpp nn/data/*.cpp nn/image/*.cpp nn/training/progress.cpp \
    nn/autograd/formula.cpp nn/layers/activation.cpp nn/layers/model_config.cpp walkthroughs/lesson/options.cpp bert/wordpiece.cpp gpt/bpe.cpp; do
    case $source in nn/data/*show*) continue ;; esac
    object=build/fuzz/objects/$(echo "$source" | tr / _).o
    objects="$objects $object"
    [ -n "$(find "$object" -newer "$source" 2>/dev/null)" ] || $compiler $flags -fsanitize=fuzzer-no-link -pthread -c "$source" -o "$object"
done

# "  nn/data/json.cpp: 97 % of 171 lines", for each line "// covers" of the fuzzer.
print_coverage() {
    [ -n "$cov" ] && [ -s "$folder/profile" ] || return 0
    "$profdata" merge -sparse "$folder/profile" -o "$folder/profile.merged"
    : > "$folder/lines"
    sed -n 's|^// covers \([^ ]*\) \(.*\)$|\1 \2|p' "tests/fuzz/$name.cpp" | while read -r file functions; do
        # of a line that can be reached: "   12|    345|    text", 345 the times that it was
        "$cov" show "$folder/fuzz" -instr-profile="$folder/profile.merged" -name-regex="$functions" "$file" 2>/dev/null |
            awk -F'|' -v file="$file" -v missed="$folder/lines" '
                $1 ~ /^ *[0-9]+$/ && $2 ~ /[0-9]/ { ++lines }
                $1 ~ /^ *[0-9]+$/ && $2 ~ /^ *0$/ { ++unreached; print file ":" $0 >> missed }
                END { if (lines > 0) printf "  %s: %.0f %% of %d lines%s\n", file, 100 * (lines - unreached) / lines, lines,
                          (10 * unreached > lines ? ", the goal is 90 %" : "") }'
    done
}

failed=0
for name in $names; do
    folder=build/fuzz/$name
    mkdir -p "$folder/corpus" "$folder/found"
    $compiler $flags -fsanitize=fuzzer -pthread "tests/fuzz/$name.cpp" $objects -o "$folder/fuzz"
    rm -f "$folder/profile"
    if LLVM_PROFILE_FILE="$folder/profile" "$folder/fuzz" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -malloc_limit_mb=512 \
        -timeout=10 -use_value_profile=1 -artifact_prefix="$folder/found/" "$folder/corpus" "tests/fuzz/seeds/$name" >"$folder/log" 2>&1; then
        echo "$name: $(tail -n 1 "$folder/log")"
    else
        failed=1
        echo "$name: FAILED, see $folder/log and $folder/found/"
    fi
    print_coverage
done
exit $failed
