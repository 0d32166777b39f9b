#!/bin/sh
# systems.sh: the table of systems in README.md, one row for each header that implements a paper: what its first line says, which
# neighbour it differs from (its line `neighbour`), the lesson and the test. README.md holds the output; a test compares the two.
echo '| system | idea | neighbour | lesson | test |'
echo '| --- | --- | --- | --- | --- |'
for header in $(grep -lE '^//   (papers?|sources) ' $(find bert gpt vit rlhf nn/interpret -name '*.h' | sort)); do
    path=${header%.h}
    stem=${path##*/}
    idea=$(sed -n -e "1s|^// $stem\.h: ||p" "$header")
    neighbour=$(sed -n -E -e 's#^//   (neighbour|against)  *([a-z_]+/)*([a-z0-9_]+)\.h.*#\3#p' "$header" | head -n 1)
    # The lesson of the same name; otherwise the first that includes the header.
    lesson=$(find walkthroughs -name "$stem.cpp" ! -path 'walkthroughs/page/*' ! -path 'walkthroughs/toys/*' ! -path 'walkthroughs/lesson/*' | head -n 1)
    [ -n "$lesson" ] || lesson=$(grep -rl "#include \"$header\"" walkthroughs --include='*.cpp' | sort | head -n 1)
    name=${lesson##*/}
    lesson=${lesson:+[${name%.cpp}]($lesson)}
    echo "| [$stem]($header) | $idea | $neighbour | $lesson | [test](tests/${path}_test.cpp) |"
done
