#!/bin/sh
# find_doctest.sh COMPILER FOLDER: prints the compiler option under which doctest's header is found (an empty line when none is needed).
# It looks where the compiler looks, in the folder doctest, in Homebrew, then unpacks Debian's package under FOLDER, without root.
compiler=$1
folder=$2

finds_doctest() {
    printf '#if !__has_include(<doctest/doctest.h>) && !__has_include(<doctest.h>)\n#error\n#endif\n' |
        $compiler $1 -std=c++20 -E -x c++ - >/dev/null 2>&1
}
answer() {
    echo "$1"
    exit 0
}

finds_doctest "" && answer ""
finds_doctest "-isystem doctest" && answer "-isystem doctest"  # what students get brings it along

if command -v brew >/dev/null 2>&1; then
    homebrew=$(brew --prefix doctest 2>/dev/null)/include
    finds_doctest "-isystem $homebrew" && answer "-isystem $homebrew"
fi

unpacked=$folder/usr/include
finds_doctest "-isystem $unpacked" && answer "-isystem $unpacked"

# The package holds one header and nothing to run. Package lists may be missing (a fresh container) or old: then fetch them and try
# once more; without root they go into our own folder.
fetch() {
    (cd "$folder" && apt-get "$@" download doctest-dev) >/dev/null 2>&1
}
fetch_with_new_lists() {
    apt-get update >/dev/null 2>&1 && fetch && return
    mkdir -p "$folder/lists/partial"
    lists=$(cd "$folder/lists" && pwd)
    apt-get -o Dir::State::lists="$lists" update >/dev/null 2>&1
    fetch -o Dir::State::lists="$lists"
}
if command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
    mkdir -p "$folder"
    if fetch || fetch_with_new_lists; then
        dpkg-deb -x "$folder"/doctest-dev_*.deb "$folder"
        rm -rf "$folder"/doctest-dev_*.deb "$folder"/lists
        finds_doctest "-isystem $unpacked" && answer "-isystem $unpacked"
    fi
fi

echo "The tests need the header doctest.h: install doctest-dev (Debian, Ubuntu), doctest-devel (Fedora) or doctest (Homebrew, Arch)." >&2
exit 1
