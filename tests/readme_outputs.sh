#!/bin/sh
# readme_outputs.sh refresh|check: the README files show what programs print. Where a line says
#     <!-- output: make help -->
# the fenced block below it is what that command prints; below a line <!-- table: command --> stands a table that it prints.
# refresh writes both, check says which file is out of date.
mode=$1
new=$(mktemp "${TMPDIR:-/tmp}/readme.XXXXXX") || exit 1
trap 'rm -f "$new" "$new.output"' EXIT
NO_COLOR=1
export NO_COLOR
status=0
for file in $(find README.md nn bert gpt vit rlhf walkthroughs tests -name '*.md' 2>/dev/null); do
    grep -q '^<!-- \(output\|table\): .* -->$' "$file" || continue
    : > "$new"
    inside=0
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '<!-- output: '*' -->' | '<!-- table: '*' -->')
            command=${line#'<!-- '*': '}
            command=${command%' -->'}
            # MAKEFLAGS of the make that called us would change what a make in the command prints
            if ! MAKEFLAGS= MAKELEVEL= sh -c "$command" > "$new.output" 2>/dev/null </dev/null; then
                echo "$file: $command failed" >&2
                status=1
            fi
            if [ ! -s "$new.output" ]; then
                echo "$file: $command printed nothing" >&2
                status=1
            fi
            case $line in
            '<!-- output: '*)
                { echo "$line"; echo '```'; cat "$new.output"; echo '```'; } >> "$new"
                inside=1 ;;
            *)
                { echo "$line"; cat "$new.output"; } >> "$new"
                inside=table ;;
            esac ;;
        '|'*)  # a line of a table: of the old one or of any other
            [ $inside = 0 ] && printf '%s\n' "$line" >> "$new" ;;
        '```')  # the old block: its first line, then its last
            if [ $inside = 1 ]; then inside=2; elif [ $inside = 2 ]; then inside=0; else printf '%s\n' "$line" >> "$new"; fi ;;
        *)
            [ $inside = table ] && inside=0
            [ $inside = 0 ] && printf '%s\n' "$line" >> "$new" ;;
        esac
    done < "$file"
    cmp -s "$file" "$new" && continue
    if [ "$mode" = refresh ]; then
        cat "$new" > "$file"
        echo "wrote   $file"
    else
        echo "$file shows what its commands no longer print; make refresh-readme writes it anew:" >&2
        diff "$file" "$new" >&2
        status=1
    fi
done
exit $status
